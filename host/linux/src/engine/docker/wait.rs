//! Waiting for a container's end, across restarts of the engine.

use std::sync::Arc;

use bollard::models::{ContainerState, ContainerWaitResponse};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    workload::{ExitStatus, RunState},
};

use super::{
    Docker,
    connect::Backoff,
    inspect::{exit_status, run_state},
    owner::Owner,
};

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

    /// Waits for an own container. The engine wakes us; how it ended is then read from its state, or, where that tells of
    /// something later, from what the engine woke us with. While the engine is away it is asked again until it is back.
    pub(super) async fn wait_end(&self, id: &str) -> Result<ExitStatus> {
        let mut pause = Backoff::default();
        loop {
            match self.end_of(id).await {
                Ok(Some(status)) => return Ok(status),
                // It was never started: ask again, not too often.
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
        let said = ended.map_err(|error| self.when_gone(id, error))?;
        if said.is_empty() {
            return Err(HostError::Unavailable("Docker Engine ended a wait without an answer".into()));
        }
        let state = match self.look(id).await {
            Ok(seen) => seen.state.unwrap_or_default(),
            // Somebody has killed and removed it at once: the code is all that is left of it.
            Err(HostError::NotFound(what)) => return last_words(&said).map(Some).ok_or(HostError::NotFound(what)),
            Err(error) => return Err(error),
        };
        match run_state(&state) {
            RunState::Exited(status) => Ok(Some(status)),
            RunState::Created => Ok(None),
            // It is being removed, or somebody has started it again: it has ended all the same.
            _ => Ok(last_words(&said)),
        }
    }
}

/// How a container ended, from the answer to a wait: `{"StatusCode": 137}`.
fn last_words(said: &[u8]) -> Option<ExitStatus> {
    let answer: ContainerWaitResponse = serde_json::from_slice(said).ok()?;
    Some(exit_status(&ContainerState { exit_code: Some(answer.status_code), ..ContainerState::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_left_of_what_was_removed() {
        let status = last_words(br#"{"Error":null,"StatusCode":137}"#).unwrap();
        let message = "Docker container exited with non-zero exit code: 137";
        assert_eq!((status.exit_code, status.message.as_deref()), (137, Some(message)));
        assert_eq!(last_words(b"{}"), None);
    }
}
