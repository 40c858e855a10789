//! Who is asking: every call to a backend carries this, and ownership is decided by it.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Name of a driver as job files write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DriverName(pub String);

/// Id of an allocation: a lower-case UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AllocId(pub String);

/// Id of a task: unique on the machine and never used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The allocation it belongs to.
    pub alloc: AllocId,
    /// Its name in the job file.
    pub task: String,
}

impl TaskId {
    /// Stands for what belongs to an allocation and to none of its tasks: no task can have this name, because the
    /// tasks' shared directory has it.
    pub fn shared(alloc: &AllocId) -> Self {
        Self { alloc: alloc.clone(), task: "alloc".into() }
    }
}

/// Directory of an allocation, beside those of its tasks, that holds what [`TaskScope::etc`] tells.
pub const ETC_DIR: &str = ".etc";

/// Where a task's directories are: absolute paths on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDirs {
    /// The task's own directory, parent of `local` and `secrets`.
    pub task: PathBuf,
    /// Shared by the group; `NOMAD_ALLOC_DIR`.
    pub alloc: PathBuf,
    /// `NOMAD_TASK_DIR`.
    pub local: PathBuf,
    /// `NOMAD_SECRETS_DIR`.
    pub secrets: PathBuf,
    /// Where rotated logs go (`<alloc>/logs`).
    pub logs: PathBuf,
}

/// The task an operation is for, as backends need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskScope {
    /// Which task.
    pub id: TaskId,
    /// Its directories.
    pub dirs: TaskDirs,
    /// Ports of its allocation.
    pub ports: Vec<crate::port::Port>,
    /// How its output is kept.
    pub logs: crate::workload::LogLimits,
    /// Its allocation's network namespace, which every process of it joins; none in the host's network.
    pub network_namespace: Option<PathBuf>,
}

impl TaskScope {
    /// Where the files are that stand in `/etc` in place of the machine's, under the same names, for every task in
    /// the allocation's own network; none in the host's network. A file that is not there replaces nothing.
    pub fn etc(&self) -> Option<PathBuf> {
        self.network_namespace.as_ref()?;
        Some(self.dirs.alloc.parent()?.join(ETC_DIR))
    }
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The driver.
    pub driver: DriverName,
    /// The task the operation is for; none for `fingerprint` and the like.
    pub task: Option<TaskScope>,
}

impl Caller {
    /// A caller that acts for no task.
    pub fn driver(name: &DriverName) -> Self {
        Self { driver: name.clone(), task: None }
    }

    /// The task, or the error a driver sees when it asks for task things outside a task's operation.
    pub fn require_task(&self) -> crate::error::Result<&TaskScope> {
        self.task.as_ref().ok_or_else(|| {
            crate::error::HostError::Invalid(
                "this call needs a task, and the operation is for none (only lifecycle operations have one)".into(),
            )
        })
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AllocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `<allocation id>/<task name>`, as the contract writes it.
impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.alloc, self.task)
    }
}
