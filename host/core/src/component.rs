//! WebAssembly components run as tasks, each in a process of its own.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    caller::Caller,
    error::Result,
    process::Process,
    workload::{ExitStatus, Limits, Mount, Usage},
};

/// What a component exports and how it is driven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// `wasi:cli/run`.
    Command,
    /// `wasi:http/incoming-handler`, served on `listen_address`.
    HttpProxy,
}

/// A component to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentSpec {
    /// Unique within the task.
    pub name: String,
    /// Absolute host path of its file (allocation paths were resolved before).
    pub path: String,
    /// What it is.
    pub kind: ComponentKind,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Whole environment.
    pub env: Vec<(String, String)>,
    /// Directories it may open.
    pub mounts: Vec<Mount>,
    /// `ip:port` to serve.
    pub listen_address: Option<String>,
    /// Whether it may open connections.
    pub allow_outbound: bool,
    /// Limits.
    pub limits: Limits,
}

/// Components as tasks; `wit/host/components.wit` is the promise of each call.
#[async_trait]
pub trait Components: Send + Sync {
    /// Runs one; idempotent by name for the same task. Answers an id.
    async fn run(&self, caller: &Caller, spec: &ComponentSpec) -> Result<String>;
    /// Ends it.
    async fn stop(&self, caller: &Caller, id: &str, grace_ms: u32) -> Result<()>;
    /// Forgets it.
    async fn remove(&self, caller: &Caller, id: &str) -> Result<()>;
    /// Inspects.
    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Process>;
    /// Own components: of the caller's task, or of the driver when there is none.
    async fn list(&self, caller: &Caller) -> Result<Vec<Process>>;
    /// A sample of what it uses.
    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage>;
    /// Keeps a running component on these processors from now on, where processors can be chosen. For the agent.
    async fn confine(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()>;
    /// Waits for the end. For the agent.
    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus>;
}
