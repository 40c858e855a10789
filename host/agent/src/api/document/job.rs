//! Jobs.

use std::collections::BTreeMap;

use longshore_job::{
    diff::{self, Change, Diff},
    model::Job,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Plan,
    jobs::task_fits_in_place,
    status::{self, JobStatus},
};

/// Body of `PUT /v1/jobs`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegisterRequest {
    /// The job document, as it was sent.
    pub job: Value,
    /// The text it was written as.
    pub submission: Option<Submission>,
    /// Refuse unless the job's modify index is `job_modify_index` (0: there is no such job).
    pub enforce_index: bool,
    /// See `enforce_index`.
    pub job_modify_index: u64,
}

/// Body of `PUT /v1/jobs/parse`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ParseRequest {
    /// The job file.
    #[serde(rename = "JobHCL")]
    pub job_hcl: String,
    /// Contents of a variable file.
    pub variables: String,
    /// Fill defaults; ours always are.
    pub canonicalize: bool,
}

/// Body of `PUT /v1/job/:id/plan` and `PUT /v1/validate/job`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlanRequest {
    /// The job document.
    pub job: Value,
    /// Of a plan: whether to answer what differs.
    pub diff: bool,
}

/// Answer of `PUT /v1/job/:id/plan`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlanResponse {
    /// To submit exactly what was planned: the index to check.
    pub job_modify_index: u64,
    /// What differs from the version that is known.
    pub diff: Option<Diff>,
    /// What would become of allocations.
    pub annotations: Annotations,
    /// Groups that could not be placed; such a job is refused instead.
    #[serde(rename = "FailedTGAllocs")]
    pub failed_tg_allocs: Option<BTreeMap<String, Value>>,
    /// None are made before they are needed.
    pub created_evals: Vec<Value>,
    /// What is suspicious but allowed.
    pub warnings: String,
}

/// What would become of allocations.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Annotations {
    /// By group.
    #[serde(rename = "DesiredTGUpdates")]
    pub desired_tg_updates: BTreeMap<String, DesiredUpdates>,
}

/// What would become of a group's allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DesiredUpdates {
    /// Nothing.
    pub ignore: u64,
    /// They are made.
    pub place: u64,
    /// None, on one machine.
    pub migrate: u64,
    /// They are stopped.
    pub stop: u64,
    /// The tasks go on.
    pub in_place_update: u64,
    /// They are stopped and made anew.
    pub destructive_update: u64,
    /// None are made.
    pub canary: u64,
    /// None, on one machine.
    pub preemptions: u64,
}

impl From<Plan> for PlanResponse {
    fn from(plan: Plan) -> Self {
        let mut diff = diff::diff(plan.known.as_deref(), &plan.job);
        for group in &mut diff.task_groups {
            annotate(group, &plan);
        }
        let desired = |updates: &crate::GroupUpdates| DesiredUpdates {
            ignore: updates.ignore,
            place: updates.place,
            stop: updates.stop,
            in_place_update: updates.in_place_update,
            destructive_update: updates.destructive_update,
            ..DesiredUpdates::default()
        };
        let desired = plan.groups.iter().map(|(name, updates)| (name.clone(), desired(updates))).collect();
        Self {
            job_modify_index: plan.job.job_modify_index,
            diff: Some(diff),
            annotations: Annotations { desired_tg_updates: desired },
            failed_tg_allocs: None,
            created_evals: Vec::new(),
            warnings: plan.warnings.join("\n"),
        }
    }
}

/// Says what follows from the changes of a group: for its allocations, its count and its tasks.
fn annotate(diff: &mut Diff, plan: &Plan) {
    let Some(updates) = plan.groups.get(&diff.name) else { return };
    let named = [
        ("create", updates.place),
        ("destroy", updates.stop),
        ("in-place update", updates.in_place_update),
        ("create/destroy update", updates.destructive_update),
        ("ignore", updates.ignore),
    ];
    let named = named.into_iter().filter(|(_, count)| *count > 0);
    diff.updates = Some(named.map(|(name, count)| (name.to_owned(), count)).collect());
    for field in diff.fields.iter_mut().flatten().filter(|field| field.name == "Count") {
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        let more = number(&field.new) > number(&field.old);
        field.annotations = Some(vec![if more { "forces create" } else { "forces destroy" }.to_owned()]);
    }
    for task in &mut diff.tasks {
        let find = |job: &Job| {
            let group = job.task_groups.iter().find(|group| group.name == diff.name)?;
            group.tasks.iter().find(|other| other.name == task.name).cloned()
        };
        let (was, is) = (plan.known.as_deref().and_then(find), find(&plan.job));
        let follows = match (diff.change, was, is) {
            (Change::Added, ..) => "forces create",
            (Change::Deleted, ..) => "forces destroy",
            (_, Some(was), Some(is)) if task_fits_in_place(&was, &is) => "forces in-place update",
            _ => "forces create/destroy update",
        };
        task.annotations = Some(vec![follows.to_owned()]);
    }
}

/// The text a job was submitted as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Submission {
    /// The source, as written.
    pub source: String,
    /// `hcl2` or `json`.
    pub format: String,
    /// Values of `-var`.
    pub variable_flags: Option<BTreeMap<String, String>>,
    /// Contents of variable files.
    pub variables: String,
}

/// What is wrong with a job, one entry a problem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ValidateResponse {
    /// Always: drivers publish the schema of their configuration.
    pub driver_config_validated: bool,
    /// One line a problem.
    pub validation_errors: Vec<String>,
    /// All of them together; empty when the job is good.
    pub error: String,
    /// What is suspicious but allowed.
    pub warnings: String,
    /// The same problems with the place of each. Ours alone; other clients ignore it.
    pub problems: Vec<Validation>,
}

/// One problem and where in the job document it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Validation {
    /// JSON pointer into the job document: `/TaskGroups/0/Tasks/0/Config/image`; empty for the job as a whole.
    pub path: String,
    /// What is wrong and what would be right, one line.
    pub message: String,
}

/// One job of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
pub struct JobStub {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Empty: no job has a parent here.
    #[serde(rename = "ParentID")]
    pub parent_id: String,
    /// Its name.
    pub name: String,
    /// `default`.
    pub namespace: String,
    /// As written.
    pub datacenters: Vec<String>,
    /// `service`, `batch`, `system`, `sysbatch`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// 1 to 100.
    pub priority: i64,
    /// Never, here.
    pub periodic: bool,
    /// Never, here.
    pub parameterized_job: bool,
    /// Whether it was stopped.
    pub stop: bool,
    /// `pending`, `running`, `dead`.
    pub status: String,
    /// One line, or empty.
    pub status_description: String,
    /// How its allocations are.
    pub job_summary: JobSummary,
    /// Index at which it first appeared.
    pub create_index: u64,
    /// Index of its last change.
    pub modify_index: u64,
    /// Index of the last change of the job itself.
    pub job_modify_index: u64,
    /// Unix nanoseconds.
    pub submit_time: i64,
}

/// How the allocations of a job are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobSummary {
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// `default`.
    pub namespace: String,
    /// By group.
    pub summary: BTreeMap<String, GroupSummary>,
    /// Zeroes: no job has children here.
    pub children: Children,
    /// Index at which the job first appeared.
    pub create_index: u64,
    /// Index of its last change.
    pub modify_index: u64,
}

/// Allocations of a group by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GroupSummary {
    /// Wanted and not yet made.
    pub queued: u32,
    /// Ended well.
    pub complete: u32,
    /// Ended with failure.
    pub failed: u32,
    /// With a running task.
    pub running: u32,
    /// Made, no task runs yet.
    pub starting: u32,
    /// None, on one machine.
    pub lost: u32,
    /// None, on one machine.
    pub unknown: u32,
}

/// Jobs made from a job.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Children {
    /// Waiting.
    pub pending: u32,
    /// Running.
    pub running: u32,
    /// Over.
    pub dead: u32,
}

/// Answer of `GET /v1/job/:id/versions`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Versions {
    /// The newest first.
    pub versions: Vec<Job>,
    /// None are computed.
    pub diffs: Option<Vec<Value>>,
    /// Index of the newest.
    pub index: u64,
}

impl From<&JobStatus> for JobStub {
    fn from(status: &JobStatus) -> Self {
        let job = &status.job;
        Self {
            id: job.id.clone(),
            parent_id: String::new(),
            name: job.name.clone(),
            namespace: job.namespace.clone(),
            datacenters: job.datacenters.clone(),
            kind: kind(job),
            priority: job.priority,
            periodic: false,
            parameterized_job: false,
            stop: job.stop,
            status: job.status.clone(),
            status_description: String::new(),
            job_summary: status.into(),
            create_index: job.create_index,
            modify_index: job.modify_index,
            job_modify_index: job.job_modify_index,
            submit_time: job.submit_time,
        }
    }
}

impl From<&JobStatus> for JobSummary {
    fn from(status: &JobStatus) -> Self {
        let job = &status.job;
        Self {
            job_id: job.id.clone(),
            namespace: job.namespace.clone(),
            summary: status.summary.iter().map(|(group, summary)| (group.clone(), summary.into())).collect(),
            children: Children::default(),
            create_index: job.create_index,
            modify_index: job.modify_index,
        }
    }
}

impl From<&status::GroupSummary> for GroupSummary {
    fn from(summary: &status::GroupSummary) -> Self {
        let status::GroupSummary { queued, complete, failed, running, starting } = *summary;
        Self { queued, complete, failed, running, starting, lost: 0, unknown: 0 }
    }
}

impl From<status::Submission> for Submission {
    fn from(submission: status::Submission) -> Self {
        let status::Submission { source, format, variable_flags, variables } = submission;
        Self { source, format, variable_flags: Some(variable_flags), variables }
    }
}

impl From<Submission> for status::Submission {
    fn from(submission: Submission) -> Self {
        let Submission { source, format, variable_flags, variables } = submission;
        Self { source, format, variable_flags: variable_flags.unwrap_or_default(), variables }
    }
}

/// The type of a job by the name job files use.
pub(super) fn kind(job: &Job) -> String {
    serde_json::to_value(job.kind).ok().and_then(|kind| kind.as_str().map(String::from)).unwrap_or_default()
}
