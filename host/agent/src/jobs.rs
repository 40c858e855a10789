//! Jobs and what they ask for.

use std::{collections::BTreeMap, sync::Arc};

use longshore_job::model::Job;

use crate::{
    board::Board,
    status::{ClientStatus, Desired, GroupSummary, JobStatus},
};

/// A job with its allocations counted.
pub(crate) fn job_status(job: Arc<Job>, board: &Board) -> JobStatus {
    let mut summary: BTreeMap<String, GroupSummary> =
        job.task_groups.iter().map(|group| (group.name.clone(), GroupSummary::default())).collect();
    let mut open = false;
    for alloc in board.allocs_of_job(&job.id) {
        open |= !alloc.finished && alloc.desired == Desired::Run;
        let Some(counts) = summary.get_mut(&alloc.group) else { continue };
        match alloc.status {
            ClientStatus::Pending => counts.starting += 1,
            ClientStatus::Running => counts.running += 1,
            ClientStatus::Complete => counts.complete += 1,
            ClientStatus::Failed => counts.failed += 1,
        }
    }
    let running = summary.values().any(|counts| counts.running > 0);
    let status = if job.stop || !open {
        "dead"
    } else if running {
        "running"
    } else {
        "pending"
    };
    let mut shown = Job::clone(&job);
    shown.status = status.into();
    JobStatus { job: Arc::new(shown), summary }
}
