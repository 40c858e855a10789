//! Native processes under supervisors that outlive the agent.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    caller::{Caller, TaskId},
    error::Result,
    exec::{ExecRequest, ExecStream},
    workload::{ExitStatus, Limits, Mount, RunState, Usage},
};

/// How a process is kept apart from the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// `pid`, `ipc`, `mount`, `uts`, `cgroup`.
    pub namespaces: Vec<String>,
    /// Its `/`.
    pub root_directory: Option<String>,
    /// Mounts inside it.
    pub mounts: Vec<Mount>,
    /// Capabilities to keep; none for all its user has.
    pub capabilities: Option<Vec<String>>,
}

/// A process to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Unique within the task.
    pub name: String,
    /// Absolute path, or a name looked up in the PATH of `env`.
    pub command: String,
    /// Arguments without the command.
    pub args: Vec<String>,
    /// Whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory; none for the task's directory.
    pub working_dir: Option<String>,
    /// User; none for the agent's.
    pub user: Option<String>,
    /// Limits.
    pub limits: Limits,
    /// Isolation; none for none.
    pub isolation: Option<Isolation>,
    /// Other wishes, by name.
    pub options: BTreeMap<String, String>,
}

/// What is known of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The host's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The task it was started for.
    pub task: TaskId,
    /// Process id, 0 when it has ended.
    pub pid: u32,
    /// Whether it runs.
    pub state: RunState,
}

/// What a short command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandResult {
    /// How it ended.
    pub exit: ExitStatus,
    /// Standard output, at most [`MAX_COMMAND_OUTPUT`] bytes.
    pub stdout: Vec<u8>,
    /// Standard error, at most [`MAX_COMMAND_OUTPUT`] bytes.
    pub stderr: Vec<u8>,
}

/// Most bytes of one stream [`Processes::run_command`] answers.
pub const MAX_COMMAND_OUTPUT: usize = 64 << 10;
/// Longest time a short command may take, milliseconds.
pub const MAX_COMMAND_MS: u32 = 60_000;

/// Native processes; `wit/host/processes.wit` is the promise of each call. Output goes to the rotated log
/// files of the caller's task, written by the supervisor, so it is not lost while no agent runs.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Runs a short command to its end, for no task.
    async fn run_command(
        &self,
        caller: &Caller,
        command: &str,
        args: &[String],
        timeout_ms: u32,
    ) -> Result<CommandResult>;
    /// Starts; idempotent by name for the same task. Answers an id.
    async fn spawn(&self, caller: &Caller, spec: &ProcessSpec) -> Result<String>;
    /// Ends it and its descendants.
    async fn stop(&self, caller: &Caller, id: &str, signal: Option<&str>, grace_ms: u32) -> Result<()>;
    /// Sends one signal.
    async fn signal(&self, caller: &Caller, id: &str, name: &str) -> Result<()>;
    /// Forgets it and removes what it left.
    async fn remove(&self, caller: &Caller, id: &str) -> Result<()>;
    /// Inspects.
    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Process>;
    /// Own processes: of the caller's task, or of the driver when there is none.
    async fn list(&self, caller: &Caller) -> Result<Vec<Process>>;
    /// A sample of what it and its descendants use.
    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage>;
    /// Prepares a command beside it; answers a session id.
    async fn prepare_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String>;

    /// Keeps a running process and its descendants on these processors from now on, where processors can be chosen. For the agent.
    async fn confine(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()>;
    /// Waits for the end, also of a process that another agent started. For the agent.
    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus>;
    /// Starts a prepared command and attaches to it. For the agent.
    async fn attach_exec(&self, caller: &Caller, session: &str) -> Result<ExecStream>;
}
