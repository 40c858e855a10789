//! Containers of the machine's engine.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    caller::{Caller, TaskId},
    error::Result,
    exec::{ExecRequest, ExecStream},
    port::Protocol,
    workload::{ExitStatus, Limits, Mount, OutputChunks, OutputPosition, RunState, Usage},
};

/// Label on every container of ours: the driver that made it.
pub const LABEL_DRIVER: &str = "longshore.driver";
/// Label: the allocation.
pub const LABEL_ALLOC: &str = "longshore.alloc_id";
/// Label: the task's name.
pub const LABEL_TASK: &str = "longshore.task";
/// Label: the agent (its state directory's id), so that two agents on one engine stay apart.
pub const LABEL_AGENT: &str = "longshore.agent";
/// Prefix of labels only the host may set.
pub const LABEL_PREFIX: &str = "longshore.";

/// The engine behind [`Containers`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// `docker`, `podman`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The API version spoken.
    pub api_version: String,
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub arch: String,
    /// Host address on its default network.
    pub bridge_ip: Option<String>,
    /// Runtimes, sorted.
    pub runtimes: Vec<String>,
    /// Anything else, by name.
    pub attributes: BTreeMap<String, String>,
}

/// How a container's network is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerNetwork {
    /// The engine's default network.
    Default,
    /// The host's.
    Host,
    /// Loopback only.
    None,
    /// Another own container's namespace, by id.
    Container(String),
    /// A network of the engine, by name.
    Named(String),
    /// Any other mode the engine knows.
    Other(String),
}

/// A container port published on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// Host address; empty for all.
    pub host_ip: String,
    /// Host port; one of the allocation's.
    pub host_port: u16,
    /// Port inside.
    pub container_port: u16,
    /// Protocols.
    pub protocol: Protocol,
}

/// A container to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Unique on the machine.
    pub name: String,
    /// Image reference or id, present on the machine.
    pub image: String,
    /// Replaces the image's entry point unless empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's command unless empty.
    pub command: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// Labels of the driver's own.
    pub labels: Vec<(String, String)>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Network.
    pub network: ContainerNetwork,
    /// Published ports.
    pub ports: Vec<PortBinding>,
    /// Limits.
    pub limits: Limits,
    /// The engine's own create document (a JSON object), laid under the fields above.
    pub engine_options: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What the engine knows of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The task it was made for.
    pub task: TaskId,
    /// Image reference.
    pub image: String,
    /// Content id of the image, `sha256:…`.
    pub image_id: String,
    /// Whether it runs.
    pub state: RunState,
    /// `healthy`, `unhealthy`, `starting`.
    pub health: Option<String>,
    /// IPv4 address.
    pub address: Option<String>,
    /// IPv6 address.
    pub address_ipv6: Option<String>,
    /// Name of its (first) network.
    pub network_name: Option<String>,
    /// Its network namespace.
    pub namespace_path: Option<String>,
}

/// Whether somebody knows a task; see [`Containers::sweep`].
pub type IsKnown<'a> = dyn Fn(&TaskId) -> bool + Send + Sync + 'a;

/// The engine's containers.
///
/// Every call is for a [`Caller`]; a container of another driver, agent or (inside a task's operation) task
/// is `NotFound`. Policy ([`crate::policy`]) was checked before `create`. `wait`, `follow_output` and
/// `attach_exec` are for the agent; the rest is what drivers reach through the contract, whose
/// documentation (`wit/host/containers.wit`) is the promise of each.
#[async_trait]
pub trait Containers: Send + Sync {
    /// The engine the caller's driver works with, or `Unavailable`. Its attributes hold `cpus`, and what policy
    /// gives the driver: `privileged_enabled`, `volumes_enabled`.
    async fn engine(&self, caller: &Caller) -> Result<EngineInfo>;
    /// Creates; idempotent by name for the same task.
    async fn create(&self, caller: &Caller, spec: &ContainerSpec) -> Result<String>;
    /// Starts.
    async fn start(&self, caller: &Caller, id: &str) -> Result<()>;
    /// Ends with a signal, then SIGKILL after `grace_ms`.
    async fn stop(&self, caller: &Caller, id: &str, signal: Option<&str>, grace_ms: u32) -> Result<()>;
    /// Sends one signal.
    async fn signal(&self, caller: &Caller, id: &str, name: &str) -> Result<()>;
    /// Removes with anonymous volumes.
    async fn remove(&self, caller: &Caller, id: &str) -> Result<()>;
    /// Inspects.
    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Container>;
    /// Own containers: of the caller's task, or of the driver when there is none.
    async fn list(&self, caller: &Caller) -> Result<Vec<Container>>;
    /// A sample of what it uses.
    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage>;
    /// Prepares a command; answers a session id.
    async fn prepare_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String>;

    /// Waits for the end, across restarts of the engine. `NotFound` when it was removed meanwhile.
    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus>;
    /// Output behind a position, from the start by default; follows until the container has ended. `Invalid`
    /// when this output can never be read, whenever it is asked for.
    async fn follow_output(&self, caller: &Caller, id: &str, from: OutputPosition) -> Result<OutputChunks>;
    /// Keeps a running container on these processors from now on.
    async fn confine(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()>;
    /// Removes this agent's containers of tasks that nobody knows, of all drivers, as the operator wants; answers
    /// their names.
    async fn sweep(&self, is_known: &IsKnown<'_>) -> Result<Vec<String>>;
    /// Starts a prepared command and attaches to it.
    async fn attach_exec(&self, caller: &Caller, session: &str) -> Result<ExecStream>;
}
