//! Events of tasks, with Nomad's types and texts.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use longshore_core::{record::PROGRESS_TOTAL, workload::ExitStatus};
use longshore_job::model::format_duration;

use super::restart::WITHIN_POLICY;
use crate::status::{TaskEvent, TaskState};

/// Events kept for each task.
const KEPT: usize = 10;

/// Adds an event; past the tenth the oldest goes. Of reports of progress only the newest is kept.
pub(crate) fn push(state: &mut TaskState, event: TaskEvent) {
    let reports = |event: &TaskEvent| event.details.contains_key(PROGRESS_TOTAL);
    if reports(&event) && state.events.last().is_some_and(reports) {
        state.events.pop();
    }
    if state.events.len() >= KEPT {
        state.events.remove(0);
    }
    state.events.push(event);
}

fn event(kind: &str, message: impl Into<String>) -> TaskEvent {
    TaskEvent { kind: kind.to_owned(), time: SystemTime::now(), message: message.into(), details: BTreeMap::new() }
}

impl TaskEvent {
    fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.details.insert(key.to_owned(), value.to_string());
        self
    }
}

pub(crate) fn received() -> TaskEvent {
    event("Received", "Task received by client")
}

pub(crate) fn building_directory() -> TaskEvent {
    event("Task Setup", "Building Task Directory").with("message", "Building Task Directory")
}

/// The task waits for something outside it.
pub(crate) fn waiting(what: &str) -> TaskEvent {
    event("Task Setup", what).with("message", what)
}

pub(crate) fn driver(message: &str, annotations: &BTreeMap<String, String>) -> TaskEvent {
    let details = annotations.clone();
    TaskEvent { details, ..event("Driver", message) }.with("driver_message", message)
}

pub(crate) fn driver_failure(error: &str) -> TaskEvent {
    event("Driver Failure", error).with("driver_error", error)
}

pub(crate) fn setup_failure(error: &str) -> TaskEvent {
    event("Setup Failure", error).with("setup_error", error)
}

pub(crate) fn failed_validation(error: &str) -> TaskEvent {
    event("Failed Validation", error).with("validation_error", error)
}

pub(crate) fn started() -> TaskEvent {
    event("Started", "Task started by client")
}

pub(crate) fn terminated(status: &ExitStatus) -> TaskEvent {
    let mut message = format!("Exit Code: {}", status.exit_code);
    if status.signal != 0 {
        message += &format!(", Signal: {}", status.signal);
    }
    if let Some(text) = &status.message {
        message += &format!(", Exit Message: {text:?}");
    }
    event("Terminated", message)
        .with("exit_code", status.exit_code)
        .with("signal", status.signal)
        .with("oom_killed", status.oom_killed)
        .with("exit_message", status.message.as_deref().unwrap_or_default())
}

pub(crate) fn restarting(reason: &str, delay: Duration) -> TaskEvent {
    let delay_text = format_duration(Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)));
    let message = match reason {
        "" | WITHIN_POLICY => format!("Task restarting in {delay_text}"),
        reason => format!("{reason} - Task restarting in {delay_text}"),
    };
    event("Restarting", message).with("restart_reason", reason).with("start_delay", delay.as_nanos())
}

pub(crate) fn not_restarting(reason: &str) -> TaskEvent {
    let message = if reason.is_empty() { "Task exceeded restart policy" } else { reason };
    event("Not Restarting", message).with("restart_reason", reason).with("fails_task", true)
}

pub(crate) fn killing(grace: Duration) -> TaskEvent {
    let message = format!("Sent interrupt. Waiting {} before force killing", format_duration(grace));
    event("Killing", message).with("kill_timeout", format_duration(grace))
}

pub(crate) fn killed(error: Option<&str>) -> TaskEvent {
    match error {
        None => event("Killed", "Task successfully killed"),
        Some(error) => event("Killed", error).with("kill_error", error),
    }
}

pub(crate) fn signaling(signal: &str) -> TaskEvent {
    event("Signaling", format!("Task being sent signal {signal}")).with("task_signal", signal)
}

pub(crate) fn restart_signaled(reason: &str) -> TaskEvent {
    event("Restart Signaled", reason).with("restart_reason", reason)
}

pub(crate) fn sibling_failed(task: &str) -> TaskEvent {
    event("Sibling Task Failed", format!("Task's sibling {task:?} failed")).with("failed_sibling", task)
}

pub(crate) fn leader_dead() -> TaskEvent {
    event("Leader Task Dead", "Leader Task in Group dead")
}

pub(crate) fn main_tasks_dead() -> TaskEvent {
    event("Main Tasks Dead", "Main tasks in the group died")
}

pub(crate) fn shutdown_delay(delay: Duration) -> TaskEvent {
    let text = format!("Waiting for shutdown_delay of {} before killing the task.", format_duration(delay));
    event("Waiting for shutdown delay", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_events_are_kept_and_one_report_of_progress() {
        let mut state = TaskState::default();
        push(&mut state, received());
        for number in 1..=20 {
            let done = BTreeMap::from([(PROGRESS_TOTAL.to_owned(), "20".to_owned())]);
            push(&mut state, driver(&format!("{number} of 20"), &done));
        }
        let told: Vec<_> = state.events.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(told, ["Task received by client", "20 of 20"]);
        for number in 0..20 {
            push(&mut state, waiting(&number.to_string()));
        }
        assert_eq!((state.events.len(), state.events[0].message.as_str()), (10, "10"));
    }
}
