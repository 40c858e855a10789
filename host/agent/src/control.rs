//! Requests about jobs, allocations and tasks that exist.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use longshore_core::{
    caller::AllocId,
    driver::{Task, Watch},
    error::HostError,
    exec::{ExecRequest, ExecSession, ExecStream},
    workload::Usage,
};
use longshore_job::model::{Job, JobKind};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    Allocation, ControlError, Desired, Evaluation, TaskPhase,
    alloc::{AllocControl, runner::unknown_task},
    board, jobs,
    shared::Shared,
    store::Write,
    task::{Live, TaskControl, events},
};

/// How long a request waits for a task to be found again.
const FIND: Duration = Duration::from_secs(5);
/// How long a driver may take to say what it knows of a task.
const ANSWER: Duration = Duration::from_secs(2);
/// Why allocations end with their job.
const JOB_STOPPED: &str = "alloc not needed as job is stopped";

fn kind_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Service => "service",
        JobKind::Batch => "batch",
        JobKind::System => "system",
        JobKind::Sysbatch => "sysbatch",
    }
}

/// Jobs.
impl Shared {
    /// Stops a job's allocations; with `purge` it is forgotten after that.
    pub(crate) async fn stop_job(self: &Arc<Self>, id: &str, purge: bool) -> Result<Arc<Evaluation>, ControlError> {
        let _one = self.deciding.lock().await;
        let unknown = || ControlError::UnknownJob(id.to_owned());
        let newest = self.board.job(id).and_then(|entry| entry.newest().cloned()).ok_or_else(unknown)?;
        let index = self.board.upcoming_index();
        let job = Job { stop: true, modify_index: index, job_modify_index: index, ..Job::clone(&newest) };
        let evaluation = self.evaluation(&job, "job-deregister");
        let allocs = self.board.allocs_of_job(id);
        let live: Vec<_> = allocs.iter().filter(|alloc| !alloc.finished).map(|alloc| alloc.id.clone()).collect();
        let mut writes = vec![Write::job(&job), Write::evaluation(&evaluation)];
        writes.extend(self.stop_writes(live.iter().map(|id| (id, JOB_STOPPED))));
        if purge {
            writes.push(Write::purging(id));
        }
        self.board.journal().write(writes).durable().await?;
        self.board.put_job(job, None);
        let evaluation = self.board.put_evaluation(evaluation);
        for alloc in &live {
            self.stop_now(alloc, JOB_STOPPED);
        }
        if purge {
            let (shared, id) = (self.clone(), id.to_owned());
            self.spawn(async move { jobs::purge(&shared, &id).await });
        }
        Ok(evaluation)
    }

    /// A finished evaluation of a job.
    pub(crate) fn evaluation(&self, job: &Job, triggered_by: &str) -> Evaluation {
        Evaluation {
            id: crate::id::uuid(),
            job_id: job.id.clone(),
            job_type: kind_name(job.kind).to_owned(),
            triggered_by: triggered_by.to_owned(),
            status: "complete".into(),
            job_modify_index: job.job_modify_index,
            create_time: SystemTime::now(),
            create_index: self.board.upcoming_index(),
        }
    }

    /// The records of allocations as they will be once they are told to stop.
    pub(crate) fn stop_writes<'a>(&self, stop: impl Iterator<Item = (&'a AllocId, &'a str)>) -> Vec<Write> {
        let stopped = stop.filter_map(|(id, why)| {
            let mut alloc = Allocation::clone(&*self.board.alloc(id)?);
            set_stop(&mut alloc, why);
            Some(Write::alloc(&board::record(&alloc)))
        });
        stopped.collect()
    }

    /// Tells an allocation to stop whose record already says so.
    pub(crate) fn stop_now(&self, id: &AllocId, why: &str) {
        self.board.note_alloc(id, |alloc| set_stop(alloc, why));
        if let Some(control) = self.control(id) {
            control.stop.send_replace(true);
        }
    }
}

/// Allocations that go on while their job changes.
impl Shared {
    /// The records of allocations as they will be in a version of their job.
    pub(crate) fn update_writes(&self, ids: &[AllocId], job: &Arc<Job>) -> Vec<Write> {
        let updated = ids.iter().filter_map(|id| {
            let alloc = Allocation { job: job.clone(), ..Allocation::clone(&*self.board.alloc(id)?) };
            Some(Write::alloc(&board::record(&alloc)))
        });
        updated.collect()
    }

    /// Gives an allocation a version of its job that its record already has. Its keepers look it up when they decide.
    pub(crate) fn update_now(&self, id: &AllocId, job: &Arc<Job>) {
        self.board.note_alloc(id, |alloc| alloc.job = job.clone());
    }
}

fn set_stop(alloc: &mut Allocation, why: &str) {
    alloc.desired = Desired::Stop;
    alloc.desired_description = why.to_owned();
}

/// Allocations.
impl Shared {
    /// Stops an allocation and, if its job still wants one, makes another.
    pub(crate) async fn stop_allocation(self: &Arc<Self>, id: &str) -> Result<Arc<Evaluation>, ControlError> {
        let alloc = self.alloc(id)?;
        let _one = self.deciding.lock().await;
        let job = self.board.job(&alloc.job.id).and_then(|entry| entry.newest().cloned());
        let job = job.unwrap_or_else(|| alloc.job.clone());
        let evaluation = self.evaluation(&job, "alloc-stop");
        let why = "alloc was stopped by a user";
        let wanted = job.task_groups.iter().any(|group| group.name == alloc.group && alloc.index < group.count);
        let live = !alloc.finished && alloc.desired == Desired::Run;
        let successor = (live && wanted && !job.stop)
            .then(|| self.new_alloc(&job, &evaluation.id, &alloc.group, alloc.index, Some(alloc.id.clone()), &[]))
            .flatten()
            // It starts when the other is gone.
            .map(|successor| Allocation { cores: alloc.cores.clone(), ..successor });
        let mut writes = vec![Write::evaluation(&evaluation)];
        if live {
            writes.extend(self.stop_writes([(&alloc.id, why)].into_iter()));
        }
        writes.extend(successor.iter().map(|alloc| Write::alloc(&board::record(alloc))));
        self.board.journal().write(writes).durable().await?;
        let evaluation = self.board.put_evaluation(evaluation);
        if live {
            self.stop_now(&alloc.id, why);
        }
        if let Some(successor) = successor {
            self.begin(successor, BTreeMap::new());
        }
        Ok(evaluation)
    }

    /// Restarts tasks outside the restart policy.
    pub(crate) fn restart_allocation(&self, id: &str, task: Option<&str>) -> Result<(), ControlError> {
        let (alloc, control) = self.running_alloc(id, task)?;
        let is_running = |name: &String| alloc.tasks.get(name).is_some_and(|state| state.phase == TaskPhase::Running);
        let running: Vec<_> = chosen(&control, task).filter(|(name, _)| is_running(name)).collect();
        running.iter().for_each(|(_, control)| control.restart());
        if running.is_empty() { Err(not_running(&alloc, task)) } else { Ok(()) }
    }

    /// Sends a signal to tasks.
    pub(crate) async fn signal_allocation(
        &self,
        id: &str,
        task: Option<&str>,
        signal: &str,
    ) -> Result<(), ControlError> {
        let (alloc, control) = self.running_alloc(id, task)?;
        let mut sent = false;
        for (name, control) in chosen(&control, task) {
            self.until_found(&alloc, name, control).await;
            let live = control.live.lock().await;
            let Some(live) = live.as_ref() else { continue };
            self.board.add_event(&live.task.id, events::signaling(signal));
            live.driver(self)?.signal(&live.task, &live.started.handle, signal).await?;
            sent = true;
        }
        if sent { Ok(()) } else { Err(not_running(&alloc, task)) }
    }

    /// The running tasks of a driver, with their handles.
    pub(crate) async fn handles_of(&self, driver: &str) -> Vec<(Task, Vec<u8>)> {
        let controls: Vec<_> = self.runners().values().cloned().collect();
        let mut handles = Vec::new();
        for task in controls.iter().flat_map(|control| control.tasks.values()) {
            let live = task.live.lock().await.clone();
            handles.extend(
                live.filter(|live| live.driver == driver)
                    .map(|live| (Task::clone(&live.task), live.started.handle.clone())),
            );
        }
        handles
    }

    /// Runs a command inside a task.
    pub(crate) async fn exec(&self, alloc: &str, task: &str, request: ExecRequest) -> Result<ExecStream, ControlError> {
        if request.command.is_empty() {
            return Err(ControlError::Invalid("command is not present".into()));
        }
        let (alloc, control) = self.running_alloc(alloc, Some(task))?;
        let not_running = || ControlError::NotRunning(task.to_owned());
        let control = control.tasks.get(task).ok_or_else(not_running)?;
        self.until_found(&alloc, task, control).await;
        let guard = control.live.lock().await;
        let live = guard.clone().ok_or_else(not_running)?;
        let session = live.driver(self)?.exec(&live.task, &live.started.handle, &request).await?;
        drop(guard);
        let absent = |what: &str| HostError::Unavailable(format!("this host has no {what}"));
        let stream = match session {
            ExecSession::Container(session) => {
                let containers = self.backends.containers.as_ref().ok_or_else(|| absent("container engine"))?;
                containers.attach_exec(&live.caller(), &session).await?
            }
            ExecSession::Process(session) => {
                let processes = self.backends.processes.as_ref().ok_or_else(|| absent("processes"))?;
                processes.attach_exec(&live.caller(), &session).await?
            }
        };
        Ok(stream)
    }

    /// What an allocation's running tasks use.
    pub(crate) async fn usage(&self, alloc: &str) -> Result<BTreeMap<String, Usage>, ControlError> {
        let view = self.alloc(alloc)?;
        let Some(control) = self.control(&view.id) else { return Ok(BTreeMap::new()) };
        let mut found = BTreeMap::new();
        for (name, control) in &control.tasks {
            let Some(live) = control.live.lock().await.clone() else { continue };
            match self.measure(&live).await {
                Ok(usage) => {
                    found.insert(name.clone(), usage);
                }
                Err(error) => tracing::debug!(task = %live.task.id, %error, "cannot measure a task"),
            }
        }
        Ok(found)
    }

    /// What the drivers of an allocation's running tasks know of them now. A task that is just being worked on, and one
    /// whose driver does not answer at once, is left out.
    pub(crate) async fn facts(&self, alloc: &AllocId) -> BTreeMap<String, BTreeMap<String, String>> {
        let Some(control) = self.control(alloc) else { return BTreeMap::new() };
        let asked = control.tasks.iter().map(async |(name, control)| {
            let live = control.live.try_lock().ok()?;
            let live = live.as_ref()?;
            let driver = live.driver(self).ok()?;
            let said = timeout(ANSWER, driver.inspect(&live.task, &live.started.handle)).await.ok()?;
            let mut facts = said.ok()?.attributes;
            let network = live.started.network.as_ref().filter(|network| network.auto_advertise);
            facts.extend(network.map(|network| ("advertised_address".to_owned(), network.address.clone())));
            Some((name.clone(), facts))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn measure(&self, live: &Live) -> Result<Usage, ControlError> {
        let driver = live.driver(self)?;
        if driver.info().capabilities.stats {
            return Ok(driver.sample(&live.task, &live.started.handle).await?);
        }
        let (caller, backends) = (live.caller(), &self.backends);
        let unmeasured = || HostError::Unavailable("the host cannot see this task".into());
        let usage = match &live.started.watch {
            Watch::Container(id) => backends.containers.as_ref().ok_or_else(unmeasured)?.usage(&caller, id).await?,
            Watch::Process(id) => backends.processes.as_ref().ok_or_else(unmeasured)?.usage(&caller, id).await?,
            Watch::Component(id) => backends.components.as_ref().ok_or_else(unmeasured)?.usage(&caller, id).await?,
            Watch::Poll(_) => return Err(unmeasured().into()),
        };
        Ok(usage)
    }

    /// A task that runs is, just after the agent was started, not found again yet: waits for that.
    async fn until_found(&self, alloc: &Allocation, task: &str, control: &TaskControl) {
        let deadline = Instant::now() + FIND;
        while Instant::now() < deadline && control.live.lock().await.is_none() {
            let now = self.board.alloc(&alloc.id);
            let state = now.as_ref().and_then(|now| now.tasks.get(task));
            if state.is_none_or(|state| state.phase != TaskPhase::Running) {
                return;
            }
            sleep(FIND / 100).await;
        }
    }

    /// An allocation that is looked after, with a task of that name if one is given.
    fn running_alloc(
        &self,
        id: &str,
        task: Option<&str>,
    ) -> Result<(Arc<Allocation>, Arc<AllocControl>), ControlError> {
        let alloc = self.alloc(id)?;
        if let Some(task) = task
            && !alloc.tasks.contains_key(task)
        {
            return Err(unknown_task(&alloc, task));
        }
        let control = self.control(&alloc.id).ok_or_else(|| not_running(&alloc, task))?;
        Ok((alloc, control))
    }
}

/// What is told of an allocation none of whose tasks runs, or not the one that was meant.
fn not_running(alloc: &Allocation, task: Option<&str>) -> ControlError {
    let mut names = alloc.tasks.keys();
    match (task, names.next(), names.next()) {
        (Some(name), ..) => ControlError::NotRunning(name.to_owned()),
        (None, Some(only), None) => ControlError::NotRunning(only.clone()),
        _ => ControlError::NotRunning("(any)".into()),
    }
}

fn chosen<'a>(
    control: &'a AllocControl,
    task: Option<&'a str>,
) -> impl Iterator<Item = (&'a String, &'a Arc<TaskControl>)> {
    control.tasks.iter().filter(move |(name, _)| task.is_none_or(|task| task == **name))
}
