//! What a task driver is to the agent.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    caller::{AllocId, TaskDirs, TaskId, TaskScope},
    error::HostError,
    exec::{ExecRequest, ExecSession},
    grant::Grants,
    network::Holder,
    port::Port,
    workload::{LogLimits, Mount, OutputStream, RunState, Usage},
};

/// Who a driver is, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The name job files use.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// `none`, `chroot`, `image`.
    pub filesystem: String,
    /// Some of `host`, `bridge`, `none`, `cni`.
    pub network_modes: Vec<String>,
    /// Later facts, by name.
    pub attributes: BTreeMap<String, String>,
}

/// Which optional interfaces its component exports: read from its type, never from a flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// `signals`.
    pub signals: bool,
    /// `exec`.
    pub exec: bool,
    /// `stats`.
    pub stats: bool,
    /// `poll`.
    pub poll: bool,
    /// `network`.
    pub network: bool,
}

/// All that is known of a loaded driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriverInfo {
    /// What it says of itself.
    pub description: Description,
    /// JSON Schema of `config`.
    pub config_schema: serde_json::Value,
    /// JSON Schema of its settings.
    pub settings_schema: serde_json::Value,
    /// What it exports beyond the required.
    pub capabilities: Capabilities,
    /// SHA-256 of its component, hex.
    pub digest: String,
    /// Where it was loaded from: a path, or `embedded`.
    pub origin: String,
    /// What it imports and was granted.
    pub grants: Grants,
}

impl DriverInfo {
    /// Whether its `start` may be tried before there is a task: it says so itself, by the attribute `rehearsal` with the
    /// value `start`.
    pub fn is_rehearsed(&self) -> bool {
        self.description.attributes.get("rehearsal").is_some_and(|what| what == "start")
    }
}

/// Whether tasks can be started now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum Health {
    /// They can.
    Healthy,
    /// What it needs was there and is not now.
    Unhealthy(String),
    /// What it needs was never seen here.
    Undetected(String),
}

/// A driver's view of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Whether tasks can be started now.
    pub health: Health,
    /// Node attributes, `driver.<name>…`.
    pub attributes: BTreeMap<String, String>,
}

/// What the job file promises a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU share in MHz.
    pub cpu_mhz: u32,
    /// Reserved CPUs.
    pub cpu_cores: Vec<u32>,
    /// The whole machine's MHz.
    pub node_cpu_mhz: u32,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Memory when there is some to spare, MiB; 0 for none, `u32::MAX` for unlimited.
    pub memory_max_mib: u32,
}

/// The network of the task's allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskNetwork {
    /// `host`, `bridge`, `none`, `cni/<name>`.
    pub mode: String,
    /// Its namespace.
    pub namespace_path: Option<String>,
    /// Container that holds it.
    pub holder_container: Option<String>,
    /// Host name inside.
    pub hostname: Option<String>,
}

/// `dns {}` of the job file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// A device given to a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub host_path: String,
    /// Path as the task sees it.
    pub task_path: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// A task to start, whole. It is journalled, so that recovery hands the driver the same one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Which task.
    pub id: TaskId,
    /// `job_id`, `job_name`, `group_name`, `namespace`, `alloc_name`, `alloc_index`, `node_id`, `node_name`,
    /// `region`, `datacenter`.
    pub origin: BTreeMap<String, String>,
    /// Checked `config`, a JSON object, all `${…}` replaced.
    pub config: serde_json::Value,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// User.
    pub user: Option<String>,
    /// Resources.
    pub resources: Resources,
    /// Ports of its allocation.
    pub ports: Vec<Port>,
    /// Network of its allocation.
    pub network: TaskNetwork,
    /// Resolver settings.
    pub dns: Option<Dns>,
    /// Directories.
    pub dirs: TaskDirs,
    /// Host volumes.
    pub mounts: Vec<Mount>,
    /// Devices.
    pub devices: Vec<Device>,
    /// How its output is kept (for the host; not shown to the driver).
    pub logs: LogLimits,
}

/// What the host watches to know when a task ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "id")]
pub enum Watch {
    /// A container.
    Container(String),
    /// A process.
    Process(String),
    /// A component.
    Component(String),
    /// Ask the driver every so many milliseconds.
    Poll(u32),
}

/// An address the task has of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverNetwork {
    /// The address.
    pub address: String,
    /// Advertise it rather than the host's.
    pub auto_advertise: bool,
    /// Ports by label.
    pub port_map: Vec<(String, u16)>,
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The driver's opaque bytes, at most 64 KiB.
    pub handle: Vec<u8>,
    /// What to watch.
    pub watch: Watch,
    /// Its own address.
    pub network: Option<DriverNetwork>,
}

/// What a driver knows of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Whether it runs.
    pub state: RunState,
    /// Facts for `alloc status`.
    pub attributes: BTreeMap<String, String>,
}

/// How to stop a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// `kill_signal`; none for the driver's default.
    pub signal: Option<String>,
    /// `kill_timeout`.
    pub grace_ms: u32,
}

/// How a remote task is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Whether it runs.
    pub state: RunState,
    /// Output since the last one.
    pub output: Vec<(OutputStream, Vec<u8>)>,
    /// A new handle in place of the old.
    pub handle: Option<Vec<u8>>,
}

/// An allocation that needs a network namespace of a driver's making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRequest {
    /// Which.
    pub alloc: AllocId,
    /// Its directory on the host.
    pub dir: std::path::PathBuf,
    /// `bridge`, `none` or `cni/<name>`.
    pub mode: String,
    /// Host name inside.
    pub hostname: Option<String>,
}

impl NetworkRequest {
    /// Whom a driver acts for while it makes or removes the namespace: nobody's task, the allocation itself.
    pub fn scope(&self) -> TaskScope {
        let dir = &self.dir;
        let dirs = TaskDirs {
            task: dir.clone(),
            alloc: dir.join("alloc"),
            local: dir.clone(),
            secrets: dir.clone(),
            logs: dir.join("alloc/logs"),
        };
        TaskScope {
            id: TaskId::shared(&self.alloc),
            dirs,
            ports: Vec::new(),
            logs: LogLimits::default(),
            network_namespace: None,
        }
    }
}

/// A namespace that a driver made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedNetwork {
    /// What keeps it.
    pub holder: Holder,
    /// Its path, when the driver knows one.
    pub namespace_path: Option<String>,
    /// The driver's opaque bytes, at most 64 KiB.
    pub handle: Vec<u8>,
}

/// Why an operation of a driver failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DriverError {
    /// The driver answered with an error.
    #[error("driver {driver}: {operation}: {reason}")]
    Refused {
        /// Which driver.
        driver: String,
        /// Which operation (`lifecycle.start`).
        operation: String,
        /// What it answered.
        reason: HostError,
    },
    /// The component trapped; its backtrace is for the log.
    #[error("driver {driver}: {operation}: the driver crashed: {cause}")]
    Trapped {
        /// Which driver.
        driver: String,
        /// Which operation.
        operation: String,
        /// What happened, one line.
        cause: String,
        /// Readable backtrace, a frame a line.
        backtrace: String,
    },
    /// It did not come back in time.
    #[error("driver {driver}: {operation}: not done after {limit_ms} ms")]
    TimedOut {
        /// Which driver.
        driver: String,
        /// Which operation.
        operation: String,
        /// The time it had.
        limit_ms: u64,
    },
    /// It does not export the optional interface.
    #[error("driver {driver} does not support {interface}: its component does not export `{interface}`")]
    Unsupported {
        /// Which driver.
        driver: String,
        /// The interface it would need.
        interface: &'static str,
    },
    /// No driver of that name is loaded.
    #[error("no driver {driver:?} is loaded; loaded: {loaded}")]
    Unknown {
        /// The name asked for.
        driver: String,
        /// The names there are, comma-separated.
        loaded: String,
    },
}

impl DriverError {
    /// The driver's own answer, if it gave one.
    pub fn reason(&self) -> Option<&HostError> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

/// Why a task could not be started.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{error}")]
pub struct StartError {
    /// The reason.
    pub error: DriverError,
    /// Whether the restart policy applies.
    pub recoverable: bool,
}

/// A loaded driver. Every call runs on a fresh instance; nothing is remembered between calls, and a call
/// that traps or times out disturbs no other. The agent serialises the calls for one task.
#[async_trait]
pub trait Driver: Send + Sync {
    /// What is known of it.
    fn info(&self) -> &Arc<DriverInfo>;
    /// Looks at the machine. A trap counts as unhealthy, with the cause.
    async fn fingerprint(&self) -> Fingerprint;
    /// Starts a task; idempotent by its id.
    async fn start(&self, task: &Task) -> Result<Started, StartError>;
    /// Tries the start of a task that is not there yet, if the driver lets itself be tried, and makes nothing: what it
    /// asks for is held against the policy, and nothing else. Answers why it would be denied.
    async fn rehearse(&self, _task: &Task) -> Option<String> {
        None
    }
    /// Finds a task again, changing nothing.
    async fn recover(&self, task: &Task, handle: &[u8]) -> Result<Started, DriverError>;
    /// Ends a task.
    async fn stop(&self, task: &Task, handle: &[u8], request: &StopRequest) -> Result<(), DriverError>;
    /// Removes all a task left.
    async fn destroy(&self, task: &Task, handle: Option<&[u8]>) -> Result<(), DriverError>;
    /// What it knows of a task.
    async fn inspect(&self, task: &Task, handle: &[u8]) -> Result<TaskStatus, DriverError>;
    /// Sends a signal.
    async fn signal(&self, task: &Task, handle: &[u8], name: &str) -> Result<(), DriverError>;
    /// Prepares a command.
    async fn exec(&self, task: &Task, handle: &[u8], request: &ExecRequest) -> Result<ExecSession, DriverError>;
    /// A sample of what a task uses.
    async fn sample(&self, task: &Task, handle: &[u8]) -> Result<Usage, DriverError>;
    /// Looks at a remote task.
    async fn poll(&self, task: &Task, handle: &[u8]) -> Result<Observation, DriverError>;
    /// Makes an allocation's namespace; idempotent by allocation.
    async fn create_network(&self, _request: &NetworkRequest) -> Result<CreatedNetwork, DriverError> {
        Err(DriverError::Unsupported { driver: self.info().description.name.clone(), interface: "network" })
    }
    /// Removes what it made; no handle when making was cut short.
    async fn destroy_network(&self, _request: &NetworkRequest, _handle: Option<&[u8]>) -> Result<(), DriverError> {
        Err(DriverError::Unsupported { driver: self.info().description.name.clone(), interface: "network" })
    }
}

/// The loaded drivers. Looked up anew for every operation, so that a driver can be replaced under running tasks.
pub trait Drivers: Send + Sync {
    /// The driver of that name.
    fn get(&self, name: &str) -> Result<Arc<dyn Driver>, DriverError>;
    /// All of them, by name.
    fn all(&self) -> Vec<Arc<dyn Driver>>;
}
