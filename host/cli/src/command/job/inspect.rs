//! `longshore job inspect JOB`

use clap::Args;
use longshore_agent::api::document::Submission;
use serde_json::{Value, json};

use super::resolve;
use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Failure, Outcome},
    output,
};

/// Print a job as the agent has it
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore job inspect web             the whole job, defaults filled in
  longshore job inspect --hcl web       the file it was submitted as

{EXIT_CODES}"))]
pub struct Arguments {
    /// Its id, or how its id begins
    job: String,
    /// Print the text it was submitted as
    #[arg(long)]
    hcl: bool,
    /// Print JSON; so it is without --hcl anyway
    #[arg(long, conflicts_with = "hcl")]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let id = resolve(client, &self.job).await?;
        let path = format!("/v1/job/{}", segment(&id));
        if !self.hcl {
            let job: Value = client.get(&path).await?;
            return output::print_json(&json!({"Job": job}));
        }
        match client.find::<Submission>(&format!("{path}/submission")).await? {
            Some(submission) => {
                anstream::print!("{}", submission.source);
                Ok(())
            }
            None => Err(Failure::failed(format!("job {id:?} was submitted without its source"))),
        }
    }
}
