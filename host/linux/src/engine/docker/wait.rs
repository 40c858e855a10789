//! Waiting for a container's end, across restarts of the engine.

use std::sync::Arc;

use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    workload::{ExitStatus, RunState},
};

use super::{Docker, connect::Backoff, inspect::run_state, owner::Owner};

impl Docker {
    pub(super) async fn wait_container(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        let owner = self.own_patiently(caller, id).await?;
        self.wait_cause(&owner, id).await
    }

    /// As `own`, but an engine that is away is waited for.
    pub(super) async fn own_patiently(&self, caller: &Caller, id: &str) -> Result<Arc<Owner>> {
        let mut pause = Backoff::default();
        loop {
            match self.own(caller, id).await {
                Err(error) if error.is_transient() => pause.wait().await,
                owner => return owner,
            }
        }
    }

    /// Waits for an own container. The engine wakes us; how it ended is then read from its state. While the engine is
    /// away it is asked again until it is back.
    pub(super) async fn wait_end(&self, id: &str) -> Result<ExitStatus> {
        let mut pause = Backoff::default();
        loop {
            match self.end_of(id).await {
                Ok(Some(status)) => return Ok(status),
                // It was never started, or was started again meanwhile: ask again, not too often.
                Ok(None) => pause.wait().await,
                Err(error) if error.is_transient() => {
                    tracing::debug!(container = id, %error, "waiting for the engine to answer again");
                    pause.wait().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn end_of(&self, id: &str) -> Result<Option<ExitStatus>> {
        // What it says of the exit is not all of it: it is our reason to look.
        let ended = self.engine.be_told(&format!("/containers/{id}/wait?condition=not-running")).await;
        if ended.map_err(|error| self.when_gone(id, error))?.is_empty() {
            return Err(HostError::Unavailable("Docker Engine ended a wait without an answer".into()));
        }
        match run_state(&self.look(id).await?.state.unwrap_or_default()) {
            RunState::Exited(status) => Ok(Some(status)),
            _ => Ok(None),
        }
    }
}
