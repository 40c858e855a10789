//! A job file: read here, checked further by the agent's drivers.

use std::path::{Path, PathBuf};

use clap::Args;
use longshore_agent::api::document::{PlanRequest, Submission, ValidateResponse};
use longshore_job::{Diagnostic, Diagnostics, ParseOptions, Rejected, SourceMap, model::Job};

use serde_json::Value;

use crate::{
    client::Client,
    failure::{Failure, Outcome},
};

/// Which file, with which values.
#[derive(Clone, Debug, Args)]
pub struct JobFileArguments {
    /// Job file: HCL, or JSON as the API takes it; - is standard input
    file: PathBuf,
    /// Value of a variable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// File with values of variables
    #[arg(long = "var-file", value_name = "FILE")]
    variable_files: Vec<PathBuf>,
    /// Ignore values of variables that the file does not declare
    #[arg(long)]
    lenient: bool,
    /// What Nomad calls the opposite of `lenient`
    #[arg(long, hide = true, default_value_t = true, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", action = clap::ArgAction::Set)]
    hcl2_strict: bool,
}

/// A job and where each of its parts was written.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// The job.
    pub job: Job,
    /// Its text.
    pub submission: Submission,
    /// What is allowed in it and seldom meant.
    pub warnings: Diagnostics,
    map: SourceMap,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() { Err("write NAME=VALUE".into()) } else { Ok((name.into(), value.into())) }
}

impl JobFileArguments {
    /// The file as it was named.
    pub fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// The directory the file is in, absolute.
    pub fn directory(&self) -> Option<PathBuf> {
        let file = self.file.canonicalize().ok()?;
        file.parent().map(Path::to_owned)
    }

    fn options(&self) -> ParseOptions {
        ParseOptions {
            variables: self.variables.clone(),
            var_files: self.variable_files.clone(),
            env: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            allow_files: true,
            strict: self.hcl2_strict && !self.lenient,
            ..ParseOptions::default()
        }
    }

    /// The file as the API's document, with what was written and nothing else. What could not run is told on
    /// standard error.
    pub fn document(&self) -> Outcome<Value> {
        let (document, found) = longshore_job::print_file(&self.file, &self.options()).map_err(Failure::places)?;
        if !found.is_empty() {
            anstream::eprint!("{}", found.graphical(true));
        }
        Ok(document)
    }

    /// What the files of variables say, one after another.
    fn variable_text(&self) -> String {
        let texts = self.variable_files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
        texts.map(|text| text + "\n").collect()
    }

    /// Reads the file. Warnings go to standard error.
    pub async fn read(&self, client: &Client) -> Outcome<JobFile> {
        Ok(told(self.read_quietly(client).await?))
    }

    /// Reads the file and leaves its warnings to the caller. Of a job that is wrong the agent is asked as well, so that
    /// all is told at once.
    pub async fn read_quietly(&self, client: &Client) -> Outcome<JobFile> {
        match self.parse() {
            Ok(file) => Ok(file),
            Err(rejected) => Err(Failure::places(further(rejected, client).await)),
        }
    }

    /// As [`Self::read`], where there is no agent to ask.
    pub fn read_alone(&self) -> Outcome<JobFile> {
        self.read_alone_quietly().map(told)
    }

    /// As [`Self::read_quietly`], where there is no agent to ask.
    pub fn read_alone_quietly(&self) -> Outcome<JobFile> {
        self.parse().map_err(|rejected| Failure::places(rejected.found))
    }

    fn parse(&self) -> Result<JobFile, Rejected> {
        let parsed = longshore_job::draft_file(&self.file, &self.options())?;
        let submission = Submission {
            format: if parsed.map.source().is_some() { "hcl2".into() } else { "json".into() },
            source: parsed.text,
            variable_flags: Some(self.variables.iter().cloned().collect()),
            variables: self.variable_text(),
        };
        Ok(JobFile { job: parsed.job, submission, warnings: parsed.warnings, map: parsed.map })
    }
}

/// The file, its warnings said.
fn told(file: JobFile) -> JobFile {
    if !file.warnings.is_empty() {
        anstream::eprint!("{}", file.warnings.graphical(true));
    }
    file
}

/// What is wrong with a job, with what the agent finds. One that does not answer changes nothing.
async fn further(rejected: Rejected, client: &Client) -> Diagnostics {
    let Rejected { mut found, draft: Some(draft) } = rejected else { return rejected.found };
    let request = PlanRequest { job: longshore_job::to_json(&draft.job), diff: false };
    let Ok(answer) = client.put::<ValidateResponse>("/v1/validate/job", &request).await else { return found };
    let known: Vec<_> = found.errors().filter_map(|item| item.path.clone()).collect();
    let is_new = |path: &str| draft.is_whole(path) && !known.iter().any(|known| path.starts_with(known));
    for problem in answer.problems.into_iter().filter(|problem| is_new(&problem.path)) {
        found.push(Diagnostic::error(problem.message, "").at(problem.path));
    }
    draft.map.locate(&mut found);
    found
}

impl JobFile {
    /// Asks the agent's drivers; what they refuse is shown where it was written. Answers the agent's warnings, a line each.
    pub async fn check(&self, client: &Client) -> Outcome<String> {
        let request = PlanRequest { job: longshore_job::to_json(&self.job), diff: false };
        let answer: ValidateResponse = client.put("/v1/validate/job", &request).await?;
        if answer.problems.is_empty() {
            return Ok(answer.warnings);
        }
        Err(self.refused(answer.problems.into_iter().map(|problem| (problem.path, problem.message))))
    }

    /// What an agent warns of, a line each, and the file itself did not.
    pub fn further<'a>(&self, said: &'a str) -> Vec<&'a str> {
        let is_known = |line: &&str| self.warnings.iter().any(|known| line.contains(&known.summary));
        said.lines().filter(|line| !is_known(line)).collect()
    }

    /// Complains of what no agent of this version acts on.
    pub fn check_offline(&self) -> Outcome {
        let mut found = longshore_job::unsupported(&self.job);
        self.map.locate(&mut found);
        found.into_result().map(drop).map_err(Failure::places)
    }

    /// Shows what an agent refused where it was written.
    pub fn refused(&self, problems: impl Iterator<Item = (String, String)>) -> Failure {
        let mut found: Diagnostics = problems.map(|(path, message)| Diagnostic::error(message, "").at(path)).collect();
        if let Some(source) = self.map.source() {
            found.add_source(source);
        }
        self.map.locate(&mut found);
        Failure::places(found)
    }
}
