//! Jobs on the board: how they are, what is kept of their past.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use longshore_core::caller::AllocId;
use longshore_job::model::{Job, Logs, RestartPolicy, Task, TaskGroup};

use crate::{
    alloc::dir,
    board::Board,
    shared::Shared,
    status::{Allocation, ClientStatus, Desired, GroupSummary, JobStatus},
};

/// A job with its allocations counted.
pub(crate) fn job_status(job: Arc<Job>, board: &Board) -> JobStatus {
    let mut summary: BTreeMap<String, GroupSummary> =
        job.task_groups.iter().map(|group| (group.name.clone(), GroupSummary::default())).collect();
    let mut open = false;
    for alloc in board.allocs_of_job(&job.id) {
        open |= !alloc.finished && alloc.desired == Desired::Run;
        let Some(counts) = summary.get_mut(&alloc.group) else { continue };
        match alloc.status {
            ClientStatus::Pending => counts.starting += 1,
            ClientStatus::Running => counts.running += 1,
            ClientStatus::Complete => counts.complete += 1,
            ClientStatus::Failed => counts.failed += 1,
        }
    }
    let running = summary.values().any(|counts| counts.running > 0);
    let status = match (job.stop || !open, running) {
        (true, _) => "dead",
        (false, true) => "running",
        (false, false) => "pending",
    };
    let mut shown = Job::clone(&job);
    shown.status = status.into();
    JobStatus { job: Arc::new(shown), summary }
}

/// Whether two versions of a job are the same to the person who wrote them.
fn same_job(one: &Job, other: &Job) -> bool {
    fn bare(job: &Job) -> Job {
        Job {
            stop: false,
            status: String::new(),
            version: 0,
            submit_time: 0,
            create_index: 0,
            modify_index: 0,
            job_modify_index: 0,
            ..job.clone()
        }
    }
    bare(one) == bare(other)
}

/// Whether an allocation of a group in one version of a job can go on in another: as Nomad decides it, nothing differs
/// that its tasks were started with.
pub(crate) fn fits_in_place(one: (&Job, &TaskGroup), other: (&Job, &TaskGroup)) -> bool {
    fn seen(job: &Job) -> (&str, &str, &str, longshore_job::model::JobKind, &BTreeMap<String, String>) {
        (&job.name, &job.namespace, &job.region, job.kind, &job.meta)
    }
    fn started_with(group: &TaskGroup) -> TaskGroup {
        let restart_policy =
            RestartPolicy { render_templates: group.restart_policy.render_templates, ..RestartPolicy::default() };
        TaskGroup {
            count: 0,
            update: None,
            reschedule_policy: None,
            migrate: None,
            disconnect: None,
            scaling: None,
            constraints: Vec::new(),
            affinities: Vec::new(),
            spreads: Vec::new(),
            services: Vec::new(),
            shutdown_delay: Duration::ZERO,
            max_run_duration: None,
            stop_after_client_disconnect: None,
            max_client_disconnect: None,
            prevent_reschedule_on_lost: false,
            restart_policy,
            tasks: group.tasks.iter().map(task_started_with).collect(),
            ..group.clone()
        }
    }
    seen(one.0) == seen(other.0) && started_with(one.1) == started_with(other.1)
}

/// Whether a task of one version of a job can go on as that of another.
pub(crate) fn task_fits_in_place(one: &Task, other: &Task) -> bool {
    task_started_with(one) == task_started_with(other)
}

/// A task without what may change while it runs.
fn task_started_with(task: &Task) -> Task {
    let default = Task::default();
    Task {
        constraints: Vec::new(),
        affinities: Vec::new(),
        services: Vec::new(),
        actions: Vec::new(),
        scaling_policies: Vec::new(),
        restart_policy: RestartPolicy {
            render_templates: task.restart_policy.render_templates,
            ..RestartPolicy::default()
        },
        kill_timeout: default.kill_timeout,
        kill_signal: default.kill_signal,
        shutdown_delay: default.shutdown_delay,
        leader: default.leader,
        // Files that are written go on as they are until the task starts again.
        logs: Logs { disabled: task.logs.disabled, ..default.logs },
        ..task.clone()
    }
}

/// What is to change about a job's allocations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// To be made: group, index, and the allocation each replaces.
    pub(crate) make: Vec<(String, u32, Option<AllocId>)>,
    /// To be stopped, and why.
    pub(crate) stop: Vec<(AllocId, &'static str)>,
    /// To go on as they are in the new version.
    pub(crate) update: Vec<AllocId>,
}

/// Compares what a job wants with what there is. Versions tell apart what is new: see [`settle`].
pub(crate) fn changes(job: &Job, allocs: &[Arc<Allocation>]) -> Changes {
    let mut changes = Changes::default();
    let live = |alloc: &&Arc<Allocation>| !alloc.finished && alloc.desired == Desired::Run;
    for alloc in allocs.iter().filter(live) {
        if job.task_groups.iter().all(|group| group.name != alloc.group) {
            changes.stop.push((alloc.id.clone(), "alloc not needed due to job update"));
        }
    }
    for group in &job.task_groups {
        let mut covered = BTreeSet::new();
        let mut replaced = BTreeMap::new();
        for alloc in allocs.iter().filter(|alloc| alloc.group == group.name) {
            let old = alloc.job.task_groups.iter().find(|old| old.name == group.name);
            let is_newest = alloc.job.version == job.version;
            let fits = is_newest || old.is_some_and(|old| fits_in_place((&alloc.job, old), (job, group)));
            if live(&alloc) && !fits {
                changes.stop.push((alloc.id.clone(), "alloc is being updated due to job update"));
                replaced.insert(alloc.index, alloc.id.clone());
            } else if live(&alloc) && (alloc.index >= group.count || !covered.insert(alloc.index)) {
                changes.stop.push((alloc.id.clone(), "alloc not needed due to job update"));
            } else if live(&alloc) && !is_newest {
                changes.update.push(alloc.id.clone());
            } else if fits && done(alloc, job) {
                covered.insert(alloc.index);
            }
        }
        let missing = (0..group.count).filter(|index| !covered.contains(index));
        changes.make.extend(missing.map(|index| (group.name.clone(), index, replaced.remove(&index))));
    }
    changes
}

/// Makes a job that says nothing new the newest version, and any other the next one. Answers whether it is new.
pub(crate) fn settle(job: &mut Job, newest: Option<&Job>) -> bool {
    match newest {
        Some(newest) if !newest.stop && same_job(newest, job) => {
            *job = newest.clone();
            false
        }
        newest => {
            job.stop = false;
            job.version = newest.map_or(0, |newest| newest.version + 1);
            true
        }
    }
}

/// Whether an allocation did what a batch job wants of it.
fn done(alloc: &Allocation, job: &Job) -> bool {
    job.kind.ends_on_success()
        && alloc.finished
        && alloc.desired == Desired::Run
        && alloc.status == ClientStatus::Complete
}

/// Forgets what is too old of the job of an allocation that has just ended.
pub(crate) async fn collect_garbage(shared: &Shared, ended: &AllocId) {
    let Some(job_id) = shared.board.alloc(ended).map(|alloc| alloc.job.id.clone()) else { return };
    let allocs = shared.board.allocs_of_job(&job_id);
    let ended = allocs.iter().filter(|alloc| alloc.finished && !alloc.network_remains);
    let old: Vec<AllocId> = ended.skip(shared.config.kept_allocations).map(|alloc| alloc.id.clone()).collect();
    forget_allocs(shared, &old).await;
    let used: BTreeSet<u64> = shared.board.allocs_of_job(&job_id).iter().map(|alloc| alloc.job.version).collect();
    let Some(entry) = shared.board.job(&job_id) else { return };
    let newest = entry.versions.keys().last().copied();
    let unused: Vec<u64> =
        entry.versions.keys().copied().filter(|version| Some(*version) != newest && !used.contains(version)).collect();
    let mut writes = shared.board.forget_evaluations(&job_id, shared.config.kept_allocations);
    if !unused.is_empty() {
        writes.extend(shared.board.forget_job_versions(&job_id, &unused));
    }
    if !writes.is_empty() {
        shared.board.journal().write_lazily(writes);
    }
}

/// Removes allocations' directories, then forgets them.
pub(crate) async fn forget_allocs(shared: &Shared, ids: &[AllocId]) {
    for id in ids {
        let (config, name) = (shared.config.clone(), id.0.clone());
        let removed = tokio::task::spawn_blocking(move || dir::remove(&config, &name)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(alloc = %id, %error, "cannot remove the directory of an allocation");
            continue;
        }
        shared.board.journal().write_lazily(shared.board.forget_alloc(id));
    }
}

/// Forgets a stopped job once all its allocations are gone, unless it is submitted anew before that.
pub(crate) async fn purge(shared: &Shared, job_id: &str) {
    if !shared.begin_purge(job_id) {
        return;
    }
    let mut index = shared.board.watch();
    loop {
        index.borrow_and_update();
        // Listed before that is looked at, so that none of a later submission is among them.
        let allocs = shared.board.allocs_of_job(job_id);
        if is_stopped(shared, job_id) && allocs.iter().all(|alloc| alloc.finished) {
            let ids: Vec<AllocId> = allocs.iter().map(|alloc| alloc.id.clone()).collect();
            forget_allocs(shared, &ids).await;
        }
        if forget_if_over(shared, job_id).await || index.changed().await.is_err() {
            return;
        }
    }
}

fn is_stopped(shared: &Shared, job_id: &str) -> bool {
    shared.board.job(job_id).is_some_and(|entry| entry.newest().is_some_and(|job| job.stop))
}

/// Forgets a stopped job that has no allocations left. Answers whether nobody has to wait for that any more.
async fn forget_if_over(shared: &Shared, job_id: &str) -> bool {
    // Removing directories takes its time: whoever submits the job meanwhile must find it, or find it gone.
    let _one = shared.deciding.lock().await;
    let stopped = is_stopped(shared, job_id);
    if stopped && !shared.board.allocs_of_job(job_id).is_empty() {
        return false;
    }
    let mut writes = if stopped { shared.board.forget_job(job_id) } else { Vec::new() };
    writes.push(crate::store::Write::purged(job_id));
    shared.board.journal().write_lazily(writes);
    shared.end_purge(job_id);
    true
}
