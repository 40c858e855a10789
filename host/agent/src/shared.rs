//! interim
#![allow(missing_docs)]
use std::{collections::BTreeMap, sync::Arc};

use longshore_core::{
    backends::Backends,
    driver::Drivers,
    exec::{ExecRequest, ExecStream},
    workload::{OutputStream, Usage},
};
use longshore_job::model::Job;

use crate::{
    AgentConfig, AgentError, AgentStore, ControlError, Evaluation, LogStart, LogStream, Node, SubmitError,
    SubmitOptions, Submitted, board::Board,
};

pub(crate) struct Shared {
    pub(crate) board: Arc<Board>,
}

fn unbuilt<T>() -> Result<T, ControlError> {
    Err(ControlError::Invalid("not built yet".into()))
}

impl Shared {
    pub(crate) async fn start(
        store: AgentStore,
        _config: AgentConfig,
        _backends: Backends,
        _drivers: Arc<dyn Drivers>,
    ) -> Result<Arc<Self>, AgentError> {
        let board = Arc::new(Board::new(store.journal.clone(), 0));
        Ok(Arc::new(Self { board }))
    }
    pub(crate) async fn shutdown(&self) {}
    pub(crate) async fn submit(&self, _job: Job, _options: SubmitOptions) -> Result<Submitted, SubmitError> {
        Err(SubmitError::Invalid(vec![crate::error::Problem::new("", "not built yet")]))
    }
    pub(crate) async fn validate(&self, _job: &Job) -> Result<Vec<String>, SubmitError> {
        Ok(Vec::new())
    }
    pub(crate) async fn stop_job(&self, _id: &str, _purge: bool) -> Result<Arc<Evaluation>, ControlError> {
        unbuilt()
    }
    pub(crate) async fn stop_allocation(&self, _id: &str) -> Result<Arc<Evaluation>, ControlError> {
        unbuilt()
    }
    pub(crate) fn restart_allocation(&self, _id: &str, _task: Option<&str>) -> Result<(), ControlError> {
        unbuilt()
    }
    pub(crate) async fn signal_allocation(&self, _: &str, _: Option<&str>, _: &str) -> Result<(), ControlError> {
        unbuilt()
    }
    pub(crate) async fn exec(&self, _: &str, _: &str, _: ExecRequest) -> Result<Box<dyn ExecStream>, ControlError> {
        unbuilt()
    }
    pub(crate) fn logs(
        &self,
        _: &str,
        _: &str,
        _: OutputStream,
        _: LogStart,
        _: bool,
    ) -> Result<LogStream, ControlError> {
        unbuilt()
    }
    pub(crate) async fn usage(&self, _: &str) -> Result<BTreeMap<String, Usage>, ControlError> {
        unbuilt()
    }
    pub(crate) fn node(&self) -> Node {
        Node {
            id: String::new(),
            name: String::new(),
            datacenter: String::new(),
            region: String::new(),
            attributes: BTreeMap::new(),
            meta: BTreeMap::new(),
            drivers: BTreeMap::new(),
        }
    }
}
