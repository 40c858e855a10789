//! Commands inside running workloads.

use std::pin::Pin;

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

/// A prepared command, as a driver's `exec.open` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecSession {
    /// From [`crate::container::Containers::prepare_exec`].
    Container(String),
    /// From [`crate::process::Processes::prepare_exec`].
    Process(String),
}

/// The caller's end of a running command. Dropping it ends the command's input, not the command.
#[async_trait]
pub trait ExecStream: Send {
    /// Sends input; an empty piece closes the input.
    async fn write(&mut self, data: Bytes) -> Result<()>;
    /// Tells the terminal its size.
    async fn resize(&mut self, rows: u16, columns: u16) -> Result<()>;
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

/// An attached command.
pub type ExecStreamBox = Pin<Box<dyn ExecStream>>;
