//! The machine in memory: every backend trait of core, without a kernel or an engine.
//!
//! A fake keeps the promises the real backends keep (ownership, idempotence, errors), remembers every call,
//! and breaks on command:
//!
//! ```
//! use longshore_core::{caller::{Caller, DriverName}, error::HostError};
//! use longshore_fake::{Effect, Fake};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let fake = Fake::new();
//! fake.on("containers.engine", 2, Effect::Fail(HostError::Unavailable("engine gone".into())));
//! let containers = fake.backends().containers.unwrap();
//! let caller = Caller::driver(&DriverName("docker".into()));
//! assert!(containers.engine(&caller).await.is_ok());
//! assert!(containers.engine(&caller).await.is_err());
//! assert_eq!(fake.calls(), ["containers.engine", "containers.engine"]);
//! # });
//! ```

mod containers;
mod files;
mod images;
mod networks;
mod plan;
mod ports;
mod processes;
mod record;
mod state;
mod workloads;

use std::sync::Arc;

use longshore_core::{
    backends::Backends,
    error::HostError,
    workload::{ExitStatus, OutputStream},
};

pub use self::{plan::Effect, record::Said};
use self::{plan::Plan, workloads::Workloads};

/// A machine in memory. Clones are the same machine.
#[derive(Clone, Default)]
pub struct Fake {
    plan: Arc<Plan>,
    containers: Arc<Workloads>,
    processes: Arc<Workloads>,
    components: Arc<Workloads>,
    images: Arc<images::FakeImages>,
    ports: Arc<ports::FakePorts>,
    networks: Arc<networks::FakeNetworks>,
    files: Arc<files::FakeFiles>,
    state: Arc<state::FakeState>,
    record: Arc<record::FakeRecord>,
}

impl Fake {
    /// An empty machine with a healthy engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// All its backends.
    pub fn backends(&self) -> Backends {
        Backends {
            containers: Some(Arc::new(containers::FakeContainers::new(self))),
            images: Some(Arc::new(images::PlannedImages::new(self))),
            processes: Some(Arc::new(processes::FakeProcesses::new(self))),
            components: Some(Arc::new(processes::FakeComponents::new(self))),
            ports: Some(Arc::new(ports::PlannedPorts::new(self))),
            networks: Some(Arc::new(networks::PlannedNetworks::new(self))),
            added_ports: self.record.clone(),
            files: Some(Arc::new(files::PlannedFiles::new(self))),
            state: Some(Arc::new(state::PlannedState::new(self))),
            events: self.record.clone(),
            log: self.record.clone(),
        }
    }

    /// Makes the `nth` call (from 1, counted from now on) of an operation (`containers.start`) misbehave.
    pub fn on(&self, operation: &str, nth: usize, effect: Effect) {
        self.plan.add(operation, nth, effect);
    }

    /// Every call so far, in order, as `interface.operation`.
    pub fn calls(&self) -> Vec<String> {
        self.plan.calls()
    }

    /// Everything drivers logged and every event they emitted, in order.
    pub fn said(&self) -> Vec<Said> {
        self.record.said()
    }

    /// Ids of the workloads that run now: containers, processes and components.
    pub fn running(&self) -> Vec<String> {
        [&self.containers, &self.processes, &self.components].iter().flat_map(|table| table.running()).collect()
    }

    /// Ids of all workloads that were not removed.
    pub fn present(&self) -> Vec<String> {
        [&self.containers, &self.processes, &self.components].iter().flat_map(|table| table.present()).collect()
    }

    /// Labels of the ports that are held, by number.
    pub fn held_ports(&self) -> Vec<String> {
        self.ports.labels()
    }

    /// Labels of the ports that drivers mapped, and the numbers they lead to.
    pub fn added_ports(&self) -> Vec<(String, u16)> {
        self.networks.added()
    }

    /// The agent's process has ended: the sockets that held its ports are closed.
    pub fn close_sockets(&self) {
        self.ports.close();
    }

    /// Ends a running workload as if by itself.
    pub fn finish(&self, id: &str, status: ExitStatus) -> Result<(), HostError> {
        self.table_of(id)?.finish(id, status)
    }

    /// Lets a container print something.
    pub fn print(&self, id: &str, stream: OutputStream, text: &str) -> Result<(), HostError> {
        self.table_of(id)?.print(id, stream, text)
    }

    /// Removes a workload behind everybody's back.
    pub fn vanish(&self, id: &str) -> Result<(), HostError> {
        self.table_of(id)?.vanish(id)
    }

    /// Puts an image on the machine.
    pub fn add_image(&self, reference: &str) {
        self.images.add(reference);
    }

    fn table_of(&self, id: &str) -> Result<&Workloads, HostError> {
        [&self.containers, &self.processes, &self.components]
            .into_iter()
            .map(Arc::as_ref)
            .find(|table| table.has(id))
            .ok_or_else(|| HostError::NotFound(format!("no workload {id}")))
    }
}
