//! `longshore job …`

mod bars;
mod events;
mod file;
mod fmt;
mod import;
mod inspect;
mod monitor;
mod plan;
mod run;
mod status;
mod stop;
mod validate;

use clap::Subcommand;
use longshore_agent::api::document::JobStub;

pub use file::{JobFile, JobFileArguments};
pub use monitor::{Monitor, print_addresses};
pub use run::submit;

use crate::{
    client::{Client, segment},
    failure::{Failure, Outcome},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Arguments),
    Status(status::Arguments),
    Stop(stop::Arguments),
    Validate(validate::Arguments),
    Plan(plan::Arguments),
    Fmt(fmt::Arguments),
    Import(import::Arguments),
    Inspect(inspect::Arguments),
}

impl Command {
    /// Runs it.
    pub async fn run(self, client: Client) -> Outcome {
        match self {
            Self::Run(arguments) => arguments.run(&client).await,
            Self::Status(arguments) => arguments.run(&client).await,
            Self::Stop(arguments) => arguments.run(&client).await,
            Self::Validate(arguments) => arguments.run(&client).await,
            Self::Plan(arguments) => arguments.run(&client).await,
            Self::Fmt(arguments) => arguments.run(),
            Self::Import(arguments) => arguments.run(),
            Self::Inspect(arguments) => arguments.run(&client).await,
        }
    }
}

/// The id of the one job whose id is, or begins with, what was given.
async fn resolve(client: &Client, given: &str) -> Outcome<String> {
    let mut jobs: Vec<JobStub> = client.get(&format!("/v1/jobs?prefix={}", segment(given))).await?;
    if jobs.iter().any(|job| job.id == given) {
        return Ok(given.to_owned());
    }
    match jobs.len() {
        0 => Err(Failure::failed(format!("no job with prefix or id {given:?} found"))
            .remedy("`longshore job status` lists the jobs")),
        1 => Ok(jobs.remove(0).id),
        _ => {
            let ids: Vec<_> = jobs.into_iter().map(|job| job.id).collect();
            Err(Failure::failed(format!("{given:?} begins the ids of several jobs: {}", ids.join(", "))))
        }
    }
}
