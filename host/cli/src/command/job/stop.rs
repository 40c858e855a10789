//! `longshore job stop JOB`

use clap::Args;
use longshore_agent::api::document::{Acknowledged, AllocStub};

use super::resolve;
use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Outcome},
    output,
};

/// Stop a job and wait until its tasks have ended
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore job stop web
  longshore job stop --purge web        forget the job, too

{EXIT_CODES}"))]
pub struct Arguments {
    /// Its id, or how its id begins
    job: String,
    /// Forget the job and its allocations
    #[arg(long)]
    purge: bool,
    /// Do not wait
    #[arg(short, long)]
    detach: bool,
    /// Print the API's answer
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let id = resolve(client, &self.job).await?;
        let path = format!("/v1/job/{}", segment(&id));
        let answer: Acknowledged = client.delete(&format!("{path}?purge={}", self.purge)).await?;
        if !self.detach {
            wait_until_ended(client, &path).await?;
        }
        if self.json {
            return output::print_json(&answer);
        }
        anstream::println!("{id} {}", if self.detach { "is stopping" } else { "stopped" });
        Ok(())
    }
}

/// Waits until no allocation of a job lives.
async fn wait_until_ended(client: &Client, job: &str) -> Outcome {
    let mut index = 0;
    loop {
        let path = format!("{job}/allocations?index={index}&wait=60s");
        let Some((allocs, next)) = client.find_indexed::<Vec<AllocStub>>(&path).await? else { return Ok(()) };
        if allocs.iter().all(|alloc| !matches!(alloc.client_status.as_str(), "pending" | "running")) {
            return Ok(());
        }
        index = next;
    }
}
