//! A container as the task's `config` describes it, field by field and key by key: a driver that asks for anything.

use serde_json::Value;

use crate::{
    bindings::longshore::host::{
        containers::{ContainerNetwork, ContainerSpec, PortBinding, create},
        types::{Error, KeyValue, Mount, MountKind, Protocol},
    },
    misdeed::NO_LIMITS,
};

/// Creates the container that `config.container` describes and answers its id.
pub fn grant(config: &str) -> Result<String, Error> {
    let config: Value = serde_json::from_str(config).map_err(|error| Error::Invalid(error.to_string()))?;
    create(&spec(&config["container"]))
}

fn spec(wish: &Value) -> ContainerSpec {
    let document = &wish["document"];
    ContainerSpec {
        name: text(&wish["name"]),
        image: text(&wish["image"]),
        entrypoint: Vec::new(),
        command: wish["command"].as_array().into_iter().flatten().map(text).collect(),
        env: Vec::new(),
        working_dir: None,
        user: None,
        hostname: None,
        labels: labels(&wish["labels"]),
        mounts: wish["mounts"].as_array().into_iter().flatten().map(mount).collect(),
        network: network(&text(&wish["network"])),
        ports: wish["ports"].as_array().into_iter().flatten().map(port).collect(),
        limits: NO_LIMITS,
        // A text is passed on as it is, be it JSON or not.
        engine_options: (!document.is_null()).then(|| document.as_str().map_or_else(|| document.to_string(), Into::into)),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

fn labels(wish: &Value) -> Vec<KeyValue> {
    let label = |(key, value): (&String, &Value)| KeyValue { key: key.clone(), value: text(value) };
    wish.as_object().into_iter().flatten().map(label).collect()
}

/// `[kind, source, target]`.
fn mount(wish: &Value) -> Mount {
    let kind = match wish[0].as_str().unwrap_or_default() {
        "bind" => MountKind::Bind,
        "volume" => MountKind::Volume,
        "tmpfs" => MountKind::Tmpfs,
        other => MountKind::Other(other.into()),
    };
    Mount { source: text(&wish[1]), target: text(&wish[2]), kind, read_only: false, propagation: None }
}

/// `host`, `none`, `container:<id>`, `named:<name>`, `other:<mode>`, or empty for the engine's default.
fn network(wish: &str) -> ContainerNetwork {
    match wish.split_once(':') {
        Some(("container", id)) => ContainerNetwork::Container(id.into()),
        Some(("named", name)) => ContainerNetwork::Named(name.into()),
        Some((_, mode)) => ContainerNetwork::Other(mode.into()),
        None if wish == "host" => ContainerNetwork::Host,
        None if wish == "none" => ContainerNetwork::None,
        None => ContainerNetwork::DefaultNetwork,
    }
}

/// `[address, number]`, the same inside.
fn port(wish: &Value) -> PortBinding {
    let number = wish[1].as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default();
    PortBinding { host_ip: text(&wish[0]), host_port: number, container_port: number, protocol: Protocol::Tcp }
}
