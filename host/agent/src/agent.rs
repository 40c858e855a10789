//! The facade: what the HTTP API, the command line and tests ask of an agent.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use longshore_core::{
    backends::Backends,
    caller::AllocId,
    driver::{Drivers, Task},
    exec::{ExecRequest, ExecStream},
    network::{Listener, Obstacle, Wiring},
    workload::{OutputStream, Usage},
};
use longshore_job::model::Job;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use crate::{
    AgentConfig, AgentError, AgentStore, Allocation, ControlError, Evaluation, HostPort, JobStatus, LogStart,
    LogStream, Node, Plan, Submission, SubmitError, jobs, shared::Shared,
};

/// A running agent. Clones are the same agent.
///
/// Dropping the last clone, like [`Agent::shutdown`], ends the supervision and leaves all tasks running:
/// the next agent on the same data directory finds them again.
#[derive(Clone)]
pub struct Agent {
    shared: Arc<Shared>,
    /// Ends the supervision with the last clone.
    _closing: Arc<DropGuard>,
}

/// A job to be submitted.
#[derive(Clone, Debug, Default)]
pub struct SubmitOptions {
    /// What the job was written as, kept for `job inspect`.
    pub submission: Submission,
    /// Refuse unless the job's modify index is this one; 0 means "must not exist".
    pub enforce_index: Option<u64>,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The evaluation to look at.
    pub eval_id: String,
    /// The job's modify index now.
    pub job_modify_index: u64,
    /// Allocations that were made (none when nothing changed).
    pub allocations: Vec<AllocId>,
    /// What was accepted without effect, one line each.
    pub warnings: Vec<String>,
}

/// Life.
impl Agent {
    /// Reads the journal, takes up again what it says should run, and serves. Returns as soon as requests can
    /// be answered; recovery goes on in the background.
    pub async fn start(
        store: AgentStore,
        config: AgentConfig,
        backends: Backends,
        drivers: Arc<dyn Drivers>,
    ) -> Result<Self, AgentError> {
        let shared = Shared::start(store, config, backends, drivers).await?;
        let _closing = Arc::new(shared.closing().drop_guard());
        Ok(Self { shared, _closing })
    }

    /// Ends the supervision; tasks keep running. Returns when everything is in the journal.
    pub async fn shutdown(self) {
        self.shared.shutdown().await;
    }

    /// Stops all jobs and waits until all their tasks are gone: the end of a foreground `run FILE`.
    pub async fn drain(&self) -> Result<(), ControlError> {
        for job in self.shared.board.jobs("") {
            self.stop_job(&job.id, true).await?;
        }
        self.wait_finished(|_| true).await;
        Ok(())
    }

    /// Waits until all allocations that `which` names (by job id) are over and cleaned up.
    pub async fn wait_finished(&self, which: impl Fn(&str) -> bool) {
        let mut index = self.watch();
        loop {
            index.borrow_and_update();
            let open = self.shared.board.allocs("").iter().any(|alloc| which(&alloc.job.id) && !alloc.finished);
            if !open || index.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Jobs.
impl Agent {
    /// Checks a job and starts it, or refuses it before anything starts.
    pub async fn submit(&self, job: Job, options: SubmitOptions) -> Result<Submitted, SubmitError> {
        self.shared.submit(job, options).await
    }

    /// Checks a job as [`Agent::submit`] does, ports excepted; answers warnings.
    pub async fn validate(&self, job: &Job) -> Result<Vec<String>, SubmitError> {
        self.shared.validate(job).await
    }

    /// Checks a job as [`Agent::validate`] does and says what submitting it would change.
    pub async fn plan(&self, job: Job) -> Result<Plan, SubmitError> {
        self.shared.plan(job).await
    }

    /// Jobs whose id begins with `prefix`, by id.
    pub fn jobs(&self, prefix: &str) -> Vec<JobStatus> {
        self.shared.board.jobs(prefix).into_iter().map(|job| self.job_status(job)).collect()
    }

    /// A job by its whole id.
    pub fn job(&self, id: &str) -> Option<JobStatus> {
        let job = self.shared.board.job(id)?.newest()?.clone();
        Some(self.job_status(job))
    }

    /// What a job was submitted as.
    pub fn submission(&self, job_id: &str) -> Option<Submission> {
        self.shared.board.job(job_id).map(|entry| entry.submission)
    }

    /// Stops a job; `purge` also forgets it once its tasks are gone. Returns when the decision is durable,
    /// not when the tasks have ended (see [`Agent::wait_finished`]).
    pub async fn stop_job(&self, id: &str, purge: bool) -> Result<Arc<Evaluation>, ControlError> {
        self.shared.stop_job(id, purge).await
    }

    /// An evaluation.
    pub fn evaluation(&self, id: &str) -> Option<Arc<Evaluation>> {
        self.shared.board.evaluation(id)
    }

    /// Evaluations of a job, the newest first.
    pub fn evaluations(&self, job_id: &str) -> Vec<Arc<Evaluation>> {
        self.shared.board.evaluations(job_id)
    }

    fn job_status(&self, job: Arc<Job>) -> JobStatus {
        jobs::job_status(job, &self.shared.board)
    }
}

/// Allocations and tasks.
impl Agent {
    /// Allocations whose id begins with `prefix`, the newest first.
    pub fn allocations(&self, prefix: &str) -> Vec<Arc<Allocation>> {
        self.shared.board.allocs(prefix)
    }

    /// Allocations of a job, the newest first.
    pub fn allocations_of(&self, job_id: &str) -> Vec<Arc<Allocation>> {
        self.shared.board.allocs_of_job(job_id)
    }

    /// An allocation by its whole id.
    pub fn allocation(&self, id: &str) -> Option<Arc<Allocation>> {
        self.shared.board.alloc(&AllocId(id.to_owned()))
    }

    /// Stops an allocation; unless its job was stopped, a new one takes its place.
    pub async fn stop_allocation(&self, id: &str) -> Result<Arc<Evaluation>, ControlError> {
        self.shared.stop_allocation(id).await
    }

    /// Restarts one task, or all running ones, outside the restart policy.
    pub fn restart_allocation(&self, id: &str, task: Option<&str>) -> Result<(), ControlError> {
        self.shared.restart_allocation(id, task)
    }

    /// Sends a signal (`SIGHUP`) to one task, or to all running ones.
    pub async fn signal_allocation(&self, id: &str, task: Option<&str>, signal: &str) -> Result<(), ControlError> {
        self.shared.signal_allocation(id, task, signal).await
    }

    /// The running tasks of a driver and the handles it gave: what a new version of it is tried on.
    pub async fn handles_of(&self, driver: &str) -> Vec<(Task, Vec<u8>)> {
        self.shared.handles_of(driver).await
    }

    /// Runs a command inside a running task.
    pub async fn exec(&self, alloc: &str, task: &str, request: ExecRequest) -> Result<ExecStream, ControlError> {
        self.shared.exec(alloc, task, request).await
    }

    /// What the drivers of an allocation's running tasks know of them now, by task.
    pub async fn facts(&self, alloc: &Allocation) -> BTreeMap<String, BTreeMap<String, String>> {
        self.shared.facts(&alloc.id).await
    }

    /// A task's output from a place on; `follow` goes on until the task is dead.
    pub fn logs(
        &self,
        alloc: &str,
        task: &str,
        stream: OutputStream,
        start: LogStart,
        follow: bool,
    ) -> Result<LogStream, ControlError> {
        self.shared.logs(alloc, task, stream, start, follow)
    }

    /// What lies between an allocation and the others, and who listens in its network: in the host's, whoever does.
    pub async fn look_at_network(&self, alloc: &str) -> Result<(Arc<Allocation>, Wiring, Vec<Listener>), ControlError> {
        self.shared.look_at_network(alloc).await
    }

    /// What the running tasks of an allocation use, by task; tasks that cannot be measured are left out.
    pub async fn usage(&self, alloc: &str) -> Result<BTreeMap<String, Usage>, ControlError> {
        self.shared.usage(alloc).await
    }
}

/// The machine and changes.
impl Agent {
    /// The machine and its drivers.
    pub fn node(&self) -> Node {
        self.shared.node()
    }

    /// Every port of this machine that was given out, by number.
    pub async fn host_ports(&self) -> Result<Vec<HostPort>, ControlError> {
        self.shared.host_ports().await
    }

    /// Numbers of ports that are given to nobody.
    pub fn kept_free(&self) -> Vec<RangeInclusive<u16>> {
        self.shared.kept_free()
    }

    /// What stands in the way of networks of allocations on this machine, looked at now.
    pub async fn obstacles(&self) -> Vec<Obstacle> {
        self.shared.obstacles().await
    }

    /// The modify index of the last change; at least 1, never falls, not even over restarts.
    pub fn index(&self) -> u64 {
        *self.shared.board.watch().borrow()
    }

    /// A watch on [`Agent::index`], for blocking queries.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.board.watch()
    }
}

#[cfg(test)]
impl Agent {
    /// The parts, for tests that look behind the facade.
    pub(crate) fn shared_for_tests(&self) -> &Arc<Shared> {
        &self.shared
    }
}
