//! The life of one task.

mod collect;
pub(crate) mod events;
mod image;
pub(crate) mod launch;
pub(crate) mod output;
pub(crate) mod restart;
pub(crate) mod runner;
mod stop;
mod wait;

use std::sync::Arc;

use longshore_core::{
    caller::{Caller, DriverName, TaskScope},
    driver::{Driver, DriverError, Started, Task},
};
use tokio::sync::{Mutex, watch};

use crate::shared::Shared;

/// How others reach a task.
#[derive(Default)]
pub(crate) struct TaskControl {
    /// What is wanted of it.
    pub(crate) wish: watch::Sender<Wish>,
    /// Set while it runs. Held during every call to the driver, so that calls for one task come one by one.
    pub(crate) live: Mutex<Option<Live>>,
}

/// What is wanted of a task. Only ever grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// It may start.
    pub(crate) start: bool,
    /// It is to end.
    pub(crate) stop: Option<StopCause>,
    /// How often a restart was asked for.
    pub(crate) restarts: u32,
}

/// Why a task is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// The allocation is to end.
    Requested,
    /// Another task of the group failed.
    SiblingFailed(String),
    /// The leader ended.
    LeaderDead,
    /// All main tasks ended.
    MainTasksDead,
}

impl TaskControl {
    /// Lets it start.
    pub(crate) fn start(&self) {
        self.wish.send_if_modified(|wish| !std::mem::replace(&mut wish.start, true));
    }

    /// Ends it; the first cause stays.
    pub(crate) fn stop(&self, cause: StopCause) {
        self.wish.send_if_modified(|wish| {
            let first = wish.stop.is_none();
            wish.stop.get_or_insert(cause);
            first
        });
    }

    /// Asks for a restart.
    pub(crate) fn restart(&self) {
        self.wish.send_modify(|wish| wish.restarts += 1);
    }
}

/// A running task, as calls about it need it.
#[derive(Clone)]
pub(crate) struct Live {
    /// Its driver's name.
    pub(crate) driver: String,
    /// The task as its driver was given it.
    pub(crate) task: Arc<Task>,
    /// Handle and what to watch.
    pub(crate) started: Arc<Started>,
}

impl Live {
    /// Its driver as it is loaded now.
    pub(crate) fn driver(&self, shared: &Shared) -> Result<Arc<dyn Driver>, DriverError> {
        shared.driver(&self.driver)
    }

    /// Who asks the machine about it.
    pub(crate) fn caller(&self) -> Caller {
        caller(&self.driver, &self.task)
    }
}

/// A driver that asks the machine about a task.
pub(crate) fn caller(driver: &str, task: &Task) -> Caller {
    let scope = TaskScope {
        id: task.id.clone(),
        dirs: task.dirs.clone(),
        ports: task.ports.clone(),
        logs: task.logs.clone(),
        network_namespace: task.network.namespace_path.as_ref().map(Into::into),
    };
    Caller { driver: DriverName(driver.to_owned()), task: Some(scope) }
}
