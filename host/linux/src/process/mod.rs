//! Native processes under shims that outlive the agent.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    exec::{ExecRequest, ExecStream},
    process::{Process, ProcessSpec, Processes},
    workload::{ExitStatus, Usage},
};

use crate::cgroup::Cgroups;

/// Starts and finds processes; all it knows is in its state directory and the kernel.
pub struct Supervisor {
    state: PathBuf,
    cgroups: Arc<Cgroups>,
}

impl Supervisor {
    /// Opens (and makes, 0700) the state directory. A second supervisor on the same directory finds the
    /// processes of the first, which must be gone.
    pub fn open(state: &Path, cgroups: Arc<Cgroups>) -> Result<Self> {
        Ok(Self { state: state.to_owned(), cgroups })
    }

    /// Node attributes: how processes are supervised and limited here.
    pub fn describe(&self) -> BTreeMap<String, String> {
        self.cgroups.describe()
    }

    fn unavailable<T>(&self) -> Result<T> {
        Err(HostError::Unavailable(format!("processes under {} are not supervised yet", self.state.display())))
    }
}

#[async_trait]
impl Processes for Supervisor {
    async fn spawn(&self, _caller: &Caller, _spec: &ProcessSpec) -> Result<String> {
        self.unavailable()
    }
    async fn stop(&self, _caller: &Caller, _id: &str, _signal: Option<&str>, _grace_ms: u32) -> Result<()> {
        self.unavailable()
    }
    async fn signal(&self, _caller: &Caller, _id: &str, _name: &str) -> Result<()> {
        self.unavailable()
    }
    async fn remove(&self, _caller: &Caller, _id: &str) -> Result<()> {
        self.unavailable()
    }
    async fn inspect(&self, _caller: &Caller, _id: &str) -> Result<Process> {
        self.unavailable()
    }
    async fn list(&self, _caller: &Caller) -> Result<Vec<Process>> {
        self.unavailable()
    }
    async fn usage(&self, _caller: &Caller, _id: &str) -> Result<Usage> {
        self.unavailable()
    }
    async fn prepare_exec(&self, _caller: &Caller, _id: &str, _request: &ExecRequest) -> Result<String> {
        self.unavailable()
    }
    async fn wait(&self, _caller: &Caller, _id: &str) -> Result<ExitStatus> {
        self.unavailable()
    }
    async fn attach_exec(&self, _caller: &Caller, _session: &str) -> Result<Box<dyn ExecStream>> {
        self.unavailable()
    }
}
