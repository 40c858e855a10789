//! The `docker` driver: Nomad's Docker task configuration, turned into what the host's container engine is
//! asked for.
//!
//! | to learn | read |
//! |---|---|
//! | what a job may write | [`config`] and `config.schema.json` |
//! | how that becomes a container | [`spec`], from [`ports`], [`mounts`], [`network`], [`resources`], [`options`] |
//! | the order of calls to the engine | [`lifecycle`] |
//!
//! All of it is pure but [`engine`] and this file, and tested natively. What is allowed (privileges, host
//! paths, devices, …) is not decided here: the host checks every container against the operator's policy.

pub mod config;
pub mod duration;
pub mod engine;
pub mod image;
pub mod lifecycle;
pub mod loose;
pub mod mounts;
pub mod network;
pub mod options;
pub mod ports;
pub mod resources;
pub mod spec;

use longshore_sdk::{
    About, Description, Error, Exec, ExecRequest, FingerprintResult, Health, KeyValue, Lifecycle, Session, Signals,
    StartError, Started, StopRequest, Task, TaskRef, TaskStatus, env, handle,
    host::containers::{self, EngineInfo},
};

use crate::{engine::Host, lifecycle::Handle};

/// The driver.
pub struct Docker;

longshore_sdk::export!(Docker with signals, exec);

impl About for Docker {
    fn describe() -> Description {
        Description {
            name: "docker".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Containers of the machine's Docker Engine".into(),
            filesystem: "image".into(),
            network_modes: ["host", "bridge", "none", "cni"].map(String::from).into(),
            attributes: Vec::new(),
        }
    }

    fn config_schema() -> String {
        include_str!("config.schema.json").into()
    }

    fn settings_schema() -> String {
        include_str!("settings.schema.json").into()
    }

    fn fingerprint() -> FingerprintResult {
        match containers::engine() {
            Ok(engine) => FingerprintResult { health: Health::Healthy, attributes: attributes(&engine) },
            Err(error) => FingerprintResult { health: unreachable(&error), attributes: Vec::new() },
        }
    }
}

impl Lifecycle for Docker {
    fn start(task: Task) -> Result<Started, StartError> {
        lifecycle::start(&Host, &task)
    }

    fn recover(task: Task, handle: Vec<u8>) -> Result<Started, Error> {
        lifecycle::recover(&Host, &task, &handle)
    }

    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        containers::stop(&container(&handle)?, request.signal.as_deref(), request.grace_ms)
    }

    fn destroy(_: TaskRef, handle: Option<Vec<u8>>) -> Result<(), Error> {
        lifecycle::destroy(&Host, handle.as_deref())
    }

    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        let container = containers::inspect(&container(&handle)?)?;
        let known = [
            ("container_id", Some(container.id)),
            ("container_name", Some(container.name)),
            ("image", Some(container.image)),
            ("health", container.health),
            ("address", container.address),
            ("network", container.network_name),
        ];
        let attributes = env::list(known.into_iter().filter_map(|(key, value)| Some((key, value?))));
        Ok(TaskStatus { state: container.state, attributes })
    }
}

impl Signals for Docker {
    fn send(_: TaskRef, handle: Vec<u8>, name: String) -> Result<(), Error> {
        containers::signal(&container(&handle)?, &name)
    }
}

impl Exec for Docker {
    fn open(_: TaskRef, handle: Vec<u8>, request: ExecRequest) -> Result<Session, Error> {
        containers::prepare_exec(&container(&handle)?, &request).map(Session::Container)
    }
}

fn container(handle: &[u8]) -> Result<String, Error> {
    handle::decode::<Handle>(handle).map(|handle| handle.container_id)
}

/// `driver.docker` and what hangs on it.
fn attributes(engine: &EngineInfo) -> Vec<KeyValue> {
    let mut attributes = env::list([
        ("driver.docker", "1"),
        ("driver.docker.version", &engine.version),
        ("driver.docker.os_type", &engine.os),
        ("driver.docker.runtimes", &engine.runtimes.join(",")),
    ]);
    if let Some(address) = &engine.bridge_ip {
        env::set(&mut attributes, "driver.docker.bridge_ip", address);
    }
    attributes
}

/// The host turns this into "unhealthy" when the engine was seen before.
fn unreachable(error: &Error) -> Health {
    Health::Undetected(format!("Failed to connect to docker daemon: {}", error.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_those_of_nomad() {
        let engine = EngineInfo {
            name: "docker".into(),
            version: "27.0.1".into(),
            api_version: "1.46".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            bridge_ip: Some("172.17.0.1".into()),
            runtimes: vec!["nvidia".into(), "runc".into()],
            attributes: Vec::new(),
        };
        let told = attributes(&engine);
        for (key, value) in [
            ("driver.docker", "1"),
            ("driver.docker.version", "27.0.1"),
            ("driver.docker.os_type", "linux"),
            ("driver.docker.runtimes", "nvidia,runc"),
            ("driver.docker.bridge_ip", "172.17.0.1"),
        ] {
            assert_eq!(env::get(&told, key), Some(value), "{key}");
        }
    }

    #[test]
    fn health_says_why() {
        let Health::Undetected(text) = unreachable(&Error::unavailable("no such socket")) else { panic!() };
        assert_eq!(text, "Failed to connect to docker daemon: no such socket");
    }
}
