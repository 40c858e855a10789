//! Components as tasks: the same shims, running this program's `component-task`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use longshore_core::{
    caller::Caller,
    component::{ComponentSpec, Components},
    error::{HostError, Result},
    process::{Process, Processes},
    workload::{ExitStatus, Usage},
};

use crate::{cgroup::Cgroups, process::Supervisor};

/// Runs each component as `<program> component-task <spec.json>`.
pub struct ComponentRunner {
    processes: Supervisor,
    program: Option<PathBuf>,
}

impl ComponentRunner {
    /// Opens the state directory (not the one of the [`Supervisor`] for processes). `program` none: the
    /// program that runs now.
    pub fn open(state: &Path, cgroups: Arc<Cgroups>, program: Option<PathBuf>) -> Result<Self> {
        Ok(Self { processes: Supervisor::open(state, cgroups)?, program })
    }
}

#[async_trait]
impl Components for ComponentRunner {
    async fn run(&self, _caller: &Caller, _spec: &ComponentSpec) -> Result<String> {
        Err(HostError::Unavailable(format!("components are not run yet by {:?}", self.program)))
    }
    async fn stop(&self, caller: &Caller, id: &str, grace_ms: u32) -> Result<()> {
        self.processes.stop(caller, id, None, grace_ms).await
    }
    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        self.processes.remove(caller, id).await
    }
    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Process> {
        self.processes.inspect(caller, id).await
    }
    async fn list(&self, caller: &Caller) -> Result<Vec<Process>> {
        self.processes.list(caller).await
    }
    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.processes.usage(caller, id).await
    }
    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        self.processes.wait(caller, id).await
    }
}
