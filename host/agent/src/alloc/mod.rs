//! Allocations: a group's tasks, their directory, their ports, their cores, their networks (some
//! begun in advance), their order.

pub(crate) mod confine;
pub(crate) mod cores;
pub(crate) mod dir;
pub(crate) mod env;
pub(crate) mod etc;
pub(crate) mod network;
pub(crate) mod order;
pub(crate) mod ports;
pub(crate) mod runner;
pub(crate) mod spare;

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use crate::task::TaskControl;

/// How others reach a running allocation.
pub(crate) struct AllocControl {
    /// Whether it is to end.
    pub(crate) stop: watch::Sender<bool>,
    /// Its tasks.
    pub(crate) tasks: BTreeMap<String, Arc<TaskControl>>,
}

impl AllocControl {
    /// Controls for a group's tasks.
    pub(crate) fn new<'a>(tasks: impl Iterator<Item = &'a String>) -> Self {
        let tasks = tasks.map(|name| (name.clone(), Arc::default())).collect();
        Self { stop: watch::Sender::new(false), tasks }
    }
}
