//! Why the agent refused or failed.

use longshore_core::{driver::DriverError, error::HostError};
use thiserror::Error;

pub use crate::store::StoreError;

/// Why an agent could not start.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory.
    #[error("cannot use the data directory {path}: {reason}")]
    DataDir {
        /// Which.
        path: String,
        /// Why not.
        reason: std::io::Error,
    },
}

/// One thing that is wrong with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer into the job's document (`/TaskGroups/0/Tasks/0/Config/image`): the source map of the job
    /// file finds file and line by it.
    pub pointer: String,
    /// What is wrong and what would be right, one line.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Why a job was refused. Nothing of it was started.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// The job cannot run as it is written: one line a problem, each with its place.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
    /// It cannot run now: a port is taken, a driver is not healthy. The same job may be accepted later.
    #[error("{}", lines(.0))]
    Unplaceable(Vec<Problem>),
    /// `enforce_index` does not match.
    #[error("Enforcing job modify index {expected}: {found}")]
    Conflict {
        /// The index asked for.
        expected: u64,
        /// What is there instead, in Nomad's words.
        found: String,
    },
    /// The journal could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a request about a job, an allocation or a task was refused or failed.
#[derive(Debug, Error)]
pub enum ControlError {
    /// No such job.
    #[error("job not found: {0:?}")]
    UnknownJob(String),
    /// No such allocation.
    #[error("unknown allocation {0:?}")]
    UnknownAllocation(String),
    /// No such task.
    #[error("unknown task name {task:?}; the tasks are {known}")]
    UnknownTask {
        /// The name asked for.
        task: String,
        /// The names there are, comma-separated.
        known: String,
    },
    /// It needs a running task.
    #[error("task {0:?} is not running")]
    NotRunning(String),
    /// It needs a task that was started once.
    #[error("task {0:?} not started yet; there are no logs")]
    NotStarted(String),
    /// The task's output is not kept.
    #[error("the output of task {0:?} is not kept: its `logs` block says `disabled`")]
    LogsDisabled(String),
    /// The request is malformed.
    #[error("{0}")]
    Invalid(String),
    /// The driver.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The machine.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A file of the allocation.
    #[error("cannot read {path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        reason: std::io::Error,
    },
    /// The journal could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
