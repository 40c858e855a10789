//! The records of the journal: JSON, one per job version, allocation and task.

use std::{collections::BTreeMap, path::Path, time::SystemTime};

use longshore_core::{
    added_port::AddedPort,
    caller::{AllocId, TaskId},
    driver::{Started, Task},
    network::Network,
    port::Port,
    workload::OutputPosition,
};
use longshore_job::model::Job;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{StoreError, Table, Write, journal::Tables};
use crate::{
    status::{Desired, Evaluation, Submission, TaskImage, TaskState},
    task::restart::RestartCount,
};

/// Key of the node's id.
pub(super) const NODE_ID: &str = "node_id";
/// Key of the boot the agent ran in last.
const BOOT_ID: &str = "boot_id";
/// Key of the last modify index.
const INDEX: &str = "index";
/// Prefix of the keys of jobs to be forgotten.
const PURGE: &str = "purge/";

/// An allocation without what can be worked out again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AllocRecord {
    pub(crate) id: AllocId,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) index: u32,
    pub(crate) job_id: String,
    pub(crate) job_version: u64,
    pub(crate) eval_id: String,
    pub(crate) previous: Option<AllocId>,
    pub(crate) desired: Desired,
    pub(crate) desired_description: String,
    pub(crate) finished: bool,
    pub(crate) network_mode: String,
    #[serde(default)]
    pub(crate) network: Option<Network>,
    #[serde(default)]
    pub(crate) network_handle: Option<Vec<u8>>,
    #[serde(default)]
    pub(crate) network_remains: bool,
    pub(crate) ports: Vec<Port>,
    #[serde(default)]
    pub(crate) added_ports: Vec<AddedPort>,
    #[serde(default)]
    pub(crate) cores: BTreeMap<String, Vec<u32>>,
    #[serde(default)]
    pub(crate) images: BTreeMap<String, TaskImage>,
    pub(crate) create_time: SystemTime,
    pub(crate) create_index: u64,
}

/// A namespace made in advance. Written before it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpareRecord {
    /// The allocation it will belong to.
    pub(crate) id: AllocId,
    /// Who makes it.
    pub(crate) driver: String,
}

/// How far the agent got with one task. Written before each step, so that after a crash the step is known
/// to have been begun, done or neither.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum RunPhase {
    /// Nothing was done.
    #[default]
    Pending,
    /// The driver was, or was about to be, asked to start it.
    Starting,
    /// It was started.
    Running(Started),
    /// It ended or was lost; what it left is being removed. Then, if `restart_at` is set, it starts again.
    Ended {
        /// The driver's handle, when it had got one.
        handle: Option<Vec<u8>>,
        /// When to start it again, Unix milliseconds.
        restart_at: Option<u64>,
    },
    /// It is over and nothing is left of it.
    Dead,
}

/// How far a container's output was written: the files may be longer, but what follows is not accounted for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogPosition {
    /// Everything up to there is in the files.
    #[serde(default)]
    pub(crate) reached: OutputPosition,
    /// Number and length of the newest file of standard output.
    pub(crate) stdout: (u64, u64),
    /// The same of standard error.
    pub(crate) stderr: (u64, u64),
}

/// One task of an allocation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    pub(crate) phase: RunPhase,
    /// The driver it was last given to; empty before that.
    pub(crate) driver: String,
    pub(crate) state: TaskState,
    pub(crate) restarts: RestartCount,
}

/// Everything the journal held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) node_id: Option<String>,
    pub(crate) boot_id: Option<String>,
    pub(crate) index: u64,
    /// By id and version.
    pub(crate) jobs: BTreeMap<(String, u64), Job>,
    /// By job.
    pub(crate) submissions: BTreeMap<String, Submission>,
    pub(crate) evaluations: Vec<Evaluation>,
    /// Ids of jobs to be forgotten once they have ended.
    pub(crate) purging: Vec<String>,
    pub(crate) allocs: Vec<AllocRecord>,
    pub(crate) spares: Vec<SpareRecord>,
    /// By `<alloc>/<task>`.
    pub(crate) tasks: BTreeMap<String, TaskRecord>,
    /// By `<alloc>/<task>`.
    pub(crate) snapshots: BTreeMap<String, Task>,
    /// By `<alloc>/<task>`.
    pub(crate) log_positions: BTreeMap<String, LogPosition>,
}

impl Loaded {
    pub(super) fn read(mut tables: Tables, path: &Path) -> Result<Self, StoreError> {
        let meta: BTreeMap<String, Vec<u8>> = tables.take(Table::Meta).into_iter().collect();
        let text = |key: &str| meta.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let jobs = decode::<Job>(tables.take(Table::Jobs), path)?;
        Ok(Self {
            node_id: text(NODE_ID),
            boot_id: text(BOOT_ID),
            index: text(INDEX).and_then(|text| text.parse().ok()).unwrap_or(0),
            purging: meta.keys().filter_map(|key| key.strip_prefix(PURGE).map(String::from)).collect(),
            jobs: jobs.into_iter().map(|(_, job)| ((job.id.clone(), job.version), job)).collect(),
            submissions: decode(tables.take(Table::Submissions), path)?.into_iter().collect(),
            evaluations: values(decode(tables.take(Table::Evaluations), path)?),
            allocs: values(decode(tables.take(Table::Allocs), path)?),
            spares: values(decode(tables.take(Table::Spares), path)?),
            tasks: decode(tables.take(Table::Tasks), path)?.into_iter().collect(),
            snapshots: decode(tables.take(Table::Snapshots), path)?.into_iter().collect(),
            log_positions: decode(tables.take(Table::LogPositions), path)?.into_iter().collect(),
        })
    }
}

fn values<T>(rows: Vec<(String, T)>) -> Vec<T> {
    rows.into_iter().map(|(_, value)| value).collect()
}

fn decode<T: DeserializeOwned>(rows: Vec<(String, Vec<u8>)>, path: &Path) -> Result<Vec<(String, T)>, StoreError> {
    rows.into_iter()
        .map(|(key, bytes)| match serde_json::from_slice(&bytes) {
            Ok(value) => Ok((key, value)),
            Err(error) => Err(StoreError::Damaged {
                path: path.display().to_string(),
                reason: format!("record {key:?} is unreadable: {error}"),
            }),
        })
        .collect()
}

/// The types here serialise without fail: string keys, no custom code that errs.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn job_key(id: &str, version: u64) -> String {
    format!("{id}\0{version}")
}

/// How each kind of record is written.
impl Write {
    pub(crate) fn boot_id(id: &str) -> Self {
        Self::put(Table::Meta, BOOT_ID, id.as_bytes().to_vec())
    }

    pub(crate) fn index(index: u64) -> Self {
        Self::put(Table::Meta, INDEX, index.to_string().into_bytes())
    }

    pub(crate) fn job(job: &Job) -> Self {
        Self::put(Table::Jobs, job_key(&job.id, job.version), encode(job))
    }

    pub(crate) fn forget_job(id: &str, version: u64) -> Self {
        Self::remove(Table::Jobs, job_key(id, version))
    }

    /// The job is to be forgotten once it has ended.
    pub(crate) fn purging(id: &str) -> Self {
        Self::put(Table::Meta, format!("{PURGE}{id}"), Vec::new())
    }

    /// It was, or shall not be any more.
    pub(crate) fn purged(id: &str) -> Self {
        Self::remove(Table::Meta, format!("{PURGE}{id}"))
    }

    pub(crate) fn forget_submission(id: &str) -> Self {
        Self::remove(Table::Submissions, id)
    }

    pub(crate) fn forget_evaluation(id: &str) -> Self {
        Self::remove(Table::Evaluations, id)
    }

    pub(crate) fn submission(job_id: &str, submission: &Submission) -> Self {
        Self::put(Table::Submissions, job_id, encode(submission))
    }

    pub(crate) fn evaluation(evaluation: &Evaluation) -> Self {
        Self::put(Table::Evaluations, &evaluation.id, encode(evaluation))
    }

    pub(crate) fn alloc(alloc: &AllocRecord) -> Self {
        Self::put(Table::Allocs, &alloc.id.0, encode(alloc))
    }

    pub(crate) fn spare(spare: &SpareRecord) -> Self {
        Self::put(Table::Spares, &spare.id.0, encode(spare))
    }

    /// It is gone, or an allocation's.
    pub(crate) fn forget_spare(id: &AllocId) -> Self {
        Self::remove(Table::Spares, &id.0)
    }

    pub(crate) fn task(id: &TaskId, record: &TaskRecord) -> Self {
        Self::put(Table::Tasks, id.to_string(), encode(record))
    }

    pub(crate) fn snapshot(task: &Task) -> Self {
        Self::put(Table::Snapshots, task.id.to_string(), encode(task))
    }

    pub(crate) fn log_position(id: &TaskId, position: &LogPosition) -> Self {
        Self::put(Table::LogPositions, id.to_string(), encode(position))
    }

    /// Removes all that is known of an allocation.
    pub(crate) fn forget_alloc<'a>(id: &AllocId, tasks: impl Iterator<Item = &'a String>) -> Vec<Self> {
        let mut writes = vec![Self::remove(Table::Allocs, &id.0)];
        for task in tasks {
            let key = format!("{id}/{task}");
            writes.push(Self::remove(Table::Tasks, &key));
            writes.push(Self::remove(Table::LogPositions, &key));
            writes.push(Self::remove(Table::Snapshots, key));
        }
        writes
    }
}
