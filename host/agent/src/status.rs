//! What the agent shows of jobs, allocations, tasks and the machine: plain values, snapshots of a moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use longshore_core::{
    added_port::AddedPort,
    caller::{AllocId, TaskDirs},
    driver::{DriverInfo, DriverNetwork, Fingerprint},
    network::{Network, Obstacle},
    port::Port,
};
use longshore_job::model::Job;
use serde::{Deserialize, Serialize};

/// A job and how its allocations are.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStatus {
    /// The job as it was submitted last; `status`, `version`, indexes and times are the agent's.
    pub job: Arc<Job>,
    /// Allocations by group, every group of the job present.
    pub summary: BTreeMap<String, GroupSummary>,
}

/// How many allocations of a group are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupSummary {
    /// Wanted and not yet made.
    pub queued: u32,
    /// Ended with success or on request.
    pub complete: u32,
    /// Ended with failure.
    pub failed: u32,
    /// With a running task.
    pub running: u32,
    /// Made, with no task running yet.
    pub starting: u32,
}

/// The text a job was submitted as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The source, as written.
    pub source: String,
    /// `hcl2` or `json`.
    pub format: String,
    /// Values of `-var`.
    pub variable_flags: BTreeMap<String, String>,
    /// Contents of variable files.
    pub variables: String,
}

/// A decision about a job: what a submission or a stop led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// A UUID.
    pub id: String,
    /// The job.
    pub job_id: String,
    /// The job's type, `service` and so on.
    pub job_type: String,
    /// `job-register`, `job-deregister`, `alloc-stop`.
    pub triggered_by: String,
    /// `complete`: decisions are made at once.
    pub status: String,
    /// The job's modify index then.
    pub job_modify_index: u64,
    /// When it was made.
    pub create_time: SystemTime,
    /// Index of its creation, and of its only change.
    pub create_index: u64,
}

/// What the agent wants of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// To run.
    Run,
    /// To end.
    Stop,
}

/// How an allocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientStatus {
    /// No task runs yet.
    Pending,
    /// A task runs.
    Running,
    /// All tasks ended, none of them failed.
    Complete,
    /// A task failed.
    Failed,
}

impl ClientStatus {
    /// Nomad's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }
}

/// One allocation: a group's tasks on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// Its id, a UUID.
    pub id: AllocId,
    /// `<job>.<group>[<index>]`.
    pub name: String,
    /// The group.
    pub group: String,
    /// Number within the group, from 0.
    pub index: u32,
    /// The version of the job it runs.
    pub job: Arc<Job>,
    /// The evaluation that made it.
    pub eval_id: String,
    /// The allocation it replaces.
    pub previous: Option<AllocId>,
    /// What is wanted of it.
    pub desired: Desired,
    /// Why, in one line.
    pub desired_description: String,
    /// How it is.
    pub status: ClientStatus,
    /// Whether it is over and cleaned up.
    pub finished: bool,
    /// Network mode.
    pub network_mode: String,
    /// Its own network; none in mode `host`, and before it is made.
    pub network: Option<Network>,
    /// What the driver that made its namespace wants to be told when it is to go.
    pub network_handle: Option<Vec<u8>>,
    /// Whether something of its network could not be removed when it ended; it is tried again.
    pub network_remains: bool,
    /// Its ports, as the job file has them.
    pub ports: Vec<Port>,
    /// Ports that its drivers added.
    pub added_ports: Vec<AddedPort>,
    /// Processors that belong to one of its tasks alone, by task.
    pub cores: BTreeMap<String, Vec<u32>>,
    /// Images of its tasks' containers, by task: each task runs the same at every start.
    pub images: BTreeMap<String, TaskImage>,
    /// Its tasks, by name.
    pub tasks: BTreeMap<String, TaskState>,
    /// Its directory on the host.
    pub dir: PathBuf,
    /// Directories of its tasks, by name.
    pub task_dirs: BTreeMap<String, TaskDirs>,
    /// When it was made.
    pub create_time: SystemTime,
    /// When it changed last.
    pub modify_time: SystemTime,
    /// Index of its creation.
    pub create_index: u64,
    /// Index of its last change.
    pub modify_index: u64,
}

/// The image a task's container was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskImage {
    /// Its content id, `sha256:…`.
    #[serde(rename = "ID")]
    pub id: String,
    /// Where a registry has it, `repository@sha256:…`; none for one that was made or loaded here.
    pub digest: Option<String>,
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskPhase {
    /// Not started, or waiting to be restarted.
    #[default]
    Pending,
    /// Runs.
    Running,
    /// Over.
    Dead,
}

impl TaskPhase {
    /// Nomad's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

/// A task of an allocation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// Where it is in its life.
    pub phase: TaskPhase,
    /// Whether it ended for good with failure.
    pub failed: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// When it was last started again.
    pub last_restart: Option<SystemTime>,
    /// When it was last started.
    pub started_at: Option<SystemTime>,
    /// When it ended for good.
    pub finished_at: Option<SystemTime>,
    /// An address of its own, when its driver says so.
    pub network: Option<DriverNetwork>,
    /// Its last events, the oldest first.
    pub events: Vec<TaskEvent>,
}

/// Something that happened to a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// Nomad's type: `Started`, `Driver Failure`, ….
    pub kind: String,
    /// When.
    pub time: SystemTime,
    /// One line for people.
    pub message: String,
    /// Facts, by name (`exit_code`, `signal`, `restart_reason`, …).
    pub details: BTreeMap<String, String>,
}

/// The machine as tasks and people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its id, a UUID kept in the journal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Its region.
    pub region: String,
    /// `attr.<key>`, drivers' included.
    pub attributes: BTreeMap<String, String>,
    /// `meta.<key>`.
    pub meta: BTreeMap<String, String>,
    /// Loaded drivers, by name.
    pub drivers: BTreeMap<String, DriverStatus>,
    /// Processors that tasks can have for themselves.
    pub reservable_cores: BTreeSet<u32>,
    /// What stands in the way of networks of allocations.
    pub obstacles: Vec<Obstacle>,
}

/// A loaded driver and how it is.
#[derive(Clone, Debug, PartialEq)]
pub struct DriverStatus {
    /// What is known of it.
    pub info: Arc<DriverInfo>,
    /// Its last look at the machine, and when; none before the first.
    pub fingerprint: Option<(Fingerprint, SystemTime)>,
}

/// A time since the start of 1970; zero before.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
