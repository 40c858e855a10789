//! One task from its first start to its end: started, watched, restarted, stopped, found again.
//!
//! Each step is journalled before it is taken ([`RunPhase`]). A runner begins where the journal says the last
//! one got to, which is also how a new task begins.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use longshore_core::{
    caller::TaskId,
    driver::{Driver, DriverError, Health, StartError, Started, Task, Watch},
    error::HostError,
    workload::ExitStatus,
};
use longshore_job::model;
use tokio::{
    sync::watch,
    time::{Duration, sleep, timeout},
};

use super::{
    Live, StopCause, TaskControl, Wish, collect, events, image,
    launch::{self, Launch},
    restart::{Decision, Ending, RestartRules},
    stop::{Backoff, passes},
    wait::{self, End},
};
use crate::{
    Allocation, TaskEvent, TaskPhase, TaskState,
    alloc::{network, ports::PortGate},
    id::random_fraction,
    shared::Shared,
    store::{RunPhase, TaskRecord, Write},
};

/// How long the last output of an ended task may take to arrive.
const LAST_OUTPUT: Duration = Duration::from_secs(10);
/// How often a driver that cannot start tasks is looked at while a task waits for it.
const DRIVER_WAIT: Duration = Duration::from_secs(3);
/// How often a driver may fail to look for a task before the task counts as lost.
const RECOVER_ATTEMPTS: u32 = 3;

/// One task's keeper.
pub(crate) struct TaskRunner {
    pub(super) shared: Arc<Shared>,
    pub(super) id: TaskId,
    pub(super) control: Arc<TaskControl>,
    /// The task as its driver was last given it, and the driver's name.
    pub(super) snapshot: Option<(String, Arc<Task>)>,
    /// The first start, when it was journalled with the job.
    prepared: Option<Launch>,
    /// As it was when the runner began; see [`TaskRunner::alloc_now`].
    alloc: Arc<Allocation>,
    gate: Arc<PortGate>,
    record: TaskRecord,
    /// Whether the machine was started since the journal was written.
    rebooted: bool,
    /// Whether the running task was told to end.
    pub(super) killing: AtomicBool,
    /// How many of the requests to restart it this start already follows.
    restarts_heeded: u32,
    /// Whether nobody has to look at the allocation's network before the next start.
    network_is_fresh: bool,
}

/// What a runner needs to begin.
pub(crate) struct Beginning {
    pub(crate) alloc: Arc<Allocation>,
    pub(crate) task: String,
    pub(crate) control: Arc<TaskControl>,
    pub(crate) gate: Arc<PortGate>,
    pub(crate) record: TaskRecord,
    pub(crate) snapshot: Option<Task>,
    pub(crate) rebooted: bool,
    pub(crate) prepared: Option<Launch>,
    /// Whether the allocation's network was just looked at, and is there.
    pub(crate) network_is_fresh: bool,
}

/// What a runner does next.
enum Step {
    Undo,
    Start,
    Recover(Started),
    Watch(Started),
    Clean,
    Done,
}

impl TaskRunner {
    /// A runner that goes on from `beginning`; none when the job has no such task.
    pub(crate) fn new(shared: Arc<Shared>, beginning: Beginning) -> Option<Self> {
        let Beginning { alloc, task, control, gate, record, snapshot, rebooted, prepared, network_is_fresh } =
            beginning;
        spec(&alloc, &task)?;
        let snapshot = snapshot.map(|snapshot| (record.driver.clone(), Arc::new(snapshot)));
        let id = TaskId { alloc: alloc.id.clone(), task };
        let killing = AtomicBool::new(false);
        Some(Self {
            prepared,
            shared,
            id,
            control,
            snapshot,
            alloc,
            gate,
            record,
            rebooted,
            killing,
            restarts_heeded: 0,
            network_is_fresh,
        })
    }

    /// Runs to the task's end.
    pub(crate) async fn run(mut self) {
        let mut step = match self.record.phase.clone() {
            RunPhase::Pending => Step::Start,
            RunPhase::Starting => Step::Undo,
            RunPhase::Running(started) => Step::Recover(started),
            RunPhase::Ended { .. } => Step::Clean,
            RunPhase::Dead => Step::Done,
        };
        loop {
            step = match step {
                Step::Undo => self.undo().await,
                // What a start has in hand is not to be held while the task runs.
                Step::Start => Box::pin(self.start()).await,
                Step::Recover(started) => self.recover(started).await,
                Step::Watch(started) => self.watch(started).await,
                Step::Clean => self.clean().await,
                Step::Done => return,
            };
        }
    }

    /// The task in the job file: in the version that the allocation has now.
    pub(super) fn spec(&self) -> model::Task {
        spec(&self.alloc_now(), &self.id.task).map(|(_, task)| task.clone()).unwrap_or_default()
    }

    /// Its group.
    pub(super) fn group(&self) -> model::TaskGroup {
        spec(&self.alloc_now(), &self.id.task).map(|(group, _)| group.clone()).unwrap_or_default()
    }

    /// When it starts again.
    fn rules(&self) -> RestartRules {
        let spec = self.spec();
        RestartRules::new(spec.restart_policy, self.alloc.job.kind, spec.lifecycle.as_ref())
    }

    /// Adds an event.
    pub(super) fn event(&self, event: TaskEvent) {
        self.shared.board.add_event(&self.id, event);
    }

    fn wishes(&self) -> watch::Receiver<Wish> {
        self.control.wish.subscribe()
    }

    /// Waits until the task is to end; answers why.
    async fn stop_wanted(mut wishes: watch::Receiver<Wish>) -> StopCause {
        let wish = wishes.wait_for(|wish| wish.stop.is_some()).await;
        wish.ok().and_then(|wish| wish.stop.clone()).unwrap_or(StopCause::Requested)
    }

    /// Journals where the task is, with a change of what is shown of it. A journal that cannot be written is
    /// logged: the caller decides whether it may go on.
    async fn journal(&mut self, phase: RunPhase, change: impl FnOnce(&mut TaskState)) -> Result<(), String> {
        self.record.phase = phase;
        let pending = self.shared.board.change_task(&self.id, &mut self.record, change);
        let Some(pending) = pending else { return Err("the allocation is not known any more".into()) };
        pending.durable().await.map_err(|error| error.to_string())
    }
}

/// Starting.
impl TaskRunner {
    /// Whether it was started is not known: what there is of it goes, then it starts anew.
    async fn undo(&mut self) -> Step {
        self.destroy(None).await;
        Step::Start
    }

    async fn start(&mut self) -> Step {
        let mut wishes = self.wishes();
        let Ok(wish) = wishes.wait_for(|wish| wish.start || wish.stop.is_some()).await.map(|wish| wish.clone()) else {
            return Step::Done;
        };
        if wish.stop.is_some() {
            return self.never_started().await;
        }
        self.restarts_heeded = wish.restarts;
        let Some(Launch { driver, task }) = self.journalled_launch().await else { return Step::Clean };
        if let Err(error) = self.gate.enter().await {
            self.event(events::setup_failure(&error.to_string()));
            return self.ended(None, Ending::StartFailed { recoverable: true }).await;
        }
        let outcome = tokio::select! {
            biased;
            _ = Self::stop_wanted(wishes) => None,
            outcome = start_in(&self.shared, &driver, &task) => Some(outcome),
        };
        match outcome {
            Some(Ok(started)) => self.has_started(started).await,
            Some(Err(error)) => {
                self.gate.leave().await;
                self.start_failed(&driver, &error).await
            }
            None => {
                self.gate.leave().await;
                self.ended(None, Ending::Killed).await
            }
        }
    }

    /// What the driver is to start, with the intent to start it in the journal. None when that cannot be.
    async fn journalled_launch(&mut self) -> Option<Launch> {
        if let Some(launch) = self.prepared.take() {
            self.remember(&launch);
            self.record.phase = RunPhase::Starting;
            return Some(launch);
        }
        if let Err(reason) = self.network().await {
            self.event(events::setup_failure(&reason));
            let maker = network::maker(&self.shared, &self.alloc_now());
            let ending = match maker.map(|driver| driver.info().description.name.clone()) {
                Some(name) => self.blame(&name).await,
                None => Ending::StartFailed { recoverable: true },
            };
            self.ended(None, ending).await;
            return None;
        }
        let launch = match launch::prepare(&self.shared, &self.alloc_now(), &self.id.task) {
            Ok(launch) => launch,
            Err(reason) => {
                self.event(events::failed_validation(&reason));
                self.ended(None, Ending::StartFailed { recoverable: false }).await;
                return None;
            }
        };
        self.remember(&launch);
        // The snapshot is queued first: whoever finds `Starting` finds it too.
        self.shared.board.journal().write_lazily(vec![Write::snapshot(&launch.task)]);
        if let Err(reason) = self.journal(RunPhase::Starting, |_| {}).await {
            self.event(events::setup_failure(&reason));
            self.ended(None, Ending::StartFailed { recoverable: true }).await;
            return None;
        }
        Some(launch)
    }

    /// The allocation's runner has mostly just looked at its network when a task first starts. Later a holder may have died,
    /// or the engine; then the other tasks, if they still run, are in a namespace that has lost the network.
    async fn network(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.network_is_fresh) {
            return Ok(());
        }
        if network::ensure(&self.shared, &self.id.alloc).await?
            && let Some(control) = self.shared.control(&self.id.alloc)
        {
            control.tasks.iter().filter(|(name, _)| **name != self.id.task).for_each(|(_, task)| task.restart());
        }
        Ok(())
    }

    fn remember(&mut self, launch: &Launch) {
        self.record.driver.clone_from(&launch.driver);
        self.snapshot = Some((launch.driver.clone(), launch.task.clone()));
    }

    /// The allocation as it is now: ports may have come after the runner, and a version of the job that it goes on in.
    fn alloc_now(&self) -> Arc<Allocation> {
        self.shared.board.alloc(&self.id.alloc).unwrap_or_else(|| self.alloc.clone())
    }

    async fn never_started(&mut self) -> Step {
        let now = SystemTime::now();
        let journalled = self.journal(RunPhase::Dead, |state| {
            state.phase = TaskPhase::Dead;
            state.finished_at = Some(now);
            events::push(state, events::killed(None));
        });
        let journalled = journalled.await;
        self.log_failure(journalled);
        Step::Done
    }

    async fn has_started(&mut self, started: Started) -> Step {
        let now = SystemTime::now();
        self.go_live(&started).await;
        if let (Watch::Container(_), Some((_, task))) = (&started.watch, &self.snapshot) {
            collect::begin(&self.shared, task);
        }
        let network = started.network.clone();
        let journalled = self.journal(RunPhase::Running(started.clone()), |state| {
            state.phase = TaskPhase::Running;
            state.started_at = Some(now);
            state.network = network;
            events::push(state, events::started());
        });
        let journalled = journalled.await;
        self.log_failure(journalled);
        Step::Watch(started)
    }

    /// From now on it can be signalled and entered.
    async fn go_live(&self, started: &Started) {
        if let Some((driver, task)) = self.snapshot.clone() {
            *self.control.live.lock().await = Some(Live { driver, task, started: Arc::new(started.clone()) });
        }
    }

    async fn start_failed(&mut self, driver: &str, error: &StartError) -> Step {
        self.event(events::driver_failure(&error.to_string()));
        let unavailable = matches!(error.error.reason(), Some(HostError::Unavailable(_)))
            || matches!(error.error, DriverError::Unknown { .. });
        let ending = match error.recoverable && unavailable {
            true => self.blame(driver).await,
            false => Ending::StartFailed { recoverable: error.recoverable },
        };
        self.ended(None, ending).await
    }

    /// What it means that something failed for which this driver was needed. While its engine is away that is not the
    /// task's fault, and no attempt is counted: it is waited for.
    async fn blame(&self, driver: &str) -> Ending {
        if self.driver_is_well(driver).await {
            return Ending::StartFailed { recoverable: true };
        }
        self.wait_for_driver(driver).await;
        Ending::RestartRequested
    }

    async fn driver_is_well(&self, name: &str) -> bool {
        match self.shared.driver(name) {
            Ok(driver) => self.shared.health.look(&driver).await == Health::Healthy,
            Err(_) => false,
        }
    }

    async fn wait_for_driver(&self, name: &str) {
        self.event(events::waiting(&format!("Waiting for driver {name} to become healthy")));
        let well = async {
            while !self.driver_is_well(name).await {
                sleep(DRIVER_WAIT).await;
            }
        };
        tokio::select! {
            () = well => {}
            _ = Self::stop_wanted(self.wishes()) => {}
        }
    }
}

async fn start_in(shared: &Shared, driver: &str, task: &Task) -> Result<Started, StartError> {
    let driver: Arc<dyn Driver> = shared.driver(driver).map_err(|error| StartError { error, recoverable: true })?;
    driver.start(task).await
}

/// Finding again.
impl TaskRunner {
    async fn recover(&mut self, started: Started) -> Step {
        let Some((driver, task)) = self.snapshot.clone() else {
            return self.lost(&started, "the journal has no record of how it was started").await;
        };
        let mut backoff = Backoff::new();
        let mut failures = 0;
        loop {
            let found = match self.shared.driver(&driver) {
                Ok(driver) => driver.recover(&task, &started.handle).await,
                Err(error) => Err(error),
            };
            let error = match found {
                Ok(found) => return self.found(found).await,
                Err(DriverError::Refused { reason: HostError::NotFound(what), .. }) => {
                    return self.lost(&started, &what).await;
                }
                Err(error) => error,
            };
            failures += 1;
            if failures == 1 {
                self.event(events::driver_failure(&error.to_string()));
            }
            if !passes(&error) && failures >= RECOVER_ATTEMPTS {
                return self.lost(&started, &error.to_string()).await;
            }
            tokio::select! {
                () = backoff.pause() => {}
                _ = Self::stop_wanted(self.wishes()) => return self.ended(Some(started.handle), Ending::Killed).await,
            }
        }
    }

    async fn found(&mut self, started: Started) -> Step {
        self.go_live(&started).await;
        self.gate.enter_running().await;
        let journalled =
            self.journal(RunPhase::Running(started.clone()), |state| state.phase = TaskPhase::Running).await;
        self.log_failure(journalled);
        Step::Watch(started)
    }

    /// It was running when the last agent ended and is gone now.
    async fn lost(&mut self, started: &Started, why: &str) -> Step {
        let handle = Some(started.handle.clone());
        if self.control.wish.borrow().stop.is_some() {
            return self.ended(handle, Ending::Killed).await;
        }
        if self.rebooted {
            self.event(events::restart_signaled("The machine was restarted"));
            return self.ended(handle, Ending::RestartRequested).await;
        }
        let status = lost_status("lost while nobody watched", why);
        self.event(events::terminated(&status));
        self.ended(handle, Ending::Exited(status)).await
    }
}

fn lost_status(how: &str, why: &str) -> ExitStatus {
    ExitStatus { exit_code: -1, message: Some(format!("{how}: {why}")), ..ExitStatus::default() }
}

/// Watching.
impl TaskRunner {
    async fn watch(&mut self, started: Started) -> Step {
        let Some((driver, task)) = self.snapshot.clone() else {
            return self.ended(Some(started.handle), Ending::StartFailed { recoverable: true }).await;
        };
        let mut live = Live { driver, task, started: Arc::new(started) };
        let helpers = [self.collect_output(&live), self.note_image(&live)];
        self.killing.store(false, Ordering::Relaxed);
        let ending = loop {
            match self.watch_one(&live).await {
                (End::NewHandle(started), _) => {
                    live = live.with(started.clone());
                    *self.control.live.lock().await = Some(live.clone());
                    let position = self.shared.board.log_position(&self.id);
                    self.shared.board.journal().write_lazily(vec![Write::log_position(&self.id, &position)]);
                    let journalled = self.journal(RunPhase::Running(started), |_| {}).await;
                    self.log_failure(journalled);
                }
                (End::Exited(status), cause) => break self.over(status, cause),
                (End::Lost(why), cause) => break self.over(lost_status("lost", &why), cause),
            }
        };
        *self.control.live.lock().await = None;
        for helper in helpers.into_iter().flatten() {
            let _ = timeout(LAST_OUTPUT, helper).await;
        }
        self.gate.leave().await;
        self.ended(Some(live.started.handle.clone()), ending).await
    }

    fn collect_output(&self, live: &Live) -> Option<tokio::task::JoinHandle<()>> {
        let Watch::Container(id) = &live.started.watch else { return None };
        if live.task.logs.disabled {
            return None;
        }
        let (shared, live, id) = (self.shared.clone(), live.clone(), id.clone());
        Some(self.shared.spawn(async move { collect::follow(&shared, &live, &id).await }))
    }

    fn note_image(&self, live: &Live) -> Option<tokio::task::JoinHandle<()>> {
        let Watch::Container(id) = &live.started.watch else { return None };
        let (shared, live, id) = (self.shared.clone(), live.clone(), id.clone());
        Some(self.shared.spawn(async move { image::note(&shared, &live, &id).await }))
    }

    /// Until it ends, by itself or because it is made to; the second value says which.
    async fn watch_one(&self, live: &Live) -> (End, Option<Ending>) {
        let mut waiting: super::stop::Waiting = Box::pin(wait::for_end(&self.shared, live));
        let mut wishes = self.wishes();
        let wanted = async {
            let wish = wishes.wait_for(|wish| wish.stop.is_some() || wish.restarts > self.restarts_heeded).await;
            wish.map(|wish| wish.clone())
        };
        let wish = tokio::select! {
            biased;
            end = &mut waiting => return (end, None),
            // The control lives as long as its runner, so that there is always a wish to wait for.
            wish = wanted => wish.unwrap_or_default(),
        };
        let ending = if wish.stop.is_some() { Ending::Killed } else { Ending::RestartRequested };
        if !self.killing.swap(true, Ordering::Relaxed) {
            self.explain(wish.stop.as_ref());
        }
        (self.kill(live, waiting).await, Some(ending))
    }

    fn explain(&self, cause: Option<&StopCause>) {
        match cause {
            None => self.event(events::restart_signaled("User requested task to restart")),
            Some(StopCause::Requested) => {}
            Some(StopCause::SiblingFailed(task)) => self.event(events::sibling_failed(task)),
            Some(StopCause::LeaderDead) => self.event(events::leader_dead()),
            Some(StopCause::MainTasksDead) => self.event(events::main_tasks_dead()),
        }
    }

    fn over(&self, status: ExitStatus, cause: Option<Ending>) -> Ending {
        self.event(events::terminated(&status));
        cause.unwrap_or(Ending::Exited(status))
    }
}

/// Ending.
impl TaskRunner {
    /// Decides what comes after a task's end, and journals the decision before anything is removed.
    async fn ended(&mut self, handle: Option<Vec<u8>>, ending: Ending) -> Step {
        let ending = if self.control.wish.borrow().stop.is_some() { Ending::Killed } else { ending };
        let now_ms = self.shared.clock.now_ms();
        let decision = self.rules().decide(&mut self.record.restarts, &ending, now_ms, random_fraction());
        let now = SystemTime::now();
        let restart_at = match &decision {
            Decision::Restart(delay, _) => Some(now_ms.saturating_add(delay.as_millis() as u64)),
            _ => None,
        };
        let journalled = self.journal(RunPhase::Ended { handle, restart_at }, |state| {
            state.network = None;
            match decision {
                Decision::Restart(delay, reason) => {
                    state.phase = TaskPhase::Pending;
                    state.restarts += 1;
                    state.last_restart = Some(now);
                    events::push(state, events::restarting(&reason, delay));
                    return;
                }
                Decision::Fail(reason) => {
                    state.failed = true;
                    events::push(state, events::not_restarting(&reason));
                }
                Decision::Terminated(_) => {}
                Decision::Killed => events::push(state, events::killed(None)),
            }
            state.phase = TaskPhase::Dead;
            state.finished_at = Some(now);
        });
        let journalled = journalled.await;
        self.log_failure(journalled);
        Step::Clean
    }

    /// Removes what the task left, then waits for its next start, if there is to be one.
    async fn clean(&mut self) -> Step {
        let RunPhase::Ended { handle, restart_at } = self.record.phase.clone() else { return Step::Done };
        self.destroy(handle.as_deref()).await;
        let Some(restart_at) = restart_at else {
            self.end_added_ports().await;
            // Not hurried to the disk: who finds it ended cleans again.
            self.record.phase = RunPhase::Dead;
            self.shared.board.note_task(&self.id, &mut self.record);
            return Step::Done;
        };
        let mut wishes = self.wishes();
        let asked_before = wishes.borrow().restarts;
        tokio::select! {
            () = sleep(self.shared.clock.until(restart_at)) => {}
            _ = wishes.wait_for(|wish| wish.stop.is_some() || wish.restarts > asked_before) => {}
        }
        Step::Start
    }

    /// The machine is as it is, whether or not that could be written down: go on, and say so.
    fn log_failure(&self, journalled: Result<(), String>) {
        if let Err(error) = journalled {
            tracing::error!(task = %self.id, %error, "a step of a task was not journalled");
        }
    }
}

fn spec<'a>(alloc: &'a Allocation, task: &str) -> Option<(&'a model::TaskGroup, &'a model::Task)> {
    let group = alloc.job.task_groups.iter().find(|group| group.name == alloc.group)?;
    Some((group, group.tasks.iter().find(|spec| spec.name == task)?))
}
