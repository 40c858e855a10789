//! Commands inside running workloads.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    error::Result,
    workload::{ExitStatus, OutputChunk},
};

/// A command to run inside a running workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment on top of the workload's own.
    pub env: Vec<(String, String)>,
    /// Give it a terminal.
    pub tty: bool,
    /// User; none for the workload's own.
    pub user: Option<String>,
    /// Working directory; none for the workload's own.
    pub working_dir: Option<String>,
}

/// How long a prepared command waits for somebody to attach; then it is dropped.
pub const PREPARED_FOR: Duration = Duration::from_secs(30);

/// A prepared command, as a driver's `exec.open` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecSession {
    /// From [`crate::container::Containers::prepare_exec`].
    Container(String),
    /// From [`crate::process::Processes::prepare_exec`].
    Process(String),
}

/// The caller's end of a running command. Both halves are used at the same time: a command may take no more input
/// before its output is read. Dropping it ends the command's input, not the command.
pub struct ExecStream {
    /// What goes into the command.
    pub input: Box<dyn ExecInput>,
    /// What comes out of it.
    pub output: Box<dyn ExecOutput>,
}

/// The way into a running command.
#[async_trait]
pub trait ExecInput: Send {
    /// Sends input, as fast as the command takes it; an empty piece closes the input.
    async fn write(&mut self, data: Bytes) -> Result<()>;
    /// Tells the terminal its size.
    async fn resize(&mut self, rows: u16, columns: u16) -> Result<()>;
}

/// The way out of a running command.
#[async_trait]
pub trait ExecOutput: Send {
    /// The next event; none after [`ExecEvent::Exited`]. Cancel-safe.
    async fn next(&mut self) -> Result<Option<ExecEvent>>;
}

/// What comes out of a running command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// Output.
    Output(OutputChunk),
    /// It ended.
    Exited(ExitStatus),
}
