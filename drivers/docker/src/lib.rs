//! The `docker` driver: Nomad's Docker task configuration, turned into what the host's container engine is
//! asked for.
//!
//! | to learn | read |
//! |---|---|
//! | what a job may write | [`config`] and `config.schema.json` |
//! | what an operator may write | [`settings`] and `settings.schema.json` |
//! | how that becomes a container | [`spec`], from [`ports`], [`mounts`], [`network`], [`resources`], [`options`] |
//! | the order of calls to the engine | [`lifecycle`]; which image, and whether it is fetched: [`create`] |
//! | who holds a group's network namespace | [`holder`] |
//!
//! All of it is pure but [`engine`] and this file, and tested natively. What is allowed (privileges, host
//! paths, devices, …) is not decided here: the host checks every container against the operator's policy.

pub mod config;
pub mod create;
pub mod duration;
pub mod engine;
#[cfg(test)]
mod fake;
pub mod holder;
pub mod image;
pub mod lifecycle;
pub mod mounts;
pub mod network;
pub mod options;
pub mod ports;
pub mod resources;
pub mod settings;
pub mod spec;

use longshore_sdk::{
    About, CreatedNetwork, Description, Error, Exec, ExecRequest, FingerprintResult, Health, KeyValue, Lifecycle,
    Network, NetworkRequest, Session, Signals, StartError, Started, StopRequest, Task, TaskRef, TaskStatus, env,
    handle,
    host::containers::{self, EngineInfo},
};

use crate::{
    engine::{Engine, Host},
    lifecycle::Handle,
    settings::Settings,
};

/// The driver.
pub struct Docker;

longshore_sdk::export!(Docker with signals, exec, network);

impl About for Docker {
    fn describe() -> Description {
        Description {
            name: Host.settings().ok().and_then(|settings| settings.name).unwrap_or_else(|| "docker".into()),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Containers of the machine's Docker Engine".into(),
            filesystem: "image".into(),
            network_modes: ["host", "bridge", "none", "cni"].map(String::from).into(),
            attributes: env::list([("rehearsal", "start")]),
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
            Ok(engine) => {
                let settings = Host.settings().unwrap_or_default();
                FingerprintResult { health: Health::Healthy, attributes: attributes(&engine, &settings) }
            }
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
            ("address_ipv6", container.address_ipv6),
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

impl Network for Docker {
    fn create(request: NetworkRequest) -> Result<CreatedNetwork, Error> {
        holder::create(&Host, request)
    }

    fn destroy(_: String, handle: Option<Vec<u8>>) -> Result<(), Error> {
        holder::destroy(&Host, handle.as_deref())
    }
}

fn container(handle: &[u8]) -> Result<String, Error> {
    handle::decode::<Handle>(handle).map(|handle| handle.container_id)
}

/// `driver.docker` and what hangs on it.
fn attributes(engine: &EngineInfo, settings: &Settings) -> Vec<KeyValue> {
    let of_host = |key| env::get(&engine.attributes, key).map(str::to_owned);
    let limit = (settings.pids_limit > 0).then(|| settings.pids_limit.to_string());
    let known = [
        ("", Some("1".to_owned())),
        (".version", Some(engine.version.clone())),
        (".os_type", Some(engine.os.clone())),
        (".runtimes", Some(engine.runtimes.join(","))),
        (".bridge_ip", engine.bridge_ip.clone()),
        (".privileged.enabled", of_host("privileged_enabled")),
        (".volumes.enabled", of_host("volumes_enabled")),
        (".pids.limit", limit),
        (".cpuset_management.disabled", of_host("cpuset_management_disabled")),
    ];
    let name = settings.name.as_deref().unwrap_or("docker");
    let told = known.into_iter().filter_map(|(key, value)| Some((format!("driver.{name}{key}"), value?)));
    env::list(told)
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
            attributes: env::list([("privileged_enabled", "false")]),
        };
        let told = attributes(&engine, &Settings { pids_limit: 7, ..Settings::default() });
        for (key, value) in [
            ("driver.docker", "1"),
            ("driver.docker.version", "27.0.1"),
            ("driver.docker.os_type", "linux"),
            ("driver.docker.runtimes", "nvidia,runc"),
            ("driver.docker.bridge_ip", "172.17.0.1"),
            ("driver.docker.privileged.enabled", "false"),
            ("driver.docker.pids.limit", "7"),
        ] {
            assert_eq!(env::get(&told, key), Some(value), "{key}");
        }
        let other = Settings { name: Some("podman".into()), ..Settings::default() };
        assert_eq!(env::get(&attributes(&engine, &other), "driver.podman"), Some("1"));
    }

    #[test]
    fn health_says_why() {
        let Health::Undetected(text) = unreachable(&Error::unavailable("no such socket")) else { panic!() };
        assert_eq!(text, "Failed to connect to docker daemon: no such socket");
    }
}
