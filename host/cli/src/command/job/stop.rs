//! `longshore job stop JOB`

use std::collections::BTreeSet;

use clap::Args;
use longshore_agent::api::document::{Acknowledged, AllocStub};
use longshore_job::model::Job;

use super::{events::Events, resolve};
use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Outcome},
    output,
};

/// Stop a job and wait until its tasks have ended and are removed
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
        let mut events = Events::from_now(format!("stopping {id}"));
        let answer: Acknowledged = client.delete(&format!("{path}?purge={}", self.purge)).await?;
        if !self.detach {
            wait_until_ended(client, &path, &mut events).await?;
            if self.purge {
                wait_until_forgotten(client, &path).await?;
            }
        }
        drop(events);
        if self.json {
            return output::print_json(&answer);
        }
        anstream::println!("{id} {}", if self.detach { "is stopping" } else { "stopped" });
        Ok(())
    }
}

/// Waits until nothing runs any more of the allocations that a job has now.
async fn wait_until_ended(client: &Client, job: &str, events: &mut Events) -> Outcome {
    let (mut index, mut left) = (0, None::<BTreeSet<String>>);
    loop {
        let path = format!("{job}/allocations?index={index}&wait=60s");
        let Some((allocs, next)) = client.find_indexed::<Vec<AllocStub>>(&path).await? else { return Ok(()) };
        events.tell(&allocs);
        let live = allocs.into_iter().filter(|alloc| !alloc.finished).map(|alloc| alloc.id);
        let live: BTreeSet<_> = live.filter(|id| left.as_ref().is_none_or(|left| left.contains(id))).collect();
        if live.is_empty() {
            return Ok(());
        }
        (index, left) = (next, Some(live));
    }
}

/// Waits until a stopped job is forgotten, or was submitted anew.
async fn wait_until_forgotten(client: &Client, job: &str) -> Outcome {
    let mut index = 0;
    while let Some((now, next)) = client.find_indexed::<Job>(&format!("{job}?index={index}&wait=60s")).await? {
        if !now.stop {
            break;
        }
        index = next;
    }
    Ok(())
}
