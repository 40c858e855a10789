//! What a driver's component exports: which of the contract's interfaces, and what passes through them.

use longshore_core::{
    driver::{self, Capabilities, Health},
    error::HostError,
    exec::ExecSession,
    network::Holder,
    workload::OutputStream,
};
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    bindings::{
        exports::longshore::driver::{about, exec, lifecycle, network, poll, signals, stats},
        longshore::driver::types,
    },
    convert::{key_values, map},
    limits::HANDLE_BYTES,
    store::Operation,
};

/// Where a component's exports are; the optional ones if it has them.
pub(crate) struct Exports {
    pub(crate) about: about::GuestIndices,
    pub(crate) lifecycle: lifecycle::GuestIndices,
    pub(crate) signals: Option<signals::GuestIndices>,
    pub(crate) exec: Option<exec::GuestIndices>,
    pub(crate) stats: Option<stats::GuestIndices>,
    pub(crate) poll: Option<poll::GuestIndices>,
    pub(crate) network: Option<network::GuestIndices>,
}

impl Exports {
    /// Finds them. `has` says which optional interfaces are exported: those must then be whole.
    pub(crate) fn find(pre: &InstancePre<Operation>, has: Capabilities) -> wasmtime::Result<Self> {
        Ok(Self {
            about: about::GuestIndices::new(pre)?,
            lifecycle: lifecycle::GuestIndices::new(pre)?,
            signals: has.signals.then(|| signals::GuestIndices::new(pre)).transpose()?,
            exec: has.exec.then(|| exec::GuestIndices::new(pre)).transpose()?,
            stats: has.stats.then(|| stats::GuestIndices::new(pre)).transpose()?,
            poll: has.poll.then(|| poll::GuestIndices::new(pre)).transpose()?,
            network: has.network.then(|| network::GuestIndices::new(pre)).transpose()?,
        })
    }

    /// Compares the types of all their functions with the contract's, which nothing does before they are loaded.
    pub(crate) fn check(&self, store: &mut Store<Operation>, instance: &Instance) -> wasmtime::Result<()> {
        self.lifecycle.load(&mut *store, instance)?;
        self.signals.as_ref().map(|signals| signals.load(&mut *store, instance)).transpose()?;
        self.exec.as_ref().map(|exec| exec.load(&mut *store, instance)).transpose()?;
        self.stats.as_ref().map(|stats| stats.load(&mut *store, instance)).transpose()?;
        self.poll.as_ref().map(|poll| poll.load(&mut *store, instance)).transpose()?;
        self.network.as_ref().map(|network| network.load(&mut *store, instance)).transpose()?;
        Ok(())
    }
}

impl From<&driver::Task> for types::TaskRef {
    fn from(task: &driver::Task) -> Self {
        Self { id: task.id.to_string(), name: task.id.task.clone(), alloc_id: task.id.alloc.0.clone() }
    }
}

impl From<&driver::Task> for types::Task {
    fn from(task: &driver::Task) -> Self {
        Self {
            identity: task.into(),
            origin: key_values(&task.origin),
            config: task.config.to_string(),
            env: key_values(&task.env),
            user: task.user.clone(),
            resources: (&task.resources).into(),
            ports: task.ports.iter().map(Into::into).collect(),
            network: (&task.network).into(),
            dns: task.dns.as_ref().map(Into::into),
            directories: (&task.dirs).into(),
            mounts: task.mounts.iter().map(Into::into).collect(),
            devices: task.devices.iter().map(Into::into).collect(),
        }
    }
}

impl From<&driver::Resources> for types::Resources {
    fn from(resources: &driver::Resources) -> Self {
        let driver::Resources { cpu_mhz, cpu_cores, node_cpu_mhz, memory_mib, memory_max_mib } = resources.clone();
        Self { cpu_mhz, cpu_cores, node_cpu_mhz, memory_mib, memory_max_mib }
    }
}

impl From<&driver::TaskNetwork> for types::TaskNetwork {
    fn from(network: &driver::TaskNetwork) -> Self {
        let driver::TaskNetwork { mode, namespace_path, holder_container, hostname } = network.clone();
        Self { mode, namespace_path, holder_container, hostname }
    }
}

impl From<&driver::Dns> for types::Dns {
    fn from(dns: &driver::Dns) -> Self {
        let driver::Dns { servers, searches, options } = dns.clone();
        Self { servers, searches, options }
    }
}

impl From<&driver::Device> for types::Device {
    fn from(device: &driver::Device) -> Self {
        let driver::Device { host_path, task_path, permissions } = device.clone();
        Self { host_path, task_path, permissions }
    }
}

impl From<&longshore_core::caller::TaskDirs> for types::Directories {
    fn from(dirs: &longshore_core::caller::TaskDirs) -> Self {
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        Self {
            task: text(&dirs.task),
            alloc: text(&dirs.alloc),
            local: text(&dirs.local),
            secrets: text(&dirs.secrets),
        }
    }
}

/// Refuses a handle that is too large to be stored.
pub(crate) fn check_handle(handle: Vec<u8>) -> Result<Vec<u8>, HostError> {
    match handle.len() {
        0..=HANDLE_BYTES => Ok(handle),
        bytes => Err(HostError::Limit(format!("it answered a handle of {bytes} bytes; {HANDLE_BYTES} are allowed"))),
    }
}

/// Accepts what `start` or `recover` answered, or says what this host cannot do with it.
pub(crate) fn started(started: types::Started, has: Capabilities) -> Result<driver::Started, HostError> {
    let watch = match started.watch {
        types::Watch::Container(id) => driver::Watch::Container(id),
        types::Watch::Process(id) => driver::Watch::Process(id),
        types::Watch::Component(id) => driver::Watch::Component(id),
        types::Watch::Poll(_) if !has.poll => {
            let text = "it asks to be polled, but its component does not export `longshore:driver/poll`";
            return Err(HostError::Invalid(text.into()));
        }
        types::Watch::Poll(every_ms) => driver::Watch::Poll(every_ms.max(100)),
        types::Watch::Other(kind) => {
            return Err(HostError::Invalid(format!("it asks this host to watch a {kind:?}, a kind it does not know")));
        }
    };
    let network = started.network.map(|network| driver::DriverNetwork {
        address: network.address,
        auto_advertise: network.auto_advertise,
        port_map: network.port_map,
    });
    Ok(driver::Started { handle: check_handle(started.handle)?, watch, network })
}

/// Accepts what `network.create` answered.
pub(crate) fn created(created: network::CreatedNetwork) -> Result<driver::CreatedNetwork, HostError> {
    let (holder, namespace_path) = match created.holder {
        network::NamespaceHolder::Container(id) => (Holder::Container(id), None),
        network::NamespaceHolder::Path(path) => {
            let text = format!("it made a namespace at {path:?}; this host takes those of its containers only");
            return Err(HostError::Denied(text));
        }
        network::NamespaceHolder::Other(kind) => {
            return Err(HostError::Invalid(format!("it made a namespace held by a {kind:?}, a kind not known here")));
        }
    };
    Ok(driver::CreatedNetwork { holder, namespace_path, handle: check_handle(created.handle)? })
}

impl From<&driver::NetworkRequest> for network::NetworkRequest {
    fn from(request: &driver::NetworkRequest) -> Self {
        Self { alloc_id: request.alloc.0.clone(), mode: request.mode.clone(), hostname: request.hostname.clone() }
    }
}

/// Accepts what `poll.check` answered.
pub(crate) fn observation(observation: poll::Observation) -> Result<driver::Observation, HostError> {
    let chunk = |chunk: poll::OutputChunk| match chunk.stream_name.as_str() {
        "stdout" => Ok((OutputStream::Stdout, chunk.data)),
        "stderr" => Ok((OutputStream::Stderr, chunk.data)),
        name => Err(HostError::Invalid(format!("it answered output of a stream {name:?}, not of stdout or stderr"))),
    };
    Ok(driver::Observation {
        state: observation.state.into(),
        output: observation.output.into_iter().map(chunk).collect::<Result<_, _>>()?,
        handle: observation.handle.map(check_handle).transpose()?,
    })
}

/// Accepts what `exec.open` answered.
pub(crate) fn session(session: exec::Session) -> Result<ExecSession, HostError> {
    match session {
        exec::Session::Container(id) => Ok(ExecSession::Container(id)),
        exec::Session::Process(id) => Ok(ExecSession::Process(id)),
        exec::Session::Other(kind) => Err(HostError::Invalid(format!(
            "it answered an exec session of kind {kind:?}, which this host does not know"
        ))),
    }
}

impl From<lifecycle::TaskStatus> for driver::TaskStatus {
    fn from(status: lifecycle::TaskStatus) -> Self {
        Self { state: status.state.into(), attributes: map(status.attributes) }
    }
}

impl From<about::Description> for driver::Description {
    fn from(description: about::Description) -> Self {
        let about::Description { name, version, summary, filesystem, network_modes, attributes } = description;
        Self { name, version, summary, filesystem, network_modes, attributes: map(attributes) }
    }
}

impl From<about::Health> for Health {
    fn from(health: about::Health) -> Self {
        match health {
            about::Health::Healthy => Self::Healthy,
            about::Health::Unhealthy(text) | about::Health::Other(text) => Self::Unhealthy(text),
            about::Health::Undetected(text) => Self::Undetected(text),
        }
    }
}
