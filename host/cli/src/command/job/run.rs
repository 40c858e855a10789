//! `longshore job run FILE`

use clap::Args;
use longshore_agent::api::document::{Acknowledged, RegisterRequest};

use super::{JobFile, JobFileArguments, Monitor, print_addresses};
use crate::{
    client::Client,
    failure::{EXIT_CODES, Failure, Outcome, chain},
    output,
};

/// Submit a job and wait until it runs
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore job run web.nomad.hcl
  longshore job run --var image=web:7 web.nomad.hcl
  longshore job run --detach web.nomad.hcl       do not wait
  longshore job run --output web.nomad.hcl       print the job as JSON, submit nothing
  longshore job run --json web.json              print the API's answer

{EXIT_CODES}"))]
pub struct Arguments {
    #[command(flatten)]
    file: JobFileArguments,
    /// Do not wait until it runs
    #[arg(short, long)]
    detach: bool,
    /// Print the job as JSON, as the API takes it, and submit nothing; no agent is asked
    #[arg(long, conflicts_with_all = ["detach", "check_index"])]
    output: bool,
    /// Submit only if the job's modify index is this one; 0: only if there is no such job
    #[arg(long, value_name = "INDEX")]
    check_index: Option<u64>,
    /// Print the API's answer
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        if self.output {
            return output::print_json(&self.file.document()?);
        }
        let file = self.file.read(client).await?;
        let answer = submit(client, &file, self.check_index).await?;
        for warning in file.further(&answer.warnings) {
            anstream::eprintln!("{warning}");
        }
        if !self.detach {
            let allocs = Monitor::new(client, &file.job.id).await?.until_running().await?;
            if !self.json {
                return print_addresses(client, &allocs).await;
            }
        }
        if self.json {
            return output::print_json(&answer);
        }
        anstream::println!("{} submitted, evaluation {}", file.job.id, output::short(&answer.eval_id));
        Ok(())
    }
}

/// Checks a job with the agent's drivers, then hands it over.
pub async fn submit(client: &Client, file: &JobFile, check_index: Option<u64>) -> Outcome<Acknowledged> {
    file.check(client).await?;
    let job = serde_json::to_value(&file.job).map_err(|error| Failure::failed(chain(&error)))?;
    let request = RegisterRequest {
        job,
        submission: Some(file.submission.clone()),
        enforce_index: check_index.is_some(),
        job_modify_index: check_index.unwrap_or(0),
    };
    client.put("/v1/jobs", &request).await.map_err(|failure| match placed(failure.text()) {
        Some(problems) => file.refused(problems.into_iter()),
        None => failure,
    })
}

/// The lines of a refusal that all name a place in the job: `/TaskGroups/0/Networks/0: port 80 is taken …`.
fn placed(text: &str) -> Option<Vec<(String, String)>> {
    let place = |line: &str| {
        let (path, message) = line.split_once(": ").filter(|(path, _)| path.starts_with('/'))?;
        Some((path.to_owned(), message.to_owned()))
    };
    text.lines().map(place).collect::<Option<Vec<_>>>().filter(|problems| !problems.is_empty())
}
