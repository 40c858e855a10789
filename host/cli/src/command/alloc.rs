//! `longshore alloc …`

mod control;
mod exec;
mod logs;
mod network;
mod status;

use clap::Subcommand;
use longshore_agent::api::document::{AllocStub, Allocation};

use crate::{
    client::{Client, segment},
    failure::{Failure, Outcome},
    output,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    Status(status::Arguments),
    Logs(logs::Arguments),
    Exec(exec::Arguments),
    Network(network::Arguments),
    Stop(control::Stop),
    Restart(control::Restart),
    Signal(control::Signal),
}

impl Command {
    /// Runs it.
    pub async fn run(self, client: Client) -> Outcome {
        match self {
            Self::Status(arguments) => arguments.run(&client).await,
            Self::Logs(arguments) => arguments.run(&client).await,
            Self::Exec(arguments) => arguments.run(&client).await,
            Self::Network(arguments) => arguments.run(&client).await,
            Self::Stop(arguments) => arguments.run(&client).await,
            Self::Restart(arguments) => arguments.run(&client).await,
            Self::Signal(arguments) => arguments.run(&client).await,
        }
    }
}

/// The one allocation whose id begins with what was given.
async fn resolve(client: &Client, given: &str) -> Outcome<Allocation> {
    if given.len() < 2 {
        return Err(Failure::input("an allocation's id must be given with at least two characters"));
    }
    let stubs: Vec<AllocStub> = client.get(&format!("/v1/allocations?prefix={}", segment(given))).await?;
    match &stubs[..] {
        [] => Err(Failure::failed(format!("no allocation with prefix or id {given:?} found"))
            .remedy("`longshore alloc status` lists the allocations")),
        [stub] => client.get(&format!("/v1/allocation/{}", segment(&stub.id))).await,
        several => {
            let ids: Vec<_> = several.iter().map(|stub| &stub.id[..]).collect();
            Err(Failure::failed(format!("{given:?} begins several allocations' ids: {}", ids.join(", "))))
        }
    }
}

/// The task that was named, or the only one there is.
fn choose_task(alloc: &Allocation, given: Option<&str>) -> Outcome<String> {
    let tasks: Vec<_> = alloc.stub.task_states.keys().map(String::as_str).collect();
    match (given, &tasks[..]) {
        (Some(task), _) if tasks.contains(&task) => Ok(task.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (Some(task), _) => {
            Err(Failure::input(format!("unknown task name {task:?}; the tasks are {}", tasks.join(", "))))
        }
        (None, _) => Err(Failure::input(format!(
            "allocation {} has the tasks {}: say which one",
            output::short(&alloc.stub.id),
            tasks.join(", ")
        ))),
    }
}
