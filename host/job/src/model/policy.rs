//! When tasks start, where, and what happens when they end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{JobKind, nanoseconds};

/// A condition on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Constraint {
    /// Left side, usually an attribute: `${attr.kernel.name}`.
    #[serde(rename = "LTarget")]
    pub left: String,
    /// `=`, `!=`, `<`, `regexp`, `version`, `distinct_hosts`, …
    #[serde(rename = "Operand")]
    pub operator: String,
    /// Right side.
    #[serde(rename = "RTarget")]
    pub right: String,
}

/// How often a task that ended is started again on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RestartPolicy {
    /// Restarts within one interval.
    pub attempts: u32,
    /// The interval in which attempts are counted.
    #[serde(with = "nanoseconds")]
    pub interval: Duration,
    /// Wait before each restart, to which up to a quarter is added at random.
    #[serde(with = "nanoseconds")]
    pub delay: Duration,
    /// What happens when the attempts are used up.
    pub mode: RestartMode,
    /// Whether a restart renders templates anew.
    pub render_templates: bool,
}

impl RestartPolicy {
    /// The default for a kind of job.
    pub fn for_kind(kind: JobKind) -> Self {
        let (attempts, interval) = if kind.ends_on_success() {
            (3, Duration::from_secs(24 * 3600))
        } else {
            (2, Duration::from_secs(30 * 60))
        };
        Self { attempts, interval, delay: Duration::from_secs(15), mode: RestartMode::Fail, render_templates: false }
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self::for_kind(JobKind::Service)
    }
}

/// What happens to a task whose restarts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestartMode {
    /// The allocation fails.
    #[default]
    Fail,
    /// The task is started again when the interval is over.
    Delay,
}

/// Makes a task run around the main tasks instead of being one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Lifecycle {
    /// When the task starts.
    pub hook: LifecycleHook,
    /// Whether it runs along with the main tasks; otherwise it is expected to end.
    #[serde(default)]
    pub sidecar: bool,
}

/// When a task with a lifecycle starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleHook {
    /// Before the main tasks, which wait for it to end with success (or, as a sidecar, to start).
    Prestart,
    /// Once all main tasks run.
    Poststart,
    /// Once all main tasks are dead, also when the job is stopped.
    Poststop,
}

/// How the allocations of a changed job replace the old ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct UpdateStrategy {
    /// Pause between replacements of a `system` job.
    #[serde(with = "nanoseconds")]
    pub stagger: Duration,
    /// Allocations replaced at a time; 0 replaces all at once.
    pub max_parallel: u32,
    /// `checks`, `task_states` or `manual`.
    pub health_check: String,
    /// How long an allocation must stay healthy to count as such.
    #[serde(with = "nanoseconds")]
    pub min_healthy_time: Duration,
    /// How long one allocation may take to become healthy.
    #[serde(with = "nanoseconds")]
    pub healthy_deadline: Duration,
    /// How long the deployment may take from one healthy allocation to the next; 0 means no limit.
    #[serde(with = "nanoseconds")]
    pub progress_deadline: Duration,
    /// Go back to the last stable version when the deployment fails.
    pub auto_revert: bool,
    /// Promote canaries once they are healthy.
    pub auto_promote: bool,
    /// New allocations started beside the old ones before any is replaced.
    pub canary: u32,
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        Self {
            stagger: Duration::from_secs(30),
            max_parallel: 1,
            health_check: "checks".into(),
            min_healthy_time: Duration::from_secs(10),
            healthy_deadline: Duration::from_secs(5 * 60),
            progress_deadline: Duration::from_secs(10 * 60),
            auto_revert: false,
            auto_promote: false,
            canary: 0,
        }
    }
}
