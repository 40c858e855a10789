//! The engine's own create document (Docker: the body of `POST /containers/create`), key by key.
//!
//! Engines decode keys without regard to case, so keys are compared that way, and a key written twice in
//! different case is refused. A key that is not in [`KEYS`] is unknown, whether or not an engine knows it:
//! only `allow_engine_keys` lets it pass. That also holds for Docker's undocumented habit of accepting the
//! keys of `HostConfig` at the top level.

use serde_json::{Map, Value};

use super::{OrDenied, Policy, denied, fits, local_volume, mounts};
use crate::{
    container::{ContainerNetwork, ContainerSpec},
    error::{HostError, Result},
};

/// What is decided about a key.
enum Rule {
    /// Harmless.
    Free,
    /// Said by a typed field, by name.
    Field(&'static str),
    /// The host's own business; why.
    Host(&'static str),
    /// Depends on its value and the policy.
    Gate(fn(&Policy, &ContainerSpec, &Value) -> Result<()>),
}

use Rule::{Field, Free, Gate, Host};

/// Every key that is known, sorted into [`Rule`]s. Dotted: `HostConfig.Init`.
const KEYS: &[(&str, Rule)] = &[
    // The container itself.
    ("ArgsEscaped", Free),
    ("AttachStderr", Free),
    ("AttachStdin", Free),
    ("AttachStdout", Free),
    ("Cmd", Field("command")),
    ("Domainname", Free),
    ("Entrypoint", Field("entrypoint")),
    ("Env", Field("env")),
    ("ExposedPorts", Field("ports")),
    ("Healthcheck", Free),
    ("Hostname", Field("hostname")),
    ("Image", Field("image")),
    ("Labels", Field("labels")),
    ("MacAddress", Free),
    ("NetworkDisabled", Free),
    ("OpenStdin", Free),
    ("Shell", Free),
    ("StdinOnce", Free),
    ("StopSignal", Free),
    ("StopTimeout", Free),
    ("Tty", Free),
    ("User", Field("user")),
    ("Volumes", Gate(volumes)),
    ("WorkingDir", Field("working-dir")),
    // What the host does for it.
    ("HostConfig.AutoRemove", Gate(auto_remove)),
    ("HostConfig.Binds", Field("mounts")),
    ("HostConfig.BlkioDeviceReadBps", Free),
    ("HostConfig.BlkioDeviceReadIOps", Free),
    ("HostConfig.BlkioDeviceWriteBps", Free),
    ("HostConfig.BlkioDeviceWriteIOps", Free),
    ("HostConfig.BlkioWeight", Free),
    ("HostConfig.BlkioWeightDevice", Free),
    ("HostConfig.CapAdd", Gate(cap_add)),
    ("HostConfig.CapDrop", Free),
    ("HostConfig.CgroupnsMode", Gate(cgroup_namespace)),
    ("HostConfig.ConsoleSize", Free),
    ("HostConfig.CpuPeriod", Free),
    ("HostConfig.CpuQuota", Free),
    ("HostConfig.CpuShares", Field("limits.cpu-mhz")),
    ("HostConfig.CpusetCpus", Field("limits.cpu-cores")),
    ("HostConfig.CpusetMems", Free),
    ("HostConfig.DeviceCgroupRules", Gate(any_device)),
    ("HostConfig.DeviceRequests", Gate(any_device)),
    ("HostConfig.Devices", Gate(devices)),
    ("HostConfig.Dns", Free),
    ("HostConfig.DnsOptions", Free),
    ("HostConfig.DnsSearch", Free),
    ("HostConfig.ExtraHosts", Free),
    ("HostConfig.GroupAdd", Free),
    ("HostConfig.Init", Free),
    ("HostConfig.IpcMode", Gate(ipc_namespace)),
    ("HostConfig.KernelMemory", Free),
    ("HostConfig.KernelMemoryTCP", Free),
    ("HostConfig.LogConfig", Gate(log_config)),
    ("HostConfig.Memory", Field("limits.memory-mib")),
    ("HostConfig.MemoryReservation", Field("limits.memory-reservation-mib")),
    ("HostConfig.MemorySwap", Host("tasks get no swap")),
    ("HostConfig.MemorySwappiness", Host("tasks get no swap")),
    ("HostConfig.Mounts", Gate(mounts::check_engine_mounts)),
    ("HostConfig.NanoCpus", Field("limits.cpu-hard-millicores")),
    ("HostConfig.NetworkMode", Field("network")),
    ("HostConfig.OomScoreAdj", Gate(oom_score)),
    ("HostConfig.PidMode", Gate(pid_namespace)),
    ("HostConfig.PidsLimit", Free),
    ("HostConfig.PortBindings", Field("ports")),
    ("HostConfig.Privileged", Gate(privileged)),
    ("HostConfig.PublishAllPorts", Host("published ports are those the allocation reserved (`ports`)")),
    ("HostConfig.ReadonlyRootfs", Free),
    ("HostConfig.RestartPolicy", Gate(restart)),
    ("HostConfig.Runtime", Gate(runtime)),
    ("HostConfig.SecurityOpt", Gate(security)),
    ("HostConfig.ShmSize", Free),
    ("HostConfig.StorageOpt", Free),
    ("HostConfig.Sysctls", Gate(sysctls)),
    ("HostConfig.Tmpfs", Gate(tmpfs)),
    ("HostConfig.Ulimits", Free),
    ("HostConfig.UTSMode", Gate(uts_namespace)),
    ("HostConfig.UsernsMode", Gate(user_namespace)),
    ("HostConfig.VolumeDriver", Gate(volume_driver)),
    // Its network.
    ("NetworkingConfig.EndpointsConfig", Gate(endpoints)),
];

/// Keys whose value is a map of keys above.
const SECTIONS: [&str; 2] = ["HostConfig", "NetworkingConfig"];
/// What an endpoint may say.
const ENDPOINT_KEYS: [&str; 3] = ["Aliases", "IPAMConfig", "MacAddress"];

pub(super) fn check(policy: &Policy, spec: &ContainerSpec, options: &Map<String, Value>) -> Result<()> {
    for (key, value) in &canonical_options(options)? {
        match value.as_object().filter(|_| SECTIONS.contains(&key.as_str())) {
            Some(section) => section
                .iter()
                .try_for_each(|(inner, value)| check_key(policy, spec, &format!("{key}.{inner}"), value))?,
            None if SECTIONS.contains(&key.as_str()) => return Err(wrong(key, "an object")),
            None => check_key(policy, spec, key, value)?,
        }
    }
    Ok(())
}

/// The document with the known keys in the engine's own spelling. A key that is there twice, in different
/// case, is `Invalid`.
pub fn canonical_options(options: &Map<String, Value>) -> Result<Map<String, Value>> {
    let known = |prefix: &str, key: &str| {
        let names = KEYS.iter().filter_map(|(name, _)| name.strip_prefix(prefix));
        names
            .chain(SECTIONS)
            .filter(|name| !name.contains('.'))
            .find(|name| name.eq_ignore_ascii_case(key))
            .map_or(key.to_owned(), str::to_owned)
    };
    let mut canonical = rename(options, "", |key| known("", key))?;
    for section in SECTIONS {
        if let Some(Value::Object(inner)) = canonical.get_mut(section) {
            let prefix = format!("{section}.");
            *inner = rename(inner, &prefix, |key| known(&prefix, key))?;
        } else if canonical.get(section).is_some_and(Value::is_null) {
            canonical.remove(section);
        }
    }
    Ok(canonical)
}

fn rename(map: &Map<String, Value>, prefix: &str, name: impl Fn(&str) -> String) -> Result<Map<String, Value>> {
    let mut renamed = Map::new();
    for (key, value) in map {
        let twice = renamed.keys().any(|seen: &String| seen.eq_ignore_ascii_case(key));
        if twice {
            return Err(HostError::Invalid(format!("engine option `{prefix}{key}` is given twice, in different case")));
        }
        renamed.insert(name(key), value.clone());
    }
    Ok(renamed)
}

fn check_key(policy: &Policy, spec: &ContainerSpec, path: &str, value: &Value) -> Result<()> {
    match KEYS.iter().find(|(name, _)| *name == path).map(|(_, rule)| rule) {
        Some(Free) => Ok(()),
        Some(Field(field)) => {
            Err(HostError::Denied(format!("engine option `{path}` is not needed; use the field `{field}`")))
        }
        Some(Host(_)) if is_unset(value) => Ok(()),
        Some(Host(why)) => Err(HostError::Denied(format!("engine option `{path}` is the host's own: {why}"))),
        Some(Gate(gate)) if value.is_null() => gate(policy, spec, &Value::Null),
        Some(Gate(gate)) => gate(policy, spec, value),
        None => listed(policy, path),
    }
}

/// Whether `allow_engine_keys` names a key.
fn listed(policy: &Policy, path: &str) -> Result<()> {
    policy.allow_engine_keys.iter().any(|key| key.eq_ignore_ascii_case(path)).or_denied(
        || format!("engine option `{path}` is not known to be harmless"),
        || format!("add {path:?} to `allow_engine_keys`"),
    )
}

fn wrong(path: &str, expected: &str) -> HostError {
    HostError::Invalid(format!("engine option `{path}` must be {expected}"))
}

/// What every engine reads as "not said".
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

fn strings<'a>(path: &str, value: &'a Value) -> Result<Vec<&'a str>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().ok_or_else(|| wrong(path, "a list of strings"))).collect()
        }
        _ => Err(wrong(path, "a list of strings")),
    }
}

fn text<'a>(path: &str, value: &'a Value) -> Result<&'a str> {
    match value {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text),
        _ => Err(wrong(path, "a string")),
    }
}

fn privileged(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    (policy.allow_privileged || is_unset(value))
        .or_denied(|| "privileged containers are not allowed".into(), || "set `allow_privileged = true`".into())
}

fn volumes(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    (policy.allow_volumes || is_unset(value))
        .or_denied(|| "volumes are not allowed".into(), || "set `allow_volumes = true`".into())
}

fn volume_driver(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    let driver = text("HostConfig.VolumeDriver", value)?;
    (policy.allow_volumes || driver.is_empty())
        .or_denied(|| format!("volume driver {driver:?} is not allowed"), || "set `allow_volumes = true`".into())
}

fn auto_remove(_: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    if is_unset(value) {
        return Ok(());
    }
    Err(HostError::Denied("engine option `HostConfig.AutoRemove` is the host's own: it removes what has ended".into()))
}

fn restart(_: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    let name = value.get("Name").and_then(Value::as_str);
    if is_unset(value) || name.is_some_and(|name| name.is_empty() || name == "no") {
        return Ok(());
    }
    let why = "engine option `HostConfig.RestartPolicy` is the host's own: use the `restart` block of the job file";
    Err(HostError::Denied(why.into()))
}

fn cap_add(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    policy.check_caps(strings("HostConfig.CapAdd", value)?.into_iter())
}

fn devices(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    let Some(items) = value.as_array() else {
        return if is_unset(value) { Ok(()) } else { Err(wrong("HostConfig.Devices", "a list")) };
    };
    for device in items {
        let path = device.get("PathOnHost").and_then(Value::as_str);
        let path = path.ok_or_else(|| wrong("HostConfig.Devices", "a list of objects with `PathOnHost`"))?;
        let normal = super::normalise(path.as_ref())?;
        let allowed =
            policy.allow_devices.iter().any(|allowed| allowed == "*" || normal == std::path::Path::new(allowed));
        allowed
            .or_denied(|| format!("device {path:?} is not allowed"), || format!("add {path:?} to `allow_devices`"))?;
    }
    Ok(())
}

fn any_device(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    (is_unset(value) || policy.allow_devices.iter().any(|device| device == "*"))
        .or_denied(|| "device requests and rules are not allowed".into(), || "add \"*\" to `allow_devices`".into())
}

fn security(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    let allowed = &policy.allow_security_opts;
    for option in strings("HostConfig.SecurityOpt", value)? {
        let name = option.split(['=', ':']).next().unwrap_or(option);
        let harmless = ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"].contains(&option);
        (harmless || allowed.contains("*") || allowed.contains(option) || allowed.contains(name)).or_denied(
            || format!("security option {name:?} is not allowed"),
            || format!("add {name:?} to `allow_security_opts`"),
        )?;
    }
    Ok(())
}

fn runtime(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    let name = text("HostConfig.Runtime", value)?;
    (name.is_empty() || policy.allow_runtimes.contains(name)).or_denied(
        || format!("requested runtime {name:?} is not allowed"),
        || format!("add {name:?} to `allow_runtimes`"),
    )
}

/// A namespace mode: the harmless ones by name; `host`, another container's and what else an engine may know
/// by `allow_host_namespaces`.
fn namespace(policy: &Policy, kind: &str, key: &str, harmless: &[&str], value: &Value) -> Result<()> {
    let mode = text(key, value)?;
    let listed = |entry: &String| match entry.split_once(':') {
        Some((of, pattern)) => of == kind && fits(pattern, mode),
        None => entry == kind && mode == "host",
    };
    (mode.is_empty() || harmless.contains(&mode) || policy.allow_host_namespaces.iter().any(listed)).or_denied(
        || format!("`{key}` {mode:?} is not allowed"),
        || match mode {
            "host" => format!("add {kind:?} to `allow_host_namespaces`"),
            _ => format!("use one of {harmless:?}, or add \"{kind}:{mode}\" to `allow_host_namespaces`"),
        },
    )
}

fn pid_namespace(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    namespace(policy, "pid", "HostConfig.PidMode", &["private"], value)
}

/// Modes in which a container has shared memory of its own.
const OWN_IPC: [&str; 4] = ["", "none", "private", "shareable"];

/// The mode as the container's document says it; empty for the engine's default.
fn ipc_mode(spec: &ContainerSpec) -> Result<String> {
    let options = spec.engine_options.as_ref().map(canonical_options).transpose()?.unwrap_or_default();
    let mode = options.get("HostConfig").and_then(|host| host.get("IpcMode"));
    mode.map_or(Ok(""), |mode| text("HostConfig.IpcMode", mode)).map(str::to_owned)
}

fn ipc_namespace(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    namespace(policy, "ipc", "HostConfig.IpcMode", &OWN_IPC, value)
}

fn uts_namespace(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    namespace(policy, "uts", "HostConfig.UTSMode", &["private"], value)
}

fn user_namespace(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    namespace(policy, "user", "HostConfig.UsernsMode", &["private"], value)
}

fn cgroup_namespace(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    namespace(policy, "cgroup", "HostConfig.CgroupnsMode", &["private"], value)
}

fn oom_score(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    match value.as_i64() {
        Some(score) if score < 0 => listed(policy, "HostConfig.OomScoreAdj"),
        None if !value.is_null() => Err(wrong("HostConfig.OomScoreAdj", "a whole number")),
        _ => Ok(()),
    }
}

/// Logging drivers that keep output on the machine. The others make the engine open sockets and files for
/// the container.
fn log_config(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    let Some(config) = value.as_object() else {
        return if is_unset(value) { Ok(()) } else { Err(wrong("HostConfig.LogConfig", "an object")) };
    };
    let kind = config.get("Type").map_or(Ok(""), |kind| text("HostConfig.LogConfig.Type", kind))?;
    if ["", "json-file", "local", "journald", "none"].contains(&kind) {
        Ok(())
    } else {
        listed(policy, "HostConfig.LogConfig")
    }
}

/// Memory at some paths. The engine takes flags of mount(2) here, too, `bind` and `remount` among them.
fn tmpfs(policy: &Policy, _: &ContainerSpec, value: &Value) -> Result<()> {
    const PATH: &str = "HostConfig.Tmpfs";
    let Some(mounts) = value.as_object() else {
        return if is_unset(value) { Ok(()) } else { Err(wrong(PATH, "an object")) };
    };
    for options in mounts.values() {
        let unknown = local_volume::unknown_to_tmpfs(text(PATH, options)?);
        if let Some(option) = unknown.filter(|_| listed(policy, PATH).is_err()) {
            let what = format!("option {option:?} is not known to be harmless for a tmpfs");
            return Err(denied(&what, &format!("add {PATH:?} to `allow_engine_keys`")));
        }
    }
    Ok(())
}

/// Kernel settings that belong to a namespace of the container's own.
fn sysctls(policy: &Policy, spec: &ContainerSpec, value: &Value) -> Result<()> {
    let Some(settings) = value.as_object() else {
        return if is_unset(value) { Ok(()) } else { Err(wrong("HostConfig.Sysctls", "an object")) };
    };
    let own_net = !matches!(spec.network, ContainerNetwork::Host);
    let own_ipc = OWN_IPC.contains(&ipc_mode(spec)?.as_str());
    let ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
    for name in settings.keys() {
        let name = name.replace('/', ".");
        let own =
            (own_net && name.starts_with("net.")) || (own_ipc && ipc.iter().any(|prefix| name.starts_with(prefix)));
        if !own && listed(policy, "HostConfig.Sysctls").is_err() {
            let what = format!("sysctl {name:?} would change the host");
            return Err(denied(&what, "add \"HostConfig.Sysctls\" to `allow_engine_keys`"));
        }
    }
    Ok(())
}

/// Settings for the network that the typed field names, and for no other.
fn endpoints(policy: &Policy, spec: &ContainerSpec, value: &Value) -> Result<()> {
    const PATH: &str = "NetworkingConfig.EndpointsConfig";
    let Some(networks) = value.as_object() else {
        return if is_unset(value) { Ok(()) } else { Err(wrong(PATH, "an object")) };
    };
    for (network, endpoint) in networks {
        let ours = match &spec.network {
            ContainerNetwork::Named(name) => name == network,
            ContainerNetwork::Default => network == "default" || network == "bridge",
            _ => false,
        };
        if !ours {
            return Err(HostError::Denied(format!(
                "`{PATH}` names network {network:?}, which is not the container's `network`"
            )));
        }
        for key in endpoint.as_object().into_iter().flat_map(Map::keys) {
            if !ENDPOINT_KEYS.contains(&key.as_str()) {
                listed(policy, &format!("{PATH}.{key}"))?;
            }
        }
    }
    Ok(())
}
