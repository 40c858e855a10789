//! The environment of a task: `NOMAD_*`, meta, what the host gives, what the job file says. Pure.

use std::collections::{BTreeMap, BTreeSet};

use longshore_core::{caller::TaskDirs, driver::Resources, port::Port};
use longshore_job::model::{Job, Task, TaskGroup};
use serde_json::Value;

use crate::{
    alloc::{cores, ports},
    interpolate::Variables,
};

/// Variables whose labels are cleaned of what a shell does not take in names.
const CLEANED: [&str; 5] = ["NOMAD_ADDR_", "NOMAD_IP_", "NOMAD_PORT_", "NOMAD_HOST_PORT_", "NOMAD_META_"];

/// All that the environment is made of.
pub(crate) struct Source<'a> {
    pub(crate) job: &'a Job,
    pub(crate) group: &'a TaskGroup,
    pub(crate) task: &'a Task,
    pub(crate) alloc_id: &'a str,
    pub(crate) alloc_name: &'a str,
    pub(crate) alloc_index: u32,
    pub(crate) datacenter: &'a str,
    pub(crate) region: &'a str,
    pub(crate) dirs: &'a TaskDirs,
    /// Reserved ports of the allocation.
    pub(crate) ports: &'a [Port],
    /// The allocation's own network, when it has one.
    pub(crate) own_network: Option<OwnNetwork<'a>>,
    /// What the task inherits from the host, the denylist taken away.
    pub(crate) host_env: &'a BTreeMap<String, String>,
    /// What the task is promised.
    pub(crate) resources: &'a Resources,
    /// `node.*`, `attr.*`, `meta.*`.
    pub(crate) node: &'a BTreeMap<String, String>,
}

/// Interface and address inside an allocation's network namespace.
#[derive(Clone, Copy)]
pub(crate) struct OwnNetwork<'a> {
    pub(crate) interface: &'a str,
    pub(crate) address: &'a str,
}

/// Builds the environment, and the names `${…}` may use.
pub(crate) fn build(source: &Source) -> Variables {
    let mut env = built_in(source);
    group_ports(source, &mut env);
    legacy_ports(source, &mut env);
    clean(&mut env);
    let known = Variables::new(env, source.node.clone());
    let mut env = known.env.clone();
    for (key, value) in meta(source, &known) {
        env.insert(key, value);
    }
    for (key, value) in source.host_env {
        env.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in &source.task.env {
        env.insert(known.text(key), known.text(value));
    }
    Variables::new(env, known.node)
}

fn built_in(source: &Source) -> BTreeMap<String, String> {
    let Source { job, group, task, dirs, .. } = source;
    let resources = &task.resources;
    let mut env = BTreeMap::new();
    let mut set = |key: &str, value: String| {
        env.insert(key.to_owned(), value);
    };
    set("NOMAD_ALLOC_DIR", dirs.alloc.display().to_string());
    set("NOMAD_TASK_DIR", dirs.local.display().to_string());
    set("NOMAD_SECRETS_DIR", dirs.secrets.display().to_string());
    set("NOMAD_MEMORY_LIMIT", resources.memory_mb.to_string());
    if resources.memory_max_mb > 0 {
        set("NOMAD_MEMORY_MAX_LIMIT", resources.memory_max_mb.to_string());
    }
    let given = source.resources;
    if given.cpu_mhz > 0 {
        set("NOMAD_CPU_LIMIT", given.cpu_mhz.to_string());
    }
    if !given.cpu_cores.is_empty() {
        set("NOMAD_CPU_CORES", cores::list(&given.cpu_cores));
    }
    set("NOMAD_ALLOC_ID", source.alloc_id.to_owned());
    set("NOMAD_SHORT_ALLOC_ID", source.alloc_id.chars().take(8).collect());
    set("NOMAD_ALLOC_NAME", source.alloc_name.to_owned());
    set("NOMAD_ALLOC_INDEX", source.alloc_index.to_string());
    set("NOMAD_TASK_NAME", task.name.clone());
    set("NOMAD_GROUP_NAME", group.name.clone());
    set("NOMAD_JOB_ID", job.id.clone());
    set("NOMAD_JOB_NAME", job.name.clone());
    set("NOMAD_DC", source.datacenter.to_owned());
    set("NOMAD_NAMESPACE", job.namespace.clone());
    set("NOMAD_REGION", source.region.to_owned());
    env
}

/// `host:port`, with brackets around an IPv6 address.
fn socket(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

fn labels<'a>(networks: impl IntoIterator<Item = &'a longshore_job::model::Network>) -> BTreeSet<&'a str> {
    networks.into_iter().flat_map(|network| network.ports()).map(|port| port.label.as_str()).collect()
}

fn group_ports(source: &Source, env: &mut BTreeMap<String, String>) {
    let own = labels(&source.group.networks);
    for port in source.ports.iter().filter(|port| own.contains(port.label.as_str())) {
        let label = &port.label;
        let mut set = |name: &str, value: String| {
            env.insert(format!("NOMAD_{name}_{label}"), value);
        };
        let address = socket(&port.host_ip, port.host_port);
        set("IP", port.host_ip.clone());
        set("HOST_IP", port.host_ip.clone());
        set("PORT", port.task_port.to_string());
        set("ALLOC_PORT", port.task_port.to_string());
        set("HOST_PORT", port.host_port.to_string());
        set("ADDR", address.clone());
        set("HOST_ADDR", address);
        if let Some(network) = source.own_network {
            set("ALLOC_INTERFACE", network.interface.to_owned());
            set("ALLOC_IP", network.address.to_owned());
            set("ALLOC_ADDR", socket(network.address, port.task_port));
        }
    }
}

/// Ports in `resources { network { … } }`: of the task itself, and of the others under their task's name.
fn legacy_ports(source: &Source, env: &mut BTreeMap<String, String>) {
    for task in &source.group.tasks {
        let map = port_map(&task.config);
        for label in labels(&task.resources.networks) {
            let name = ports::legacy_label(source.group, task, label);
            let Some(port) = source.ports.iter().find(|port| port.label == name) else { continue };
            let ip = &port.host_ip;
            let address = socket(ip, port.host_port);
            let mut set = |key: String, value: String| {
                env.insert(key, value);
            };
            if task.name == source.task.name {
                let inside = map.get(label).copied().unwrap_or(port.host_port);
                let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
                set("NOMAD_IP".into(), ip.clone());
                set(format!("NOMAD_IP_{label}"), ip.clone());
                set(format!("NOMAD_{family}_{label}"), ip.clone());
                set(format!("NOMAD_ADDR_{label}"), address);
                set(format!("NOMAD_HOST_PORT_{label}"), port.host_port.to_string());
                set(format!("NOMAD_PORT_{label}"), inside.to_string());
                // Nomad 0.1 wrote labels in capitals; a port that is called so itself counts more.
                let capitals = format!("NOMAD_PORT_{}", label.to_uppercase());
                env.entry(capitals).or_insert_with(|| inside.to_string());
            } else {
                let name = &task.name;
                set(format!("NOMAD_IP_{name}_{label}"), ip.clone());
                set(format!("NOMAD_ADDR_{name}_{label}"), address);
                set(format!("NOMAD_PORT_{name}_{label}"), port.host_port.to_string());
            }
        }
    }
}

/// `port_map` of an old Docker task, in any of its spellings: a map or a list of maps.
fn port_map(config: &Value) -> BTreeMap<&str, u16> {
    let maps = match config.get("port_map") {
        Some(Value::Array(maps)) => maps.iter().collect(),
        Some(map) => vec![map],
        None => Vec::new(),
    };
    let entries = maps.into_iter().filter_map(Value::as_object).flatten();
    entries
        .filter_map(|(label, port)| {
            let number = port.as_u64().or_else(|| port.as_str()?.parse().ok())?;
            Some((label.as_str(), u16::try_from(number).ok()?))
        })
        .collect()
}

/// `NOMAD_META_<KEY>` and `NOMAD_META_<key>`, the task's over the group's over the job's.
fn meta(source: &Source, known: &Variables) -> BTreeMap<String, String> {
    let mut merged = BTreeMap::new();
    for meta in [&source.job.meta, &source.group.meta, &source.task.meta] {
        merged.extend(meta.iter().map(|(key, value)| (known.text(key), known.text(value))));
    }
    let mut env = BTreeMap::new();
    for (key, value) in merged {
        env.insert(format!("NOMAD_META_{}", key.to_uppercase()), value.clone());
        env.insert(format!("NOMAD_META_{key}"), value);
    }
    clean(&mut env);
    env
}

/// Replaces what is no letter, digit, `_` or `.` in names that hold labels or keys.
fn clean(env: &mut BTreeMap<String, String>) {
    let cleaned = |key: &str| CLEANED.iter().any(|prefix| key.starts_with(prefix));
    let dirty: Vec<String> = env.keys().filter(|key| cleaned(key) && clean_name(key) != **key).cloned().collect();
    for key in dirty {
        if let Some(value) = env.remove(&key) {
            env.insert(clean_name(&key), value);
        }
    }
}

fn clean_name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' }).collect()
}

/// Names of the machine that `${…}` may use.
pub(crate) fn node_variables(node: &crate::Node) -> BTreeMap<String, String> {
    let mut names = BTreeMap::from([
        ("node.unique.id".to_owned(), node.id.clone()),
        ("node.unique.name".to_owned(), node.name.clone()),
        ("node.datacenter".to_owned(), node.datacenter.clone()),
        ("node.region".to_owned(), node.region.clone()),
        ("node.class".to_owned(), String::new()),
        ("node.pool".to_owned(), "default".to_owned()),
    ]);
    for (key, value) in &node.attributes {
        names.insert(format!("attr.{key}"), value.clone());
        names.insert(format!("node.attr.{key}"), value.clone());
    }
    for (key, value) in &node.meta {
        names.insert(format!("meta.{key}"), value.clone());
        names.insert(format!("node.meta.{key}"), value.clone());
    }
    names
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
