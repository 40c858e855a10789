//! What drivers say: log lines and task events.

use std::collections::BTreeMap;

use crate::caller::{DriverName, TaskId};

/// Importance of a driver's log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For debugging.
    Debug,
    /// Worth knowing.
    Info,
    /// Off, but going on.
    Warn,
    /// An operation failed.
    Error,
}

/// Annotation of an event that tells how far something is: how much is done.
pub const PROGRESS: &str = "progress";
/// Annotation of such an event: how much is to be done; 0 when that is not known. An event with it takes the place of
/// the one before it, if that has it, too.
pub const PROGRESS_TOTAL: &str = "progress_total";

/// Where events of a task go. Never blocks; what cannot be kept is dropped with a log line.
pub trait EventSink: Send + Sync {
    /// Adds an event of type `Driver` to a task.
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>);
}

/// Where drivers' log lines go. Never blocks.
pub trait DriverLog: Send + Sync {
    /// One line, already cut to size.
    fn line(&self, driver: &DriverName, task: Option<&TaskId>, operation: &str, level: Level, message: &str);
}
