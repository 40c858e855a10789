//! What drivers said.

use std::{collections::BTreeMap, sync::Mutex};

use longshore_core::{
    caller::{DriverName, TaskId},
    record::{DriverLog, EventSink, Level},
};

use crate::plan::lock;

/// Something a driver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A log line.
    Line {
        /// Who.
        driver: DriverName,
        /// During which operation.
        operation: String,
        /// How important.
        level: Level,
        /// What.
        message: String,
    },
    /// A task event.
    Event {
        /// Of which task.
        task: TaskId,
        /// What.
        message: String,
        /// Details.
        annotations: BTreeMap<String, String>,
    },
}

#[derive(Default)]
pub(crate) struct FakeRecord(Mutex<Vec<Said>>);

impl FakeRecord {
    pub(crate) fn said(&self) -> Vec<Said> {
        lock(&self.0).clone()
    }
}

impl EventSink for FakeRecord {
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>) {
        let event = Said::Event { task: task.clone(), message: message.into(), annotations: annotations.clone() };
        lock(&self.0).push(event);
    }
}

impl DriverLog for FakeRecord {
    fn line(&self, driver: &DriverName, _task: Option<&TaskId>, operation: &str, level: Level, message: &str) {
        let driver = driver.clone();
        lock(&self.0).push(Said::Line { driver, operation: operation.into(), level, message: message.into() });
    }
}
