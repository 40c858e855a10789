//! What submitting a job would change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use longshore_job::model::Job;

use crate::{
    Allocation, SubmitError, check,
    jobs::{self, Changes},
    shared::Shared,
};

/// What submitting a job would change.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The version that is known now.
    pub known: Option<Arc<Job>>,
    /// The job, its `config` in the types that its drivers want.
    pub job: Job,
    /// By group, those that would go included.
    pub groups: BTreeMap<String, GroupUpdates>,
    /// What is suspicious but allowed.
    pub warnings: Vec<String>,
}

/// What would become of a group's allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupUpdates {
    /// Nothing.
    pub ignore: u64,
    /// They are made.
    pub place: u64,
    /// They are stopped.
    pub stop: u64,
    /// They go on as they are, in the new version.
    pub in_place_update: u64,
    /// They are stopped and made anew.
    pub destructive_update: u64,
}

impl Shared {
    /// Checks a job and says what submitting it would change.
    pub(crate) async fn plan(&self, mut job: Job) -> Result<Plan, SubmitError> {
        let warnings = check::job(self, &mut job).await?;
        let known = self.board.job(&job.id).and_then(|entry| entry.newest().cloned());
        jobs::settle(&mut job, known.as_deref());
        job.job_modify_index = known.as_ref().map_or(0, |known| known.job_modify_index);
        let allocs = self.board.allocs_of_job(&job.id);
        let changes = jobs::changes(&job, &allocs);
        let gone = known.iter().flat_map(|known| &known.task_groups);
        let names: BTreeSet<&String> = job.task_groups.iter().chain(gone).map(|group| &group.name).collect();
        let groups = names.into_iter().map(|name| (name.clone(), updates(name, &changes, &allocs))).collect();
        Ok(Plan { known, job, groups, warnings })
    }
}

fn updates(group: &str, changes: &Changes, allocs: &[Arc<Allocation>]) -> GroupUpdates {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let stops = |alloc: &Allocation| changes.stop.iter().any(|(id, _)| *id == alloc.id);
    let (stopped, kept): (Vec<_>, Vec<_>) =
        allocs.iter().filter(|alloc| alloc.group == group && !alloc.finished).partition(|alloc| stops(alloc));
    let updated = kept.iter().filter(|alloc| changes.update.contains(&alloc.id)).count();
    let made: Vec<_> = changes.make.iter().filter(|(name, ..)| name == group).collect();
    let replaced = made.iter().filter(|(.., replaced)| replaced.is_some()).count();
    GroupUpdates {
        ignore: count(kept.len() - updated),
        place: count(made.len() - replaced),
        stop: count(stopped.len().saturating_sub(replaced)),
        in_place_update: count(updated),
        destructive_update: count(replaced),
    }
}
