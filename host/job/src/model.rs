//! The job: what every spelling of a job file becomes, and what the agent runs.
//!
//! The JSON of these types is the `Job` document of Nomad's HTTP API: Go field names (`TaskGroups`, `MemoryMB`),
//! durations as integer nanoseconds, sizes in MiB, processor shares in MHz. A value of these types is complete:
//! every field holds what was written or Nomad's default, so no reader ever fills a gap.
//!
//! Documents written by others (nulls, missing fields, keys in any case, defaults that depend on the job's type)
//! are read with `from_json`; plain `serde` reads back what was printed from here.

mod duration;
mod files;
mod network;
mod policy;
mod resources;
mod schedule;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use duration::{format_duration, nanoseconds, parse_duration};
pub use files::{Artifact, ChangeScript, MountOptions, Template, Volume, VolumeMount, Wait};
pub use network::{Dns, Network, Port};
pub use policy::{Constraint, Lifecycle, LifecycleHook, RestartMode, RestartPolicy, UpdateStrategy};
pub use resources::{Device, EphemeralDisk, Logs, Resources};
pub use schedule::{
    Action, Affinity, Cni, Disconnect, DispatchPayload, Identity, Link, Migrate, Parameterized, Periodic, Reschedule,
    Scaling, Spread, SpreadTarget, Ui,
};
pub use service::{Check, CheckRestart, Service};

/// A job: one or more groups of tasks, submitted under one id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Job {
    /// Unique within the namespace; the label of the `job` block.
    #[serde(rename = "ID")]
    pub id: String,
    /// What people call it; the id unless given.
    pub name: String,
    /// `global` unless given; kept, not acted on.
    pub region: String,
    /// `default` unless given.
    pub namespace: String,
    /// `default` unless given; kept, not acted on.
    pub node_pool: String,
    /// What ends the job and how it is restarted.
    #[serde(rename = "Type")]
    pub kind: JobKind,
    /// 1 to 100; kept, has no effect on a single machine.
    pub priority: i64,
    /// Kept, has no effect on a single machine.
    pub all_at_once: bool,
    /// Globs, one of which must match the machine's datacenter.
    pub datacenters: Vec<String>,
    /// Conditions on the machine, for every group.
    pub constraints: Vec<Constraint>,
    /// Wishes about the machine, for every group; without effect on a single one.
    pub affinities: Vec<Affinity>,
    /// Without effect on a single machine.
    pub spreads: Vec<Spread>,
    /// How running allocations are replaced; each group's own is merged over it.
    pub update: Option<UpdateStrategy>,
    /// Without effect on a single machine.
    pub reschedule: Option<Reschedule>,
    /// Without effect on a single machine.
    pub migrate: Option<Migrate>,
    /// Present on jobs that the clock starts.
    pub periodic: Option<Periodic>,
    /// Present on jobs that are started by request.
    pub parameterized_job: Option<Parameterized>,
    /// As it was written; refused.
    pub multiregion: Option<Value>,
    /// What people see of it.
    #[serde(rename = "UI")]
    pub ui: Option<Ui>,
    /// Seen by every task as `NOMAD_META_<key>`.
    pub meta: BTreeMap<String, String>,
    /// At least one.
    pub task_groups: Vec<TaskGroup>,
    /// Whether the job was stopped. Set by the agent.
    pub stop: bool,
    /// `pending`, `running` or `dead`. Set by the agent.
    pub status: String,
    /// Whether a deployment of it succeeded; there are none yet. Set by the agent.
    pub stable: bool,
    /// Counts submissions that changed the job, from 0. Set by the agent.
    pub version: u64,
    /// Unix time of submission in nanoseconds. Set by the agent.
    pub submit_time: i64,
    /// Index at which the job first appeared. Set by the agent.
    pub create_index: u64,
    /// Index of the last change of job or status. Set by the agent.
    pub modify_index: u64,
    /// Index of the last change of the job itself. Set by the agent.
    pub job_modify_index: u64,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            region: "global".into(),
            namespace: "default".into(),
            node_pool: "default".into(),
            kind: JobKind::Service,
            priority: 50,
            all_at_once: false,
            datacenters: vec!["*".into()],
            constraints: Vec::new(),
            affinities: Vec::new(),
            spreads: Vec::new(),
            update: None,
            reschedule: None,
            migrate: None,
            periodic: None,
            parameterized_job: None,
            multiregion: None,
            ui: None,
            meta: BTreeMap::new(),
            task_groups: Vec::new(),
            stop: false,
            status: String::new(),
            stable: false,
            version: 0,
            submit_time: 0,
            create_index: 0,
            modify_index: 0,
            job_modify_index: 0,
        }
    }
}

/// When a job is over, and what a task's exit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Runs until stopped; a task that exits is restarted.
    #[default]
    Service,
    /// Runs until its tasks exit with success.
    Batch,
    /// One allocation per machine, otherwise as `service`.
    System,
    /// One allocation per machine, otherwise as `batch`.
    Sysbatch,
}

impl JobKind {
    /// Every kind, by the name used in job files.
    pub const NAMES: [&'static str; 4] = ["service", "batch", "system", "sysbatch"];

    /// Whether a task that exits with 0 is done (`batch`, `sysbatch`) or is to be restarted (`service`, `system`).
    pub fn ends_on_success(self) -> bool {
        matches!(self, Self::Batch | Self::Sysbatch)
    }
}

/// Tasks that run together: one allocation of the group shares a directory and a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TaskGroup {
    /// Unique within the job.
    pub name: String,
    /// How many allocations of the group are wanted; 0 is allowed.
    pub count: u32,
    /// Conditions on the machine, beside the job's.
    pub constraints: Vec<Constraint>,
    /// Wishes about the machine; without effect on a single one.
    pub affinities: Vec<Affinity>,
    /// Without effect on a single machine.
    pub spreads: Vec<Spread>,
    /// At least one, and at least one without a lifecycle hook.
    pub tasks: Vec<Task>,
    /// None or one.
    pub networks: Vec<Network>,
    /// Merged into every task's own.
    pub restart_policy: RestartPolicy,
    /// Space for the allocation's directory.
    pub ephemeral_disk: EphemeralDisk,
    /// The job's, with the group's own merged over it.
    pub update: Option<UpdateStrategy>,
    /// Names under which its ports are found.
    pub services: Vec<Service>,
    /// By name; tasks mount them.
    pub volumes: BTreeMap<String, Volume>,
    /// The job's, with the group's own merged over it; without effect on a single machine.
    pub reschedule_policy: Option<Reschedule>,
    /// Without effect on a single machine.
    pub migrate: Option<Migrate>,
    /// Without effect on a single machine.
    pub disconnect: Option<Disconnect>,
    /// Bounds for an autoscaler.
    pub scaling: Option<Scaling>,
    /// As it was written; refused.
    pub consul: Option<Value>,
    /// Nanoseconds the group may run; `None` for ever.
    pub max_run_duration: Option<i64>,
    /// Nanoseconds; without effect on a single machine.
    pub stop_after_client_disconnect: Option<i64>,
    /// Nanoseconds; without effect on a single machine.
    pub max_client_disconnect: Option<i64>,
    /// Without effect on a single machine.
    pub prevent_reschedule_on_lost: bool,
    /// Seen by the group's tasks as `NOMAD_META_<key>`, over the job's.
    pub meta: BTreeMap<String, String>,
    /// How long to wait, once asked to stop, before the tasks are signalled.
    #[serde(with = "nanoseconds")]
    pub shutdown_delay: Duration,
}

impl Default for TaskGroup {
    fn default() -> Self {
        Self {
            name: String::new(),
            count: 1,
            constraints: Vec::new(),
            affinities: Vec::new(),
            spreads: Vec::new(),
            tasks: Vec::new(),
            networks: Vec::new(),
            restart_policy: RestartPolicy::default(),
            ephemeral_disk: EphemeralDisk::default(),
            update: None,
            services: Vec::new(),
            volumes: BTreeMap::new(),
            reschedule_policy: None,
            migrate: None,
            disconnect: None,
            scaling: None,
            consul: None,
            max_run_duration: None,
            stop_after_client_disconnect: None,
            max_client_disconnect: None,
            prevent_reschedule_on_lost: false,
            meta: BTreeMap::new(),
            shutdown_delay: Duration::ZERO,
        }
    }
}

/// One thing a driver runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Task {
    /// Unique within the group; names the task's directory.
    pub name: String,
    /// Name of the driver. May hold `${…}`.
    pub driver: String,
    /// User to run as; empty means the driver's default. May hold `${…}`.
    pub user: String,
    /// What the driver's own schema describes; always a JSON object. Strings may hold `${…}`.
    pub config: Value,
    /// Environment of the task; keys and values may hold `${…}`.
    pub env: BTreeMap<String, String>,
    /// Conditions on the machine, beside the group's.
    pub constraints: Vec<Constraint>,
    /// Wishes about the machine; without effect on a single one.
    pub affinities: Vec<Affinity>,
    /// Names under which its ports are found.
    pub services: Vec<Service>,
    /// Files fetched before it starts.
    pub artifacts: Vec<Artifact>,
    /// Files written before it starts.
    pub templates: Vec<Template>,
    /// Volumes of the group that it sees.
    pub volume_mounts: Vec<VolumeMount>,
    /// Where the payload of a request goes.
    pub dispatch_payload: Option<DispatchPayload>,
    /// Commands that people may run in it.
    pub actions: Vec<Action>,
    /// The one that every task has, if something is said of it.
    pub identity: Option<Identity>,
    /// Further ones.
    pub identities: Vec<Identity>,
    /// Bounds for an autoscaler.
    pub scaling_policies: Vec<Scaling>,
    /// As they were written; refused.
    pub secrets: Vec<Value>,
    /// As it was written; refused.
    pub vault: Option<Value>,
    /// As it was written; refused.
    pub consul: Option<Value>,
    /// As it was written; refused.
    #[serde(rename = "CSIPluginConfig")]
    pub csi_plugin_config: Option<Value>,
    /// As it was written; refused.
    pub schedule: Option<Value>,
    /// Set by Consul Connect; refused.
    pub kind: String,
    /// What the task may use.
    pub resources: Resources,
    /// The group's, with the task's own merged over it.
    pub restart_policy: RestartPolicy,
    /// Job's, group's and task's meta are seen as `NOMAD_META_<key>`; this is the task's own part.
    pub meta: BTreeMap<String, String>,
    /// From the kill signal to the kill.
    #[serde(with = "nanoseconds")]
    pub kill_timeout: Duration,
    /// Signal that asks the task to end; empty means the driver's default. May hold `${…}`.
    pub kill_signal: String,
    /// Rotation of the task's output.
    #[serde(rename = "LogConfig")]
    pub logs: Logs,
    /// When it ends, the group's other tasks are stopped.
    pub leader: bool,
    /// Present on tasks that run around the main ones.
    pub lifecycle: Option<Lifecycle>,
    /// How long to wait, once asked to stop, before the task is signalled.
    #[serde(with = "nanoseconds")]
    pub shutdown_delay: Duration,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            name: String::new(),
            driver: String::new(),
            user: String::new(),
            config: Value::Object(serde_json::Map::new()),
            env: BTreeMap::new(),
            constraints: Vec::new(),
            affinities: Vec::new(),
            services: Vec::new(),
            artifacts: Vec::new(),
            templates: Vec::new(),
            volume_mounts: Vec::new(),
            dispatch_payload: None,
            actions: Vec::new(),
            identity: None,
            identities: Vec::new(),
            scaling_policies: Vec::new(),
            secrets: Vec::new(),
            vault: None,
            consul: None,
            csi_plugin_config: None,
            schedule: None,
            kind: String::new(),
            resources: Resources::default(),
            restart_policy: RestartPolicy::default(),
            meta: BTreeMap::new(),
            kill_timeout: Duration::from_secs(5),
            kill_signal: String::new(),
            logs: Logs::default(),
            leader: false,
            lifecycle: None,
            shutdown_delay: Duration::ZERO,
        }
    }
}
