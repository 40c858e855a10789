//! What drivers say and add, on its way to the task or the allocation it is about.

use std::{
    collections::BTreeMap,
    sync::{OnceLock, Weak},
};

use async_trait::async_trait;
use longshore_core::{
    added_port::{AddedPort, AddedPorts, Change},
    caller::{AllocId, DriverName, TaskId},
    error::{HostError, Result},
    record::{DriverLog, EventSink, Level},
};

use super::Pending;

/// Where it ends up: the agent's board, once there is one.
pub(crate) trait RelayTarget: Send + Sync {
    /// Adds an event of type `Driver`.
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>);
    /// Changes what drivers added to an allocation; answers what that was before. None if nobody knows the allocation.
    fn change_added_ports(&self, alloc: &AllocId, change: Change) -> Option<(Vec<AddedPort>, Pending)>;
}

/// Hands it to the agent. Before there is one, and after it is gone, events are logged and dropped, and nothing can be
/// added.
#[derive(Default)]
pub(crate) struct Relay {
    target: OnceLock<Weak<dyn RelayTarget>>,
}

impl Relay {
    /// Connects the agent; the first one stays.
    pub(crate) fn connect(&self, target: Weak<dyn RelayTarget>) {
        let _ = self.target.set(target);
    }
}

impl EventSink for Relay {
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>) {
        match self.target.get().and_then(Weak::upgrade) {
            Some(target) => target.driver_event(task, message, annotations),
            None => tracing::warn!(%task, message, "event of a driver dropped: no agent runs"),
        }
    }
}

#[async_trait]
impl AddedPorts for Relay {
    async fn change(&self, alloc: &AllocId, change: Change) -> Result<Vec<AddedPort>> {
        let target = self.target.get().and_then(Weak::upgrade);
        let changed = target.and_then(|target| target.change_added_ports(alloc, change));
        let (before, pending) =
            changed.ok_or_else(|| HostError::NotFound(format!("no agent knows the allocation {alloc}")))?;
        pending.durable().await.map_err(|error| HostError::Other(error.to_string()))?;
        Ok(before)
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
