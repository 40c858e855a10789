//! `longshore job validate FILE`

use clap::Args;
use longshore_job::{Diagnostic, Diagnostics};
use serde_json::{Value, json};

use super::JobFileArguments;
use crate::{
    client::Client,
    failure::{EXIT_CODES, Failure, Outcome},
    output,
};

/// Check a job file, each task's `config` included, without running anything
#[derive(Debug, Args)]
#[command(after_help = format!("\
The file itself is checked here; each task's `config` is checked by the agent, whose drivers know what it may hold.

Examples:
  longshore job validate web.nomad.hcl
  longshore job validate --offline web.nomad.hcl     without an agent, so without drivers' own checks

{EXIT_CODES}"))]
pub struct Arguments {
    #[command(flatten)]
    file: JobFileArguments,
    /// Do not ask an agent
    #[arg(long)]
    offline: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let (warnings, checked) = self.check(client).await;
        if self.json {
            let mut problems = warnings.to_json();
            if let (Some(problems), Err(Value::Array(found))) =
                (problems.as_array_mut(), checked.as_ref().map_err(Failure::to_json))
            {
                problems.extend(found);
            }
            output::print_json(&json!({"valid": checked.is_ok(), "problems": problems}))?;
            return checked.map_err(|failure| failure.silenced());
        }
        if !warnings.is_empty() {
            anstream::eprint!("{}", warnings.graphical(true));
        }
        checked?;
        anstream::println!("{} is valid", self.file.name());
        Ok(())
    }

    /// What is seldom meant, and whether the job may run.
    async fn check(&self, client: &Client) -> (Diagnostics, Outcome) {
        let read = match self.offline {
            true => self.file.read_alone_quietly(),
            false => self.file.read_quietly(client).await,
        };
        let file = match read {
            Ok(file) => file,
            Err(failure) => return (Diagnostics::new(), Err(failure)),
        };
        if self.offline {
            let checked = file.check_offline();
            return (file.warnings, checked);
        }
        let checked = file.check(client).await;
        let further = file.further(checked.as_deref().unwrap_or_default());
        let further: Vec<_> = further.into_iter().map(|line| Diagnostic::warning(line, "")).collect();
        let mut warnings = file.warnings;
        further.into_iter().for_each(|warning| warnings.push(warning));
        (warnings, checked.map(drop))
    }
}
