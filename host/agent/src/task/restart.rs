//! Whether a task that ended or could not start is started again, and when. Pure.

use std::time::Duration;

use longshore_core::workload::ExitStatus;
use longshore_job::model::{JobKind, Lifecycle, LifecycleHook, RestartMode, RestartPolicy, format_duration};
use serde::{Deserialize, Serialize};

/// Why a task is usually restarted.
pub(crate) const WITHIN_POLICY: &str = "Restart within policy";

/// Most of a delay that is added to it at random.
const JITTER: f64 = 0.25;

/// Restarts so far in the current interval: the tracker's memory, journalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestartCount {
    /// How many.
    attempts: u32,
    /// When the interval began, milliseconds of the tracker's clock (Unix time).
    interval_start_ms: u64,
}

/// Why a task is not running.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// It was killed on request, or with its group.
    Killed,
    /// A person asked for a restart.
    RestartRequested,
    /// It could not be started.
    StartFailed {
        /// Whether the same start may succeed later.
        recoverable: bool,
    },
    /// It ended.
    Exited(ExitStatus),
}

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It stays dead, and that is no failure.
    Terminated(String),
    /// It stays dead, and that is a failure.
    Fail(String),
    /// It starts again after a delay.
    Restart(Duration, String),
    /// It was killed.
    Killed,
}

/// The rules for one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestartRules {
    policy: RestartPolicy,
    /// Whether it starts again after success, too.
    on_success: bool,
}

impl RestartRules {
    /// The rules of a task's policy, its job's kind and its place in the group.
    pub(crate) fn new(policy: RestartPolicy, kind: JobKind, lifecycle: Option<&Lifecycle>) -> Self {
        let on_success = match lifecycle {
            None => !kind.ends_on_success(),
            Some(Lifecycle { hook: LifecycleHook::Poststop, .. }) => false,
            Some(Lifecycle { sidecar, .. }) => *sidecar,
        };
        Self { policy, on_success }
    }

    /// Decides, and counts the attempt. `now_ms` is Unix time, `random` is in `0..1`.
    pub(crate) fn decide(&self, count: &mut RestartCount, ending: &Ending, now_ms: u64, random: f64) -> Decision {
        match ending {
            Ending::Killed => return Decision::Killed,
            Ending::RestartRequested => return Decision::Restart(Duration::ZERO, String::new()),
            _ => {}
        }
        let success = matches!(ending, Ending::Exited(status) if status.success());
        if self.policy.attempts == 0 {
            let reason = "Policy allows no restarts".to_owned();
            return if success && !self.on_success { Decision::Terminated(reason) } else { Decision::Fail(reason) };
        }
        if matches!(ending, Ending::StartFailed { recoverable: false }) {
            return Decision::Fail("Error was unrecoverable".into());
        }
        if success && !self.on_success {
            return Decision::Terminated("Restart unnecessary as task terminated successfully".into());
        }
        self.count_attempt(count, now_ms, random)
    }

    fn count_attempt(&self, count: &mut RestartCount, now_ms: u64, random: f64) -> Decision {
        let interval_ms = u64::try_from(self.policy.interval.as_millis()).unwrap_or(u64::MAX);
        if count.attempts == 0 || now_ms > count.interval_start_ms.saturating_add(interval_ms) {
            *count = RestartCount { attempts: 0, interval_start_ms: now_ms };
        }
        count.attempts = count.attempts.saturating_add(1);
        if count.attempts <= self.policy.attempts {
            let delay = self.policy.delay.mul_f64(1.0 + JITTER * random.clamp(0.0, 1.0));
            return Decision::Restart(delay, WITHIN_POLICY.into());
        }
        match self.policy.mode {
            RestartMode::Fail => Decision::Fail(format!(
                "Exceeded allowed attempts {} in interval {} and mode is \"fail\"",
                self.policy.attempts,
                format_duration(self.policy.interval)
            )),
            RestartMode::Delay => {
                let left = count.interval_start_ms.saturating_add(interval_ms).saturating_sub(now_ms);
                let reason = "Exceeded allowed attempts, applying a delay".into();
                Decision::Restart(Duration::from_millis(left), reason)
            }
        }
    }
}

#[cfg(test)]
#[path = "restart_tests.rs"]
mod tests;
