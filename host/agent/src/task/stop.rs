//! Ending a running task, and removing what it left.

use std::{future::Future, pin::Pin, time::Duration};

use longshore_core::{
    driver::{DriverError, StopRequest, Watch},
    error::HostError,
    workload::ExitStatus,
};
use tokio::time::{sleep, timeout};

use super::{Live, caller, events, runner::TaskRunner, wait::End};

/// How long the end of a task may take to be noticed after its driver said that it ended.
const NOTICE: Duration = Duration::from_secs(5);
/// Wait before a failed call is made again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// How often a call is made that fails for reasons that do not pass.
const ATTEMPTS: u32 = 3;

/// The wait for a task's end, while something else goes on.
pub(super) type Waiting<'a> = Pin<Box<dyn Future<Output = End> + Send + 'a>>;

/// Wait between two attempts, growing.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(RETRY.0)
    }

    pub(super) async fn pause(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY.1);
    }
}

/// Whether the same call may succeed later with nobody changing the task.
pub(super) fn passes(error: &DriverError) -> bool {
    match error {
        DriverError::Refused { reason, .. } => reason.is_transient(),
        DriverError::TimedOut { .. } | DriverError::Unknown { .. } => true,
        DriverError::Trapped { .. } | DriverError::Unsupported { .. } => false,
    }
}

impl TaskRunner {
    /// Waits the shutdown delay, signals a running task and waits for its end.
    pub(super) async fn kill(&self, live: &Live, mut waiting: Waiting<'_>) -> End {
        let spec = self.spec();
        let delay = spec.shutdown_delay.max(self.group().shutdown_delay);
        if !delay.is_zero() {
            self.event(events::shutdown_delay(delay));
            if let Ok(end) = timeout(delay, &mut waiting).await {
                return end;
            }
        }
        let grace = spec.kill_timeout.min(self.shared.config.max_kill_timeout);
        self.event(events::killing(grace));
        let signal = crate::interpolate::Variables::of_task(&live.task).text(&spec.kill_signal);
        let request = StopRequest {
            signal: (!signal.is_empty()).then_some(signal),
            grace_ms: u32::try_from(grace.as_millis()).unwrap_or(u32::MAX),
        };
        if matches!(live.started.watch, Watch::Poll(_)) {
            // Looks at a remote task may answer new handles all the time: they wait until it was told to stop.
            self.stop_driver(live, &request).await;
        } else {
            tokio::select! {
                biased;
                end = &mut waiting => return end,
                () = self.stop_driver(live, &request) => {}
            }
        }
        // Stopped, says the driver. If nothing is noticed of it, what is left is removed next.
        timeout(NOTICE, waiting).await.unwrap_or_else(|_| {
            let message = Some("its end was not seen; what is left of it is removed".to_owned());
            End::Exited(ExitStatus { exit_code: -1, message, ..ExitStatus::default() })
        })
    }

    /// Asks the driver to stop it; goes on asking while that may help. A signal that the driver refuses is not what keeps
    /// a task running: then the usual one is sent.
    async fn stop_driver(&self, live: &Live, request: &StopRequest) {
        let mut backoff = Backoff::new();
        let mut attempts = 0;
        let mut request = request.clone();
        loop {
            let _one_by_one = self.control.live.lock().await;
            let result = match live.driver(&self.shared) {
                Ok(driver) => driver.stop(&live.task, &live.started.handle, &request).await,
                Err(error) => Err(error),
            };
            drop(_one_by_one);
            let Err(error) = result else { return };
            attempts += 1;
            self.event(events::driver_failure(&error.to_string()));
            if matches!(error.reason(), Some(HostError::Invalid(_))) && request.signal.take().is_some() {
                continue;
            }
            if !passes(&error) && attempts >= ATTEMPTS {
                return;
            }
            backoff.pause().await;
        }
    }

    /// Removes all that a task left. Returns when that is done, or cannot be.
    pub(super) async fn destroy(&self, handle: Option<&[u8]>) {
        let Some((driver_name, task)) = self.snapshot.clone() else { return };
        let mut backoff = Backoff::new();
        let mut attempts = 0;
        loop {
            let result = match self.shared.driver(&driver_name) {
                Ok(driver) => driver.destroy(&task, handle).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(()) => return,
                Err(DriverError::Refused { reason: HostError::NotFound(_), .. }) => return,
                Err(error) => error,
            };
            attempts += 1;
            tracing::warn!(task = %self.id, %error, "cannot remove what a task left");
            if attempts == 1 {
                self.event(events::driver_failure(&error.to_string()));
            }
            if !passes(&error) && attempts >= ATTEMPTS {
                tracing::error!(task = %self.id, %error, "giving up: something of this task may be left on the machine");
                return;
            }
            backoff.pause().await;
        }
    }

    /// Gives back the ports that the task's driver added for it. What remains of them goes with the allocation.
    pub(super) async fn end_added_ports(&self) {
        let alloc = self.shared.board.alloc(&self.id.alloc);
        let is_owner =
            alloc.is_some_and(|alloc| alloc.added_ports.iter().any(|added| added.tasks.contains(&self.id.task)));
        let Some((driver, task)) = self.snapshot.as_ref().filter(|_| is_owner) else { return };
        let backends = &self.shared.backends;
        let (ports, networks) = (backends.ports.as_deref(), backends.networks.as_deref());
        if let Err(error) = backends.added_ports.end(ports, networks, &caller(driver, task)).await {
            tracing::warn!(task = %self.id, %error, "ports that were added for a task stay with its allocation");
        }
    }
}
