//! Evaluations: what a submission or a stop led to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ZERO_TIME, nanoseconds};
use crate::status;

/// One evaluation. It is complete when it is answered: on one machine decisions are made at once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    /// A UUID.
    #[serde(rename = "ID")]
    pub id: String,
    /// `default`.
    pub namespace: String,
    /// 50.
    pub priority: i64,
    /// The job's type.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `job-register`, `job-deregister`, `alloc-stop`.
    pub triggered_by: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The job's index then.
    pub job_modify_index: u64,
    /// `complete`.
    pub status: String,
    /// Empty.
    pub status_description: String,
    /// 0: nothing is waited for.
    pub wait: i64,
    /// Go's zero time.
    pub wait_until: String,
    /// Empty: none follows.
    pub next_eval: String,
    /// Empty.
    pub previous_eval: String,
    /// Empty: none is blocked.
    pub blocked_eval: String,
    /// Empty: there are no deployments yet.
    #[serde(rename = "DeploymentID")]
    pub deployment_id: String,
    /// Groups that could not be placed; null: such a job is refused at once.
    #[serde(rename = "FailedTGAllocs")]
    pub failed_groups: Option<BTreeMap<String, Value>>,
    /// Zeroes.
    pub queued_allocations: BTreeMap<String, u32>,
    /// Index of its creation.
    pub create_index: u64,
    /// Index of its only change.
    pub modify_index: u64,
    /// Unix nanoseconds.
    pub create_time: i64,
    /// Unix nanoseconds.
    pub modify_time: i64,
}

/// The answer to a change of a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Acknowledged {
    /// What it led to.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// Its index.
    pub eval_create_index: u64,
    /// The job's index after the change.
    pub job_modify_index: u64,
    /// What is suspicious but allowed; one a line.
    pub warnings: String,
    /// The state's index.
    pub index: u64,
    /// 0.
    pub last_contact: u64,
    /// True.
    pub known_leader: bool,
}

impl From<&status::Evaluation> for Evaluation {
    fn from(evaluation: &status::Evaluation) -> Self {
        let time = nanoseconds(evaluation.create_time);
        Self {
            id: evaluation.id.clone(),
            namespace: "default".into(),
            priority: 50,
            kind: evaluation.job_type.clone(),
            triggered_by: evaluation.triggered_by.clone(),
            job_id: evaluation.job_id.clone(),
            job_modify_index: evaluation.job_modify_index,
            status: evaluation.status.clone(),
            wait_until: ZERO_TIME.into(),
            create_index: evaluation.create_index,
            modify_index: evaluation.create_index,
            create_time: time,
            modify_time: time,
            ..Self::default()
        }
    }
}

impl From<&status::Evaluation> for Acknowledged {
    fn from(evaluation: &status::Evaluation) -> Self {
        Self {
            eval_id: evaluation.id.clone(),
            eval_create_index: evaluation.create_index,
            job_modify_index: evaluation.job_modify_index,
            warnings: String::new(),
            index: evaluation.create_index,
            last_contact: 0,
            known_leader: true,
        }
    }
}
