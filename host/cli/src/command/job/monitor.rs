//! Watching a job's allocations until they run or fail, telling each event as it happens.

use longshore_agent::api::document::{AllocStub, Allocation};
use longshore_job::model::Job;

use super::events::Events;
use crate::{
    client::{Client, segment},
    failure::{Failure, Outcome},
    output,
};

/// Watches one version of a job.
pub struct Monitor<'a> {
    client: &'a Client,
    job: Job,
    events: Events,
}

/// How the allocations of a version are, taken together.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Waiting,
    Running,
    Failed,
}

impl<'a> Monitor<'a> {
    /// Watches a job as the agent has it now. On a terminal with a spinner and bars, elsewhere with a line an event.
    pub async fn new(client: &'a Client, id: &str) -> Outcome<Self> {
        let job: Job = client.get(&format!("/v1/job/{}", segment(id))).await?;
        Ok(Self { client, job, events: Events::all(format!("starting {id}")) })
    }

    /// Waits until every wanted allocation runs or is done. An allocation that failed ends it with an error.
    pub async fn until_running(mut self) -> Outcome<Vec<AllocStub>> {
        let mut index = 0;
        loop {
            let path = format!("/v1/job/{}/allocations?index={index}&wait=60s", segment(&self.job.id));
            let Some((allocs, next)) = self.client.find_indexed::<Vec<AllocStub>>(&path).await? else {
                return Err(Failure::failed(format!("job {:?} was purged meanwhile", self.job.id)));
            };
            let current: Vec<_> = allocs.into_iter().filter(|alloc| alloc.job_version == self.job.version).collect();
            self.events.tell(&current);
            match verdict(&self.job, &current) {
                Verdict::Waiting => index = next,
                Verdict::Running => return Ok(current),
                Verdict::Failed => return Err(failure(&current)),
            }
        }
    }
}

fn verdict(job: &Job, allocs: &[AllocStub]) -> Verdict {
    if allocs.iter().any(|alloc| alloc.client_status == "failed") {
        return Verdict::Failed;
    }
    let runs = |group: &str| {
        let settled = |alloc: &&AllocStub| alloc.task_group == group && is_settled(alloc);
        allocs.iter().filter(settled).count()
    };
    let wanted = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    if job.task_groups.iter().all(|group| runs(&group.name) >= wanted(group.count)) {
        Verdict::Running
    } else {
        Verdict::Waiting
    }
}

/// Over with success, or with no task left that is still to start.
fn is_settled(alloc: &AllocStub) -> bool {
    match alloc.client_status.as_str() {
        "complete" => true,
        "running" => alloc.task_states.values().all(|task| task.state != "pending"),
        _ => false,
    }
}

fn failure(allocs: &[AllocStub]) -> Failure {
    let failed = allocs.iter().filter(|alloc| alloc.client_status == "failed");
    let reasons = failed.clone().flat_map(|alloc| {
        let tasks = alloc.task_states.iter().filter(|(_, state)| state.failed);
        tasks.map(|(task, state)| format!("{}/{task}: {}", output::short(&alloc.id), last_words(&state.events)))
    });
    let text = reasons.collect::<Vec<_>>().join("; ");
    let id = failed.map(|alloc| output::short(&alloc.id)).next().unwrap_or_default();
    Failure::failed(format!("the job failed: {text}"))
        .remedy(format!("`longshore alloc status {id}` tells the whole story"))
}

/// The event that says most about why a task failed: the last that is not about the restart policy.
fn last_words(events: &[longshore_agent::api::document::TaskEvent]) -> String {
    let telling = events.iter().rev().find(|event| !matches!(event.kind.as_str(), "Not Restarting" | "Restarting"));
    telling.map(|event| format!("{}: {}", event.kind, event.display_message)).unwrap_or_default()
}

/// Prints where each allocation's ports are.
pub async fn print_addresses(client: &Client, allocs: &[AllocStub]) -> Outcome {
    for stub in allocs {
        let alloc: Allocation = client.get(&format!("/v1/allocation/{}", segment(&stub.id))).await?;
        anstream::println!("{} {} {}", output::short(&stub.id), stub.name, stub.client_status);
        for port in &alloc.allocated_resources.shared.ports {
            anstream::println!("  {:<12} {}", port.label, output::address(&port.host_ip, port.value));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use longshore_agent::api::document::TaskState;
    use longshore_job::model::TaskGroup;

    use super::*;

    fn alloc(status: &str, tasks: &[&str]) -> AllocStub {
        let states = tasks.iter().enumerate();
        AllocStub {
            task_group: "g".into(),
            client_status: status.into(),
            task_states: states
                .map(|(n, state)| (n.to_string(), TaskState { state: state.to_string(), ..TaskState::default() }))
                .collect(),
            ..AllocStub::default()
        }
    }

    #[test]
    fn a_job_runs_when_no_task_is_still_to_start() {
        let job = |count| Job {
            task_groups: vec![TaskGroup { name: "g".into(), count, ..TaskGroup::default() }],
            ..Job::default()
        };
        let table = [
            (0, vec![], Verdict::Running),
            (1, vec![], Verdict::Waiting),
            (1, vec![alloc("pending", &["pending"])], Verdict::Waiting),
            (1, vec![alloc("running", &["running", "pending"])], Verdict::Waiting),
            (1, vec![alloc("running", &["running", "dead"])], Verdict::Running),
            (2, vec![alloc("running", &["running"])], Verdict::Waiting),
            (2, vec![alloc("running", &["running"]), alloc("complete", &["dead"])], Verdict::Running),
            (2, vec![alloc("running", &["running"]), alloc("failed", &["dead"])], Verdict::Failed),
        ];
        for (count, allocs, expected) in table {
            assert_eq!(verdict(&job(count), &allocs), expected, "{count} {allocs:?}");
        }
    }
}
