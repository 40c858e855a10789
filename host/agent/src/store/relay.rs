//! What drivers say, on its way to the task it is about.

use std::{
    collections::BTreeMap,
    sync::{OnceLock, Weak},
};

use longshore_core::{
    caller::{DriverName, TaskId},
    record::{DriverLog, EventSink, Level},
};

/// Where drivers' events end up: the agent's board, once there is one.
pub(crate) trait EventTarget: Send + Sync {
    /// Adds an event of type `Driver`.
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>);
}

/// Hands events to the agent. Before there is one, and after it is gone, they are logged and dropped.
#[derive(Default)]
pub(crate) struct EventRelay {
    target: OnceLock<Weak<dyn EventTarget>>,
}

impl EventRelay {
    /// Connects the agent; the first one stays.
    pub(crate) fn connect(&self, target: Weak<dyn EventTarget>) {
        let _ = self.target.set(target);
    }
}

impl EventSink for EventRelay {
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>) {
        match self.target.get().and_then(Weak::upgrade) {
            Some(target) => target.driver_event(task, message, annotations),
            None => tracing::warn!(%task, message, "event of a driver dropped: no agent runs"),
        }
    }
}

/// Drivers' log lines as `tracing` events.
pub(crate) struct TracingLog;

impl DriverLog for TracingLog {
    fn line(&self, driver: &DriverName, task: Option<&TaskId>, operation: &str, level: Level, message: &str) {
        let task = task.map(ToString::to_string);
        let task = task.as_deref();
        match level {
            Level::Trace => tracing::trace!(target: "driver", %driver, task, operation, "{message}"),
            Level::Debug => tracing::debug!(target: "driver", %driver, task, operation, "{message}"),
            Level::Info => tracing::info!(target: "driver", %driver, task, operation, "{message}"),
            Level::Warn => tracing::warn!(target: "driver", %driver, task, operation, "{message}"),
            Level::Error => tracing::error!(target: "driver", %driver, task, operation, "{message}"),
        }
    }
}
