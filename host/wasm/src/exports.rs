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
        exports::longshore::driver::{about, exec, lifecycle, network, poll},
        longshore::{
            driver::types,
            host::types::{Error, ExecRequest, Usage},
        },
    },
    convert::{told, told_map},
    function::Function,
    limits::HANDLE_BYTES,
    parameters,
    store::Operation,
};

/// What a function answers that may refuse.
pub(crate) type Answer<T> = Result<T, Error>;

/// A function that may refuse.
type Ask<P, T> = Function<P, Answer<T>>;

/// What passes by reference; the lifetime is that of one call.
type Task = parameters::Task<'static>;
type TaskRef = parameters::TaskRef<'static>;
type Handle = &'static [u8];
type Text = &'static str;

/// The functions of a driver; those of optional interfaces if its component exports them.
pub(crate) struct Exports {
    pub(crate) describe: Function<(), about::Description>,
    pub(crate) config_schema: Function<(), String>,
    pub(crate) settings_schema: Function<(), String>,
    pub(crate) fingerprint: Function<(), about::FingerprintResult>,
    pub(crate) start: Function<(Task,), Result<types::Started, types::StartError>>,
    pub(crate) recover: Ask<(Task, Handle), types::Started>,
    pub(crate) stop: Ask<(TaskRef, Handle, lifecycle::StopRequest), ()>,
    pub(crate) destroy: Ask<(TaskRef, Option<Handle>), ()>,
    pub(crate) inspect: Ask<(TaskRef, Handle), lifecycle::TaskStatus>,
    pub(crate) send_signal: Option<Ask<(TaskRef, Handle, Text), ()>>,
    pub(crate) open_exec: Option<Ask<(TaskRef, Handle, ExecRequest), exec::Session>>,
    pub(crate) sample: Option<Ask<(TaskRef, Handle), Usage>>,
    pub(crate) poll: Option<Ask<(TaskRef, Handle), poll::Observation>>,
    pub(crate) create_network: Option<Ask<(network::NetworkRequest,), network::CreatedNetwork>>,
    pub(crate) destroy_network: Option<Ask<(Text, Option<Handle>), ()>>,
}

impl Exports {
    /// Finds them. `has` says which optional interfaces are exported: those must then be whole.
    pub(crate) fn find(pre: &InstancePre<Operation>, has: Capabilities) -> wasmtime::Result<Self> {
        const ABOUT: &str = "longshore:driver/about@0.1.0";
        const LIFECYCLE: &str = "longshore:driver/lifecycle@0.1.0";
        const SIGNALS: &str = "longshore:driver/signals@0.1.0";
        const EXEC: &str = "longshore:driver/exec@0.1.0";
        const STATS: &str = "longshore:driver/stats@0.1.0";
        const POLL: &str = "longshore:driver/poll@0.1.0";
        const NETWORK: &str = "longshore:driver/network@0.1.0";
        Ok(Self {
            describe: Function::find(pre, ABOUT, "describe")?,
            config_schema: Function::find(pre, ABOUT, "config-schema")?,
            settings_schema: Function::find(pre, ABOUT, "settings-schema")?,
            fingerprint: Function::find(pre, ABOUT, "fingerprint")?,
            start: Function::find(pre, LIFECYCLE, "start")?,
            recover: Function::find(pre, LIFECYCLE, "recover")?,
            stop: Function::find(pre, LIFECYCLE, "stop")?,
            destroy: Function::find(pre, LIFECYCLE, "destroy")?,
            inspect: Function::find(pre, LIFECYCLE, "inspect")?,
            send_signal: has.signals.then(|| Function::find(pre, SIGNALS, "send")).transpose()?,
            open_exec: has.exec.then(|| Function::find(pre, EXEC, "open")).transpose()?,
            sample: has.stats.then(|| Function::find(pre, STATS, "sample")).transpose()?,
            poll: has.poll.then(|| Function::find(pre, POLL, "check")).transpose()?,
            create_network: has.network.then(|| Function::find(pre, NETWORK, "create")).transpose()?,
            destroy_network: has.network.then(|| Function::find(pre, NETWORK, "destroy")).transpose()?,
        })
    }

    /// Compares their types with the contract's, which nothing else does before they are called.
    pub(crate) fn check(&self, store: &mut Store<Operation>, instance: &Instance) -> wasmtime::Result<()> {
        self.describe.check(store, instance)?;
        self.config_schema.check(store, instance)?;
        self.settings_schema.check(store, instance)?;
        self.fingerprint.check(store, instance)?;
        self.start.check(store, instance)?;
        self.recover.check(store, instance)?;
        self.stop.check(store, instance)?;
        self.destroy.check(store, instance)?;
        self.inspect.check(store, instance)?;
        self.send_signal.as_ref().map_or(Ok(()), |function| function.check(store, instance))?;
        self.open_exec.as_ref().map_or(Ok(()), |function| function.check(store, instance))?;
        self.sample.as_ref().map_or(Ok(()), |function| function.check(store, instance))?;
        self.poll.as_ref().map_or(Ok(()), |function| function.check(store, instance))?;
        self.create_network.as_ref().map_or(Ok(()), |function| function.check(store, instance))?;
        self.destroy_network.as_ref().map_or(Ok(()), |function| function.check(store, instance))
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
        Self { state: status.state.into(), attributes: told_map(status.attributes) }
    }
}

impl From<about::Description> for driver::Description {
    fn from(description: about::Description) -> Self {
        let about::Description { name, version, summary, filesystem, network_modes, attributes } = description;
        let (version, summary) = (told(version), told(summary));
        Self { name, version, summary, filesystem, network_modes, attributes: told_map(attributes) }
    }
}

impl From<about::Health> for Health {
    fn from(health: about::Health) -> Self {
        match health {
            about::Health::Healthy => Self::Healthy,
            about::Health::Unhealthy(text) | about::Health::Other(text) => Self::Unhealthy(told(text)),
            about::Health::Undetected(text) => Self::Undetected(told(text)),
        }
    }
}
