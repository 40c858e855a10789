//! A container's specification as the engine's create document.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as EngineMount, MountBindOptions, MountType,
    PortBinding,
};
use longshore_core::{
    container::{ContainerNetwork, ContainerSpec},
    error::{HostError, Result},
    policy::canonical_options,
    port::Protocol,
    workload::{Limits, Mount, MountKind},
};
use serde_json::{Map, Value};

const MIB: i64 = 1 << 20;
/// Bounds of a CPU weight that the kernel takes.
const CPU_SHARES: (u32, u32) = (2, 262_144);
/// Docker's own period of CPU quotas, microseconds.
const CPU_PERIOD: i64 = 100_000;

/// What surrounds a specification: decided by the host.
pub(super) struct Surroundings<'a> {
    /// Labels that say whose the container is.
    pub(super) labels: [(String, String); 4],
    /// Mounts with their sources resolved.
    pub(super) mounts: &'a [Mount],
    /// Default capabilities that policy does not give.
    pub(super) cap_drop: Vec<&'static str>,
    /// Whether swappiness can be set: cgroup v1 only.
    pub(super) swappiness: bool,
}

/// The create document: the engine options with the typed fields laid over them.
pub(super) fn create_body(spec: &ContainerSpec, around: Surroundings<'_>) -> Result<ContainerCreateBody> {
    let mut body = options_body(spec.engine_options.as_ref())?;
    let mut host = body.host_config.take().unwrap_or_default();
    set_limits(&mut host, &spec.limits, around.swappiness);
    let (relabelled, plain): (Vec<_>, Vec<_>) = around.mounts.iter().partition(|mount| mount.kind.relabel().is_some());
    host.binds = Some(relabelled.into_iter().map(bind).collect::<Result<_>>()?);
    host.mounts.get_or_insert_default().extend(plain.into_iter().map(engine_mount).collect::<Result<Vec<_>>>()?);
    host.network_mode = Some(network_mode(&spec.network)?);
    host.log_config.get_or_insert_with(default_log);
    let drop = around.cap_drop.into_iter().map(str::to_ascii_uppercase);
    host.cap_drop.get_or_insert_default().extend(drop);
    let (bindings, exposed) = ports(spec);
    host.port_bindings = Some(bindings);
    body.exposed_ports = Some(exposed);
    body.image = Some(spec.image.clone());
    body.entrypoint = non_empty(&spec.entrypoint);
    body.cmd = non_empty(&spec.command);
    body.env = Some(environment(spec)?);
    body.working_dir = spec.working_dir.clone();
    body.user = spec.user.clone();
    body.hostname = spec.hostname.clone();
    body.labels = Some(spec.labels.iter().cloned().chain(around.labels).collect());
    body.host_config = Some(host);
    Ok(body)
}

/// Engine options as a document. The client's types drop what they do not know, so what did not get through
/// is looked for and named.
fn options_body(options: Option<&Map<String, Value>>) -> Result<ContainerCreateBody> {
    let Some(options) = options else { return Ok(ContainerCreateBody::default()) };
    let wanted = Value::Object(canonical_options(options)?);
    let body: ContainerCreateBody = serde_json::from_value(wanted.clone())
        .map_err(|error| HostError::Invalid(format!("engine options: {error}")))?;
    let understood =
        serde_json::to_value(&body).map_err(|error| HostError::Invalid(format!("engine options: {error}")))?;
    match lost(&wanted, &understood, "") {
        Some(path) => Err(HostError::Invalid(format!(
            "engine option `{path}` is not one this host can pass on; check its spelling"
        ))),
        None => Ok(body),
    }
}

/// Path of the first thing in `wanted` that is not in `understood`.
fn lost(wanted: &Value, understood: &Value, path: &str) -> Option<String> {
    match (wanted, understood) {
        (Value::Null, _) => None,
        (Value::Object(wanted), Value::Object(understood)) => wanted.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            lost(value, understood.get(key).unwrap_or(&Value::Null), &path)
        }),
        (Value::Array(wanted), Value::Array(understood)) if wanted.len() == understood.len() => {
            wanted.iter().zip(understood).enumerate().find_map(|(i, (a, b))| lost(a, b, &format!("{path}[{i}]")))
        }
        (wanted, understood) => (wanted != understood).then(|| path.to_owned()),
    }
}

fn set_limits(host: &mut HostConfig, limits: &Limits, swappiness: bool) {
    let set = |value: u32| (value > 0).then_some(i64::from(value));
    host.cpu_shares = set(limits.cpu_mhz).map(|_| i64::from(limits.cpu_mhz.clamp(CPU_SHARES.0, CPU_SHARES.1)));
    if let Some(millicores) = set(limits.cpu_hard_millicores) {
        let period = *host.cpu_period.get_or_insert(CPU_PERIOD);
        host.cpu_quota = Some((millicores * period / 1000).max(1000));
    }
    if !limits.cpu_cores.is_empty() {
        host.cpuset_cpus = Some(cpu_list(&limits.cpu_cores));
    }
    host.memory = set(limits.memory_mib).map(|mib| mib * MIB);
    host.memory_swap = host.memory;
    host.memory_swappiness = (swappiness && host.memory.is_some()).then_some(0);
    host.memory_reservation = set(limits.memory_reservation_mib).map(|mib| mib * MIB);
    if let Some(pids) = set(limits.pids) {
        host.pids_limit = Some(pids);
    }
}

fn engine_mount(mount: &Mount) -> Result<EngineMount> {
    let propagation = mount.propagation.as_deref().filter(|text| !text.is_empty()).map(|text| {
        text.parse().map_err(|_| {
            HostError::Invalid(format!(
                "mount propagation {text:?} is not one of rprivate, private, rslave, slave, rshared, shared"
            ))
        })
    });
    let (typ, source) = match &mount.kind {
        kind if kind.is_bind() => (MountType::BIND, Some(mount.source.clone())),
        MountKind::Volume => (MountType::VOLUME, Some(mount.source.clone())),
        MountKind::Tmpfs => (MountType::TMPFS, None),
        kind => return Err(HostError::Invalid(format!("mounts of kind {kind:?} are not supported"))),
    };
    let propagation = propagation.transpose()?;
    Ok(EngineMount {
        target: Some(mount.target.clone()),
        source,
        typ: Some(typ),
        read_only: Some(mount.read_only),
        bind_options: propagation
            .map(|propagation| MountBindOptions { propagation: Some(propagation), ..MountBindOptions::default() }),
        ..EngineMount::default()
    })
}

/// A bind in the engine's old spelling, the only one that can ask for a label.
fn bind(mount: &Mount) -> Result<String> {
    if let Some(path) = [&mount.source, &mount.target].into_iter().find(|path| path.contains(':')) {
        return Err(HostError::Invalid(format!("path {path:?} of a labelled mount must not contain a colon")));
    }
    let access = if mount.read_only { "ro" } else { "rw" };
    let modes = [Some(access), mount.kind.relabel(), mount.propagation.as_deref().filter(|text| !text.is_empty())];
    let modes: Vec<_> = modes.into_iter().flatten().collect();
    Ok(format!("{}:{}:{}", mount.source, mount.target, modes.join(",")))
}

fn network_mode(network: &ContainerNetwork) -> Result<String> {
    Ok(match network {
        ContainerNetwork::Default => "default".into(),
        ContainerNetwork::Host => "host".into(),
        ContainerNetwork::None => "none".into(),
        ContainerNetwork::Container(id) => format!("container:{id}"),
        ContainerNetwork::Named(name) => name.clone(),
        ContainerNetwork::Other(mode) => {
            return Err(HostError::Invalid(format!("network mode {mode:?} is not supported")));
        }
    })
}

type Bindings = HashMap<String, Option<Vec<PortBinding>>>;

fn ports(spec: &ContainerSpec) -> (Bindings, Vec<String>) {
    let mut bindings = Bindings::new();
    for port in &spec.ports {
        let protocols: &[&str] = match port.protocol {
            Protocol::Tcp => &["tcp"],
            Protocol::Udp => &["udp"],
            Protocol::Both => &["tcp", "udp"],
        };
        for protocol in protocols {
            let list = bindings.entry(format!("{}/{protocol}", port.container_port)).or_default();
            list.get_or_insert_default()
                .push(PortBinding { host_ip: Some(port.host_ip.clone()), host_port: Some(port.host_port.to_string()) });
        }
    }
    let exposed = bindings.keys().cloned().collect();
    (bindings, exposed)
}

fn environment(spec: &ContainerSpec) -> Result<Vec<String>> {
    let pair = |(key, value): &(String, String)| {
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            return Err(HostError::Invalid(format!(
                "environment variable {key:?}: no empty name, no `=` in it, no NUL"
            )));
        }
        Ok(format!("{key}={value}"))
    };
    spec.env.iter().map(pair).collect()
}

fn non_empty(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// Processors as the engine has them: `0,2`.
pub(super) fn cpu_list(cpus: &[u32]) -> String {
    cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// What the engine keeps of the output: enough to read it again after a restart of the agent.
fn default_log() -> HostConfigLogConfig {
    let config = [("max-file", "2"), ("max-size", "2m")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".into()), config: Some(HashMap::from(config)) }
}
