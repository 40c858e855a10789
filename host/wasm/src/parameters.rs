//! What is passed to a driver's functions. The texts of a task, dozens of them, are lent and not copied: copying them
//! took a fifth of an operation.

use longshore_core::{caller::TaskDirs, driver};
use wasmtime::component::{ComponentType, Lower};

use crate::bindings::{
    exports::longshore::driver::network,
    longshore::{
        driver::types,
        host::types::{Mount, Port},
    },
};

/// `key-value`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct KeyValue<'a> {
    key: &'a str,
    value: &'a str,
}

/// `task-ref`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct TaskRef<'a> {
    id: String,
    name: &'a str,
    #[component(name = "alloc-id")]
    alloc_id: &'a str,
}

/// `task`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Task<'a> {
    identity: TaskRef<'a>,
    origin: Vec<KeyValue<'a>>,
    config: String,
    env: Vec<KeyValue<'a>>,
    user: Option<&'a str>,
    resources: types::Resources,
    ports: Vec<Port>,
    network: types::TaskNetwork,
    dns: Option<types::Dns>,
    directories: types::Directories,
    mounts: Vec<Mount>,
    devices: Vec<types::Device>,
}

impl<'a> From<&'a driver::Task> for TaskRef<'a> {
    fn from(task: &'a driver::Task) -> Self {
        Self { id: task.id.to_string(), name: &task.id.task, alloc_id: &task.id.alloc.0 }
    }
}

impl<'a> From<&'a driver::Task> for Task<'a> {
    fn from(task: &'a driver::Task) -> Self {
        Self {
            identity: task.into(),
            origin: key_values(&task.origin),
            config: task.config.to_string(),
            env: key_values(&task.env),
            user: task.user.as_deref(),
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

fn key_values(entries: &std::collections::BTreeMap<String, String>) -> Vec<KeyValue<'_>> {
    entries.iter().map(|(key, value)| KeyValue { key, value }).collect()
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

impl From<&TaskDirs> for types::Directories {
    fn from(dirs: &TaskDirs) -> Self {
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        Self {
            task: text(&dirs.task),
            alloc: text(&dirs.alloc),
            local: text(&dirs.local),
            secrets: text(&dirs.secrets),
        }
    }
}

impl From<&driver::NetworkRequest> for network::NetworkRequest {
    fn from(request: &driver::NetworkRequest) -> Self {
        Self { alloc_id: request.alloc.0.clone(), mode: request.mode.clone(), hostname: request.hostname.clone() }
    }
}
