//! Restart and update policies.

use std::time::Duration;

use super::Report;
use crate::model::{Job, JobKind, RestartMode, RestartPolicy, TaskGroup, UpdateStrategy, format_duration};

const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);

impl Report {
    /// Of a group: what Nomad refuses. A task's own policy it takes as it is.
    pub(super) fn restart(&mut self, policy: &RestartPolicy, at: &str, of_group: bool) {
        let mut say = |at: String, summary: String| {
            if of_group { self.error(at, summary) } else { self.warning(at, summary) }
        };
        let RestartPolicy { attempts, interval, delay, .. } = *policy;
        if attempts == 0 && policy.mode == RestartMode::Delay {
            say(format!("{at}/Mode"), "Restart policy \"delay\" with 0 attempts is ambiguous".into());
        }
        if interval < SHORTEST_INTERVAL {
            let got = format_duration(interval);
            say(format!("{at}/Interval"), format!("Interval can not be less than 5s (got {got})"));
        }
        if delay.saturating_mul(attempts) > interval {
            let (interval, delay) = (format_duration(interval), format_duration(delay));
            say(
                format!("{at}/Attempts"),
                format!(
                    "Nomad can't restart the TaskGroup {attempts} times in an interval of \
                     {interval} with a delay of {delay}"
                ),
            );
        }
    }

    /// How allocations come to other machines.
    pub(super) fn moved(&mut self, job: &Job, group: &TaskGroup, at: &str) {
        if job.kind != JobKind::Service && group.migrate.is_some() {
            let kind = JobKind::NAMES[job.kind as usize];
            let at = if job.migrate.is_some() { "/Migrate".into() } else { format!("{at}/Migrate") };
            self.error(at, format!("Job type {kind:?} does not allow migrate block"));
        }
        let Some(policy) = &group.reschedule_policy else { return };
        if policy.attempts.unwrap_or(0) > 0 && policy.unlimited == Some(true) {
            let at = if job.reschedule.is_some() { "/Reschedule".into() } else { format!("{at}/ReschedulePolicy") };
            self.error(at, "If Attempts >0, Unlimited cannot also be set to true");
        }
    }

    pub(super) fn update(&mut self, kind: JobKind, update: &UpdateStrategy, at: &str) {
        if kind.ends_on_success() {
            let name = JobKind::NAMES[kind as usize];
            return self.error(at, format!("Job type {name:?} does not allow update block"));
        }
        if update.max_parallel == 0 {
            return;
        }
        if update.auto_promote && update.canary == 0 {
            self.error(format!("{at}/AutoPromote"), "Auto Promote requires a Canary count greater than zero");
        }
        let (minimum, healthy) = (update.min_healthy_time, update.healthy_deadline);
        if minimum >= healthy {
            self.error(
                format!("{at}/MinHealthyTime"),
                format!(
                    "Minimum healthy time must be less than healthy deadline: {} > {}",
                    format_duration(minimum),
                    format_duration(healthy)
                ),
            );
        }
        let progress = update.progress_deadline;
        if !progress.is_zero() && healthy >= progress {
            self.error(
                format!("{at}/HealthyDeadline"),
                format!(
                    "Healthy deadline must be less than progress deadline: {} > {}",
                    format_duration(healthy),
                    format_duration(progress)
                ),
            );
        }
        if update.stagger.is_zero() {
            self.error(format!("{at}/Stagger"), "Stagger must be greater than zero: 0s");
        }
    }
}
