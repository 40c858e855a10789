//! What drivers said.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use longshore_core::{
    added_port::{AddedPort, AddedPorts, Change},
    caller::{AllocId, DriverName, TaskId},
    error::Result,
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
pub(crate) struct FakeRecord {
    said: Mutex<Vec<Said>>,
    added: Mutex<BTreeMap<AllocId, Vec<AddedPort>>>,
}

impl FakeRecord {
    pub(crate) fn said(&self) -> Vec<Said> {
        lock(&self.said).clone()
    }
}

impl EventSink for FakeRecord {
    fn driver_event(&self, task: &TaskId, message: &str, annotations: &BTreeMap<String, String>) {
        let event = Said::Event { task: task.clone(), message: message.into(), annotations: annotations.clone() };
        lock(&self.said).push(event);
    }
}

impl DriverLog for FakeRecord {
    fn line(&self, driver: &DriverName, _task: Option<&TaskId>, operation: &str, level: Level, message: &str) {
        let driver = driver.clone();
        lock(&self.said).push(Said::Line { driver, operation: operation.into(), level, message: message.into() });
    }
}

#[async_trait]
impl AddedPorts for FakeRecord {
    async fn change(&self, alloc: &AllocId, change: Change) -> Result<Vec<AddedPort>> {
        let mut added = lock(&self.added);
        let own = added.entry(alloc.clone()).or_default();
        let before = own.clone();
        change(own);
        Ok(before)
    }
}
