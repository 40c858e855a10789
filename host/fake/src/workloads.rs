//! What containers, processes and components have in common: a table of things that run and end.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use longshore_core::{
    caller::{Caller, DriverName, TaskId},
    container::IsKnown,
    error::{HostError, Result},
    workload::{ExitStatus, OutputChunk, OutputMark, OutputStream, RunState},
};
use tokio::sync::watch;

use crate::plan::lock;

/// A table of workloads of one kind.
#[derive(Default)]
pub(crate) struct Workloads(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u32,
    rows: BTreeMap<String, Workload>,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) task: TaskId,
    pub(crate) pid: u32,
    driver: DriverName,
    state: watch::Sender<RunState>,
    output: watch::Sender<Vec<OutputChunk>>,
}

impl Workload {
    pub(crate) fn run_state(&self) -> RunState {
        self.state.borrow().clone()
    }

    pub(crate) fn output(&self) -> watch::Receiver<Vec<OutputChunk>> {
        self.output.subscribe()
    }

    pub(crate) fn states(&self) -> watch::Receiver<RunState> {
        self.state.subscribe()
    }

    fn belongs_to(&self, caller: &Caller) -> bool {
        self.driver == caller.driver && caller.task.as_ref().is_none_or(|scope| scope.id == self.task)
    }
}

impl Workloads {
    /// Creates, or answers the one of that name: idempotent for the same task.
    pub(crate) fn create(&self, caller: &Caller, kind: &str, name: &str, image: &str) -> Result<String> {
        let task = caller.require_task()?.id.clone();
        let mut table = lock(&self.0);
        let present = table.rows.iter().find(|(_, row)| row.name == name).map(|(id, row)| (id.clone(), row.clone()));
        if let Some((id, row)) = present {
            if !row.belongs_to(caller) {
                return Err(HostError::Conflict(format!("the name {name:?} is taken")));
            }
            if row.run_state() == RunState::Running {
                return Ok(id);
            }
            table.rows.remove(&id);
        }
        table.next += 1;
        let id = format!("{kind}-{}", table.next);
        let row = Workload {
            name: name.into(),
            image: image.into(),
            task,
            pid: 1000 + table.next,
            driver: caller.driver.clone(),
            state: watch::Sender::new(RunState::Created),
            output: watch::Sender::new(Vec::new()),
        };
        table.rows.insert(id.clone(), row);
        Ok(id)
    }

    pub(crate) fn start(&self, caller: &Caller, id: &str) -> Result<()> {
        self.own(caller, id)?.state.send_replace(RunState::Running);
        Ok(())
    }

    /// Ends a running one as a signal would.
    pub(crate) fn kill(&self, caller: &Caller, id: &str, signal: u32) -> Result<()> {
        let row = self.own(caller, id)?;
        if row.run_state() == RunState::Running {
            let status = ExitStatus { exit_code: 128 + signal as i32, signal, ..ExitStatus::default() };
            row.state.send_replace(RunState::Exited(status));
        }
        Ok(())
    }

    pub(crate) fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        match self.own(caller, id) {
            Ok(_) => {
                lock(&self.0).rows.remove(id);
                Ok(())
            }
            Err(_) if !self.has(id) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The row, if the caller may see it.
    pub(crate) fn own(&self, caller: &Caller, id: &str) -> Result<Workload> {
        let table = lock(&self.0);
        let row = table.rows.get(id).filter(|row| row.belongs_to(caller));
        row.cloned().ok_or_else(|| HostError::NotFound(format!("no workload {id}")))
    }

    pub(crate) fn list(&self, caller: &Caller) -> Vec<(String, Workload)> {
        let table = lock(&self.0);
        let own = table.rows.iter().filter(|(_, row)| row.belongs_to(caller));
        own.map(|(id, row)| (id.clone(), row.clone())).collect()
    }

    pub(crate) async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        let mut states = self.own(caller, id)?.states();
        loop {
            if let RunState::Exited(status) = &*states.borrow_and_update() {
                return Ok(status.clone());
            }
            tokio::select! {
                changed = states.changed() => {
                    if changed.is_err() {
                        return Err(HostError::NotFound(format!("workload {id} was removed")));
                    }
                }
                // A clone of the row keeps its sender alive: look whether the table still has it.
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    self.own(caller, id)?;
                }
            }
        }
    }

    /// Removes the rows of tasks that nobody knows.
    pub(crate) fn sweep(&self, is_known: &IsKnown<'_>) -> Vec<String> {
        let mut table = lock(&self.0);
        let gone: Vec<_> = table.rows.extract_if(.., |_, row| !is_known(&row.task)).collect();
        gone.into_iter().map(|(_, row)| row.name).collect()
    }

    pub(crate) fn finish(&self, id: &str, status: ExitStatus) -> Result<()> {
        self.row(id)?.state.send_replace(RunState::Exited(status));
        Ok(())
    }

    pub(crate) fn print(&self, id: &str, stream: OutputStream, text: &str) -> Result<()> {
        let row = self.row(id)?;
        row.output.send_modify(|chunks| {
            // Positions are distinct and grow, as an engine's time stamps do.
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1 + chunks.len() as u64);
            let mark = Some(OutputMark { at, nth: 1 });
            chunks.push(OutputChunk { stream, data: text.as_bytes().to_vec().into(), mark });
        });
        Ok(())
    }

    pub(crate) fn vanish(&self, id: &str) -> Result<()> {
        self.row(id)?;
        lock(&self.0).rows.remove(id);
        Ok(())
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        lock(&self.0).rows.contains_key(id)
    }

    pub(crate) fn running(&self) -> Vec<String> {
        let table = lock(&self.0);
        table.rows.iter().filter(|(_, row)| row.run_state() == RunState::Running).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn present(&self) -> Vec<String> {
        lock(&self.0).rows.keys().cloned().collect()
    }

    fn row(&self, id: &str) -> Result<Workload> {
        lock(&self.0).rows.get(id).cloned().ok_or_else(|| HostError::NotFound(format!("no workload {id}")))
    }
}
