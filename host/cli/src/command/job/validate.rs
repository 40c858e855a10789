//! `longshore job validate FILE`

use clap::Args;
use serde_json::json;

use super::JobFileArguments;
use crate::{
    client::Client,
    failure::{EXIT_CODES, Outcome},
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
        let checked = self.check(client).await;
        if self.json {
            let found = match &checked {
                Ok(()) => json!([]),
                Err(failure) => failure.to_json(),
            };
            output::print_json(&json!({"valid": checked.is_ok(), "problems": found}))?;
            return checked.map_err(|failure| failure.silenced());
        }
        checked?;
        anstream::println!("{} is valid", self.file.name());
        Ok(())
    }

    async fn check(&self, client: &Client) -> Outcome {
        let file = self.file.read()?;
        if self.offline { file.check_offline() } else { file.check(client).await }
    }
}
