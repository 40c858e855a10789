//! All that the machine offers to drivers, in one value.

use std::sync::Arc;

use crate::{
    added_port::AddedPorts,
    component::Components,
    container::Containers,
    file::Files,
    image::Images,
    network::Networks,
    port::Ports,
    process::Processes,
    record::{DriverLog, EventSink},
    state::DriverState,
};

/// The backends. `host/cli` names the real ones, tests name fakes.
///
/// A backend that is absent makes calls of its interface `Unavailable` ("this host has no …"); grants decide
/// separately whether the interface is linked at all.
#[derive(Clone)]
pub struct Backends {
    /// The container engine.
    pub containers: Option<Arc<dyn Containers>>,
    /// Its images.
    pub images: Option<Arc<dyn Images>>,
    /// Native processes.
    pub processes: Option<Arc<dyn Processes>>,
    /// Components as tasks.
    pub components: Option<Arc<dyn Components>>,
    /// Host ports.
    pub ports: Option<Arc<dyn Ports>>,
    /// Networks of allocations.
    pub networks: Option<Arc<dyn Networks>>,
    /// Ports that drivers add to those of the job file.
    pub added_ports: Arc<dyn AddedPorts>,
    /// Files of allocations.
    pub files: Option<Arc<dyn Files>>,
    /// Drivers' durable state.
    pub state: Option<Arc<dyn DriverState>>,
    /// Task events.
    pub events: Arc<dyn EventSink>,
    /// Drivers' log lines.
    pub log: Arc<dyn DriverLog>,
}
