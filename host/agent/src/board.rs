//! All that the agent knows, in memory: what queries answer from, and the one place that changes it.
//!
//! Every change gets the next modify index. Changes that matter after a crash are queued for the journal
//! under the same lock, so the journal sees them in the same order.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use longshore_core::{
    added_port::{AddedPort, Change},
    caller::{AllocId, TaskId},
};
use longshore_job::model::Job;
use tokio::sync::watch;

use crate::{
    status::{Allocation, ClientStatus, Evaluation, Submission, TaskEvent, TaskPhase, TaskState},
    store::{AllocRecord, Journal, LogPosition, Pending, RelayTarget, TaskRecord, Write},
    task::events,
};

/// How far the index jumps when an agent starts: past every index that was shown but not journalled.
const INDEX_GAP: u64 = 1_000;

/// A job, its versions and its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobEntry {
    /// Versions that allocations still run, and the newest.
    pub(crate) versions: BTreeMap<u64, Arc<Job>>,
    /// What the newest was submitted as.
    pub(crate) submission: Submission,
}

impl JobEntry {
    /// The newest version.
    pub(crate) fn newest(&self) -> Option<&Arc<Job>> {
        self.versions.last_key_value().map(|(_, job)| job)
    }
}

struct AllocEntry {
    view: Arc<Allocation>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    index: u64,
    jobs: BTreeMap<String, JobEntry>,
    allocs: BTreeMap<AllocId, AllocEntry>,
    evaluations: BTreeMap<String, Arc<Evaluation>>,
    log_positions: BTreeMap<TaskId, LogPosition>,
}

impl Known {
    fn next_index(&mut self) -> u64 {
        self.index += 1;
        self.index
    }
}

/// The agent's knowledge.
pub(crate) struct Board {
    journal: Arc<Journal>,
    known: Mutex<Known>,
    index: watch::Sender<u64>,
}

impl Board {
    /// A board that goes on after `index`.
    pub(crate) fn new(journal: Arc<Journal>, index: u64) -> Self {
        let index = index + INDEX_GAP;
        Self { journal, known: Mutex::new(Known { index, ..Known::default() }), index: watch::Sender::new(index) }
    }

    /// Nothing in here leaves the board half changed, so a panic elsewhere while it was locked is no reason to stop.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last index, and a watch on it.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    fn announce(&self, index: u64) {
        self.index.send_if_modified(|seen| {
            let newer = index > *seen;
            *seen = index.max(*seen);
            newer
        });
    }

    /// The journal.
    pub(crate) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }
}

/// Jobs and evaluations.
impl Board {
    /// Jobs whose id begins with `prefix`, by id.
    pub(crate) fn jobs(&self, prefix: &str) -> Vec<Arc<Job>> {
        let known = self.known();
        let matching = known.jobs.iter().filter(|(id, _)| id.starts_with(prefix));
        matching.filter_map(|(_, entry)| entry.newest().cloned()).collect()
    }

    /// A job.
    pub(crate) fn job(&self, id: &str) -> Option<JobEntry> {
        self.known().jobs.get(id).cloned()
    }

    /// The index the next change will get at least.
    pub(crate) fn upcoming_index(&self) -> u64 {
        self.known().index + 1
    }

    /// Stores a version of a job that is journalled. `submission` replaces the last.
    pub(crate) fn put_job(&self, job: Job, submission: Option<Submission>) {
        let mut known = self.known();
        let index = known.next_index();
        let entry = known.jobs.entry(job.id.clone()).or_default();
        entry.versions.insert(job.version, Arc::new(job));
        if let Some(submission) = submission {
            entry.submission = submission;
        }
        drop(known);
        self.announce(index);
    }

    /// Puts back what the journal had.
    pub(crate) fn restore_job(&self, job: Arc<Job>, submission: Option<Submission>) {
        let mut known = self.known();
        let entry = known.jobs.entry(job.id.clone()).or_default();
        entry.versions.insert(job.version, job);
        entry.submission = submission.unwrap_or_default();
    }

    /// Forgets versions of a job; answers what is to be written.
    pub(crate) fn forget_job_versions(&self, id: &str, versions: &[u64]) -> Vec<Write> {
        let mut known = self.known();
        if let Some(entry) = known.jobs.get_mut(id) {
            entry.versions.retain(|version, _| !versions.contains(version));
        }
        versions.iter().map(|version| Write::forget_job(id, *version)).collect()
    }

    /// Forgets a job, its text and its evaluations; answers what is to be written.
    pub(crate) fn forget_job(&self, id: &str) -> Vec<Write> {
        let mut known = self.known();
        let index = known.next_index();
        let versions = known.jobs.remove(id).map(|entry| entry.versions).unwrap_or_default();
        drop(known);
        self.announce(index);
        let mut writes: Vec<Write> = versions.keys().map(|version| Write::forget_job(id, *version)).collect();
        writes.push(Write::forget_submission(id));
        writes.extend(self.forget_evaluations(id, 0));
        writes
    }

    /// An evaluation.
    pub(crate) fn evaluation(&self, id: &str) -> Option<Arc<Evaluation>> {
        self.known().evaluations.get(id).cloned()
    }

    /// Evaluations of a job, the newest first.
    pub(crate) fn evaluations(&self, job_id: &str) -> Vec<Arc<Evaluation>> {
        let known = self.known();
        let mut found: Vec<_> =
            known.evaluations.values().filter(|evaluation| evaluation.job_id == job_id).cloned().collect();
        found.sort_by_key(|evaluation| std::cmp::Reverse(evaluation.create_index));
        found
    }

    /// Stores an evaluation that is journalled.
    pub(crate) fn put_evaluation(&self, evaluation: Evaluation) -> Arc<Evaluation> {
        let evaluation = Arc::new(evaluation);
        self.known().evaluations.insert(evaluation.id.clone(), evaluation.clone());
        evaluation
    }

    /// Forgets all but the newest evaluations of a job; answers what is to be written.
    pub(crate) fn forget_evaluations(&self, job_id: &str, kept: usize) -> Vec<Write> {
        let old: Vec<_> = self.evaluations(job_id).into_iter().skip(kept).collect();
        let mut known = self.known();
        for evaluation in &old {
            known.evaluations.remove(&evaluation.id);
        }
        old.iter().map(|evaluation| Write::forget_evaluation(&evaluation.id)).collect()
    }
}

/// Allocations and tasks.
impl Board {
    /// Allocations whose id begins with `prefix`, the newest first.
    pub(crate) fn allocs(&self, prefix: &str) -> Vec<Arc<Allocation>> {
        self.allocs_where(|alloc| alloc.id.0.starts_with(prefix))
    }

    /// Allocations of all versions of a job, the newest first.
    pub(crate) fn allocs_of_job(&self, job_id: &str) -> Vec<Arc<Allocation>> {
        self.allocs_where(|alloc| alloc.job.id == job_id)
    }

    fn allocs_where(&self, keep: impl Fn(&Allocation) -> bool) -> Vec<Arc<Allocation>> {
        let known = self.known();
        let mut found: Vec<_> =
            known.allocs.values().map(|entry| &entry.view).filter(|view| keep(view)).cloned().collect();
        found.sort_by_key(|alloc| std::cmp::Reverse(alloc.create_index));
        found
    }

    /// An allocation.
    pub(crate) fn alloc(&self, id: &AllocId) -> Option<Arc<Allocation>> {
        self.known().allocs.get(id).map(|entry| entry.view.clone())
    }

    /// Tells of every change of one allocation.
    pub(crate) fn watch_alloc(&self, id: &AllocId) -> Option<watch::Receiver<u64>> {
        self.known().allocs.get(id).map(|entry| entry.changed.subscribe())
    }

    /// Adds an allocation that is journalled.
    pub(crate) fn put_alloc(&self, mut alloc: Allocation) {
        let mut known = self.known();
        let index = known.next_index();
        alloc.modify_index = index;
        let entry = AllocEntry { changed: watch::Sender::new(index), view: Arc::new(alloc) };
        known.allocs.insert(entry.view.id.clone(), entry);
        drop(known);
        self.announce(index);
    }

    /// Changes an allocation; the change is queued for the journal.
    pub(crate) fn change_alloc(&self, id: &AllocId, change: impl FnOnce(&mut Allocation)) -> Option<Pending> {
        self.alter_alloc(id, change, |writes| self.journal.write(writes))
    }

    /// Changes an allocation; the journal has it on the disk with whatever must be there next. Answers whether there is
    /// such an allocation.
    pub(crate) fn note_alloc(&self, id: &AllocId, change: impl FnOnce(&mut Allocation)) -> bool {
        self.alter_alloc(id, change, |writes| self.journal.write_lazily(writes)).is_some()
    }

    fn alter_alloc<T>(
        &self,
        id: &AllocId,
        change: impl FnOnce(&mut Allocation),
        queue: impl FnOnce(Vec<Write>) -> T,
    ) -> Option<T> {
        let (index, queued) = {
            let mut known = self.known();
            let index = known.next_index();
            let entry = known.allocs.get_mut(id)?;
            let alloc = touch(entry, index);
            change(alloc);
            let write = Write::alloc(&record(alloc));
            (index, queue(vec![Write::index(index), write]))
        };
        self.announce(index);
        Some(queued)
    }

    /// Changes a task's state and queues its record (which gets the new state) for the journal.
    pub(crate) fn change_task(
        &self,
        id: &TaskId,
        record: &mut TaskRecord,
        change: impl FnOnce(&mut TaskState),
    ) -> Option<Pending> {
        self.alter_task(id, record, change, |writes| self.journal.write(writes))
    }

    /// Queues a task's record, with its state as it is now: the journal has it on the disk with whatever must be there
    /// next.
    pub(crate) fn note_task(&self, id: &TaskId, record: &mut TaskRecord) {
        self.alter_task(id, record, |_| {}, |writes| self.journal.write_lazily(writes));
    }

    fn alter_task<T>(
        &self,
        id: &TaskId,
        record: &mut TaskRecord,
        change: impl FnOnce(&mut TaskState),
        queue: impl FnOnce(Vec<Write>) -> T,
    ) -> Option<T> {
        let (index, queued) = {
            let mut known = self.known();
            let index = known.next_index();
            record.state = change_state(known.allocs.get_mut(&id.alloc)?, &id.task, index, |state| {
                change(state);
                state.clone()
            })?;
            (index, queue(vec![Write::index(index), Write::task(id, record)]))
        };
        self.announce(index);
        Some(queued)
    }

    /// Adds an event that the journal gets with the task's next change.
    pub(crate) fn add_event(&self, id: &TaskId, event: TaskEvent) {
        let index = {
            let mut known = self.known();
            let index = known.next_index();
            let Some(entry) = known.allocs.get_mut(&id.alloc) else { return };
            change_state(entry, &id.task, index, |state| events::push(state, event));
            index
        };
        self.announce(index);
    }

    /// How far a task's output was written.
    pub(crate) fn log_position(&self, id: &TaskId) -> LogPosition {
        self.known().log_positions.get(id).cloned().unwrap_or_default()
    }

    /// Remembers how far a task's output was written.
    pub(crate) fn set_log_position(&self, id: &TaskId, position: LogPosition) {
        self.known().log_positions.insert(id.clone(), position);
    }

    /// Forgets an allocation.
    pub(crate) fn forget_alloc(&self, id: &AllocId) -> Vec<Write> {
        let mut known = self.known();
        let index = known.next_index();
        let Some(entry) = known.allocs.remove(id) else { return Vec::new() };
        known.log_positions.retain(|task, _| task.alloc != *id);
        drop(known);
        self.announce(index);
        Write::forget_alloc(id, entry.view.tasks.keys())
    }
}

impl RelayTarget for Board {
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>) {
        self.add_event(task, events::driver(message, annotations));
    }

    fn change_added_ports(&self, alloc: &AllocId, change: Change) -> Option<(Vec<AddedPort>, Pending)> {
        let mut before = Vec::new();
        let pending = self.change_alloc(alloc, |alloc| {
            before.clone_from(&alloc.added_ports);
            change(&mut alloc.added_ports);
        })?;
        Some((before, pending))
    }
}

fn touch(entry: &mut AllocEntry, index: u64) -> &mut Allocation {
    entry.changed.send_replace(index);
    let alloc = Arc::make_mut(&mut entry.view);
    alloc.modify_index = index;
    alloc.modify_time = SystemTime::now();
    alloc
}

/// Changes one task's state, and the allocation's status with it.
fn change_state<T>(
    entry: &mut AllocEntry,
    task: &str,
    index: u64,
    change: impl FnOnce(&mut TaskState) -> T,
) -> Option<T> {
    let alloc = touch(entry, index);
    let answer = change(alloc.tasks.get_mut(task)?);
    alloc.status = client_status(alloc.tasks.values());
    Some(answer)
}

/// How an allocation is, seen from its tasks.
pub(crate) fn client_status<'a>(tasks: impl Iterator<Item = &'a TaskState> + Clone) -> ClientStatus {
    let any = |phase: TaskPhase| tasks.clone().any(|task| task.phase == phase);
    if tasks.clone().any(|task| task.phase == TaskPhase::Dead && task.failed) {
        ClientStatus::Failed
    } else if any(TaskPhase::Running) {
        ClientStatus::Running
    } else if any(TaskPhase::Pending) {
        ClientStatus::Pending
    } else {
        ClientStatus::Complete
    }
}

/// The journal's form of an allocation.
pub(crate) fn record(alloc: &Allocation) -> AllocRecord {
    AllocRecord {
        id: alloc.id.clone(),
        name: alloc.name.clone(),
        group: alloc.group.clone(),
        index: alloc.index,
        job_id: alloc.job.id.clone(),
        job_version: alloc.job.version,
        eval_id: alloc.eval_id.clone(),
        previous: alloc.previous.clone(),
        desired: alloc.desired,
        desired_description: alloc.desired_description.clone(),
        finished: alloc.finished,
        network_mode: alloc.network_mode.clone(),
        network: alloc.network.clone(),
        network_handle: alloc.network_handle.clone(),
        network_remains: alloc.network_remains,
        ports: alloc.ports.clone(),
        added_ports: alloc.added_ports.clone(),
        cores: alloc.cores.clone(),
        images: alloc.images.clone(),
        create_time: alloc.create_time,
        create_index: alloc.create_index,
    }
}
