//! One allocation from its making to its end.

use std::{collections::BTreeMap, sync::Arc};

use longshore_core::{caller::AllocId, driver::Task};

use super::{
    AllocControl, dir, network,
    order::{self, Member},
    ports::{self, PortGate},
};
use crate::{
    Allocation, ControlError, Desired, TaskPhase,
    shared::Shared,
    store::{RunPhase, TaskRecord},
    task::{
        events,
        launch::Launch,
        runner::{Beginning, TaskRunner},
    },
};

/// Where the tasks of an allocation are, as the journal says; empty for a new one.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) records: BTreeMap<String, TaskRecord>,
    pub(crate) snapshots: BTreeMap<String, Task>,
    /// Whether the machine was started since that was written.
    pub(crate) rebooted: bool,
    /// Tasks of a new allocation whose first start is journalled already.
    pub(crate) prepared: BTreeMap<String, Launch>,
}

/// Starts to look after an allocation that is on the board.
pub(crate) fn launch(shared: &Arc<Shared>, alloc: &Allocation, progress: Progress) {
    let control = Arc::new(AllocControl::new(alloc.tasks.keys()));
    control.stop.send_replace(alloc.desired == Desired::Stop);
    shared.add_control(&alloc.id, control.clone());
    let runner = AllocRunner { shared: shared.clone(), id: alloc.id.clone(), control };
    shared.spawn(async move { runner.run(progress).await });
}

struct AllocRunner {
    shared: Arc<Shared>,
    id: AllocId,
    control: Arc<AllocControl>,
}

impl AllocRunner {
    async fn run(self, progress: Progress) {
        let begun = progress.records.values().any(|record| record.phase != RunPhase::Pending);
        let network_is_fresh = if begun {
            self.take_up_network().await
        } else {
            if !*self.control.stop.borrow() {
                self.wait_for_previous().await;
                if let Err(reason) = self.set_up().await {
                    return self.fail(&reason).await;
                }
            }
            true
        };
        self.run_tasks(progress, network_is_fresh).await;
        // Tasks' runners end with the agent, too, and then their tasks go on.
        if !self.shared.closing().is_cancelled() {
            self.finish().await;
        }
    }

    /// Answers whether the network is there again. If not, tasks may run all the same; those that have to start again
    /// look once more, and say what is wrong.
    async fn take_up_network(&self) -> bool {
        if *self.control.stop.borrow() {
            return false;
        }
        let ensured = network::ensure(&self.shared, &self.id).await;
        if let Err(error) = &ensured {
            tracing::warn!(alloc = %self.id, error, "the network of an allocation could not be taken up again");
        }
        ensured.is_ok()
    }

    fn view(&self) -> Option<Arc<Allocation>> {
        self.shared.board.alloc(&self.id)
    }

    /// The allocation this one replaces has its ports until it is gone.
    async fn wait_for_previous(&self) {
        let Some(previous) = self.view().and_then(|view| view.previous.clone()) else { return };
        let Some(mut changes) = self.shared.board.watch_alloc(&previous) else { return };
        let mut stop = self.control.stop.subscribe();
        loop {
            changes.borrow_and_update();
            let gone = self.shared.board.alloc(&previous).is_none_or(|alloc| alloc.finished);
            if gone || *stop.borrow_and_update() {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = stop.changed() => {}
            }
        }
    }

    /// Ports, directories and network.
    async fn set_up(&self) -> Result<(), String> {
        let Some(view) = self.view() else { return Ok(()) };
        let group = view.job.task_groups.iter().find(|group| group.name == view.group);
        let wanted = group.map(ports::requests).unwrap_or_default();
        let missing = wanted.iter().any(|request| view.ports.iter().all(|port| port.label != request.label));
        if missing {
            let Some(backend) = &self.shared.backends.ports else { return Err("this host has no ports".into()) };
            let mut reserved = backend.reserve(&self.id, &wanted).await.map_err(|error| error.to_string())?;
            reserved.extend(
                group.map(|group| ports::unreserved(group, &self.shared.config, Some(&**backend))).unwrap_or_default(),
            );
            let pending = self.shared.board.change_alloc(&self.id, |alloc| alloc.ports = reserved);
            if let Some(pending) = pending {
                pending.durable().await.map_err(|error| error.to_string())?;
            }
        }
        dir::build(&self.shared.config, &self.id.0, view.tasks.keys())
            .map_err(|error| format!("cannot make the allocation's directory: {error}"))?;
        network::ensure(&self.shared, &self.id).await.map(drop)
    }

    /// Nothing of it can start.
    async fn fail(&self, reason: &str) {
        let names: Vec<String> = self.view().map(|view| view.tasks.keys().cloned().collect()).unwrap_or_default();
        for task in names {
            let id = longshore_core::caller::TaskId { alloc: self.id.clone(), task };
            let mut record = TaskRecord { phase: RunPhase::Dead, ..TaskRecord::default() };
            let pending = self.shared.board.change_task(&id, &mut record, |state| {
                state.phase = TaskPhase::Dead;
                state.failed = true;
                state.finished_at = Some(std::time::SystemTime::now());
                events::push(state, events::setup_failure(reason));
            });
            if let Some(pending) = pending {
                pending.forget();
            }
        }
        self.finish().await;
    }

    async fn run_tasks(&self, mut progress: Progress, network_is_fresh: bool) {
        let Some(view) = self.view() else { return };
        // With a network of its own, tasks bind ports in there, and the host's stay held.
        let lends = !network::is_own(&view.network_mode);
        let lent = self.shared.backends.ports.clone().filter(|_| lends);
        let gate = Arc::new(PortGate::new(self.id.clone(), lent));
        let mut running = Vec::new();
        for (name, control) in &self.control.tasks {
            let beginning = Beginning {
                alloc: view.clone(),
                task: name.clone(),
                control: control.clone(),
                gate: gate.clone(),
                record: progress.records.remove(name).unwrap_or_default(),
                snapshot: progress.snapshots.remove(name),
                rebooted: progress.rebooted,
                prepared: progress.prepared.remove(name),
                network_is_fresh,
            };
            if let Some(runner) = TaskRunner::new(self.shared.clone(), beginning) {
                running.push(self.shared.spawn(runner.run()));
            }
        }
        drop(view);
        let all_over = futures_util::future::join_all(running);
        tokio::select! {
            _ = all_over => {}
            () = self.keep_order() => {}
        }
    }

    /// Tells tasks to start and to end, as the others come and go. Never returns.
    async fn keep_order(&self) {
        let Some(mut changes) = self.shared.board.watch_alloc(&self.id) else { return };
        let mut stop = self.control.stop.subscribe();
        loop {
            changes.borrow_and_update();
            let ending = *stop.borrow_and_update();
            self.order(ending);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = stop.changed() => {}
            }
        }
    }

    fn order(&self, ending: bool) {
        let Some(view) = self.view() else { return };
        let Some(group) = view.job.task_groups.iter().find(|group| group.name == view.group) else { return };
        let members: Vec<Member> = group
            .tasks
            .iter()
            .filter_map(|task| {
                let state = view.tasks.get(&task.name)?;
                Some(Member { name: &task.name, role: order::role(task), state })
            })
            .collect();
        for step in order::steps(&members, ending) {
            match step {
                order::Step::Start(name) => self.with_task(&name, |task| task.start()),
                order::Step::Stop(name, cause) => self.with_task(&name, |task| task.stop(cause)),
            }
        }
    }

    fn with_task(&self, name: &str, act: impl FnOnce(&crate::task::TaskControl)) {
        if let Some(task) = self.control.tasks.get(name) {
            act(task);
        }
    }

    /// All tasks are gone: remove the network, give back the ports, and say so.
    async fn finish(&self) {
        network::tear_down(&self.shared, &self.id).await;
        if let Some(ports) = &self.shared.backends.ports
            && let Err(error) = ports.release(&self.id, None).await
        {
            tracing::warn!(alloc = %self.id, %error, "cannot release the ports of an allocation");
        }
        let pending = self.shared.board.change_alloc(&self.id, |alloc| alloc.finished = true);
        if let Some(pending) = pending
            && let Err(error) = pending.durable().await
        {
            tracing::error!(alloc = %self.id, %error, "the end of an allocation was not journalled");
        }
        self.shared.remove_control(&self.id);
        crate::jobs::collect_garbage(&self.shared, &self.id).await;
    }
}

/// The error for a task name that an allocation does not have.
pub(crate) fn unknown_task(alloc: &Allocation, task: &str) -> ControlError {
    let known: Vec<&str> = alloc.tasks.keys().map(String::as_str).collect();
    ControlError::UnknownTask { task: task.to_owned(), known: known.join(", ") }
}
