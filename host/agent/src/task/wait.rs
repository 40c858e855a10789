//! Until a running task ends.

use std::{sync::Arc, time::Duration};

use longshore_core::{
    driver::{Started, Watch},
    error::HostError,
    workload::{ExitStatus, RunState},
};
use tokio::time::sleep;

use super::{Live, output::Rotator};
use crate::{alloc::dir, shared::Shared};

/// Wait before the machine is asked again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often in a row an answer that makes no sense is taken for a hiccup.
const PATIENCE: u32 = 5;
/// Shortest time between two looks at a remote task.
const MIN_POLL: Duration = Duration::from_millis(100);

/// How the wait for a task ended.
pub(crate) enum End {
    /// The task ended.
    Exited(ExitStatus),
    /// The task is not there any more.
    Lost(String),
    /// The driver gave it a new handle; go on waiting.
    NewHandle(Started),
}

/// Waits for the end of a task. Cancel-safe.
pub(crate) async fn for_end(shared: &Shared, live: &Live) -> End {
    let mut pause = RETRY.0;
    let mut nonsense = 0;
    loop {
        let error = match look(shared, live).await {
            Ok(Some(end)) => return end,
            Ok(None) => {
                (pause, nonsense) = (RETRY.0, 0);
                continue;
            }
            Err(error) => error,
        };
        match &error {
            HostError::NotFound(what) => return End::Lost(what.clone()),
            error if error.is_transient() => {}
            _ => nonsense += 1,
        }
        if nonsense >= PATIENCE {
            return End::Lost(error.to_string());
        }
        tracing::warn!(task = %live.task.id, %error, "cannot watch a task; trying again");
        sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

async fn look(shared: &Shared, live: &Live) -> Result<Option<End>, HostError> {
    let backends = &shared.backends;
    let absent = |what: &str| HostError::Unavailable(format!("this host has no {what}"));
    let status = match &live.started.watch {
        Watch::Container(id) => {
            backends.containers.as_ref().ok_or_else(|| absent("container engine"))?.wait(&live.caller(), id).await?
        }
        Watch::Process(id) => {
            backends.processes.as_ref().ok_or_else(|| absent("processes"))?.wait(&live.caller(), id).await?
        }
        Watch::Component(id) => {
            backends.components.as_ref().ok_or_else(|| absent("components"))?.wait(&live.caller(), id).await?
        }
        Watch::Poll(every_ms) => return poll(shared, live, *every_ms).await,
    };
    Ok(Some(End::Exited(status)))
}

async fn poll(shared: &Shared, live: &Live, every_ms: u32) -> Result<Option<End>, HostError> {
    sleep(Duration::from_millis(every_ms.into()).max(MIN_POLL)).await;
    let driver = live.driver(shared).map_err(|error| HostError::Unavailable(error.to_string()))?;
    let seen = driver.poll(&live.task, &live.started.handle).await;
    let seen = seen.map_err(|error| match error.reason() {
        Some(reason) => reason.clone(),
        None => HostError::Unavailable(error.to_string()),
    })?;
    if !seen.output.is_empty() && !live.task.logs.disabled {
        keep(shared, live, &seen.output);
    }
    match (seen.state, seen.handle) {
        (RunState::Exited(status), _) => Ok(Some(End::Exited(status))),
        (_, Some(handle)) => Ok(Some(End::NewHandle(Started { handle, ..Started::clone(&live.started) }))),
        _ => Ok(None),
    }
}

/// Appends a remote task's output. Its position is in the driver's handle, which is journalled next.
fn keep(shared: &Shared, live: &Live, output: &[(longshore_core::workload::OutputStream, Vec<u8>)]) {
    let task = &live.task;
    let mut position = shared.board.log_position(&task.id);
    let kept = dir::open(&shared.config, &task.id.alloc.0, "alloc/logs").and_then(|logs| {
        let mut rotator = Rotator::resume(logs, &task.id.task, &task.logs, &position)?;
        for (stream, data) in output {
            rotator.write(*stream, data)?;
        }
        (position.stdout, position.stderr) = rotator.lengths();
        Ok(())
    });
    if let Err(error) = kept {
        tracing::error!(task = %task.id, %error, "output of a task was dropped");
    }
    shared.board.set_log_position(&task.id, position);
}

impl Live {
    /// The same task with another handle.
    pub(crate) fn with(&self, started: Started) -> Self {
        Self { started: Arc::new(started), ..self.clone() }
    }
}
