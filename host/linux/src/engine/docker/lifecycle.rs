//! Starting, signalling, stopping and removing.

use std::time::Duration;

use bollard::{
    models::ContainerUpdateBody,
    query_parameters::{KillContainerOptions, RemoveContainerOptions, StartContainerOptions, StopContainerOptions},
};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
};

use super::{
    Docker,
    body::cpu_list,
    connect::Backoff,
    owner::{is_id, not_found},
};
use crate::{cgroup, failure::blocking, sources::Source};

/// How long the engine may take, beyond the grace, to end a container.
const SLACK: Duration = Duration::from_secs(30);

impl Docker {
    pub(super) async fn start_container(&self, caller: &Caller, id: &str) -> Result<()> {
        let owner = self.own(caller, id).await?;
        if !owner.sources.is_empty() {
            blocking(move || owner.sources.iter().try_for_each(Source::check_again)).await?;
        }
        let started =
            self.engine.retry(|client| async move { client.start_container(id, None::<StartContainerOptions>).await });
        let named = |error: String| format!("Failed to start container {}: {error}", id.get(..12).unwrap_or(id));
        started.await.map_err(|error| match error {
            HostError::NotFound(said) if said.starts_with("No such container") => self.gone(id),
            // The engine calls a missing program "not found", too.
            HostError::NotFound(said) | HostError::Invalid(said) => HostError::Invalid(named(said)),
            HostError::Other(said) => HostError::Other(named(said)),
            HostError::Unavailable(said) => HostError::Unavailable(named(said)),
            HostError::Conflict(said) => HostError::Conflict(named(said)),
            error => error,
        })
    }

    pub(super) async fn stop_container(
        &self,
        caller: &Caller,
        id: &str,
        signal: Option<&str>,
        grace_ms: u32,
    ) -> Result<()> {
        self.own(caller, id).await?.tell_to_end();
        let Some(signal) = signal else { return self.stop_by_engine(id, grace_ms).await };
        self.kill(id, &signal_name(signal)?).await?;
        let grace = Duration::from_millis(grace_ms.into());
        if let Ok(ended) = tokio::time::timeout(grace, self.wait_end(id)).await {
            return ended.map(drop);
        }
        self.kill(id, "SIGKILL").await?;
        let ended = tokio::time::timeout(SLACK, self.wait_end(id)).await;
        ended.map_err(|_| HostError::Timeout(format!("container {id} still runs {SLACK:?} after SIGKILL")))?.map(drop)
    }

    /// The image's own signal, then SIGKILL. The engine counts in whole seconds: the grace is rounded up.
    async fn stop_by_engine(&self, id: &str, grace_ms: u32) -> Result<()> {
        let seconds = i32::try_from(grace_ms.div_ceil(1000)).unwrap_or(i32::MAX);
        let patience = Duration::from_millis(grace_ms.into()) + SLACK;
        let stopped = self.engine.retry(|client| async move {
            let options = StopContainerOptions { t: Some(seconds), signal: None };
            client.with_timeout(patience).stop_container(id, Some(options)).await
        });
        stopped.await.map_err(|error| self.when_gone(id, error))
    }

    pub(super) async fn signal_container(&self, caller: &Caller, id: &str, name: &str) -> Result<()> {
        let owner = self.own(caller, id).await?;
        let name = signal_name(name)?;
        if name == "SIGKILL" {
            owner.tell_to_end();
        }
        let options = KillContainerOptions { signal: name };
        let sent = self.engine.call(|client| async move { client.kill_container(id, Some(options)).await });
        sent.await.map_err(|error| self.when_gone(id, error))
    }

    /// Sends a signal; not running is success.
    async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        let sent = self.engine.retry(|client| async move {
            client.kill_container(id, Some(KillContainerOptions { signal: signal.into() })).await
        });
        match sent.await {
            Err(HostError::Conflict(_)) => Ok(()),
            sent => sent.map_err(|error| self.when_gone(id, error)),
        }
    }

    /// Moves a container to other processors, if it is not on them already; one that was never moved is on all.
    pub(super) async fn confine_container(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()> {
        self.own(caller, id).await?;
        if self.is_podman().await? {
            return self.move_group(id, cpus).await;
        }
        let wanted = cpu_list(cpus);
        let now = self.look(id).await?.host_config.and_then(|host| host.cpuset_cpus).unwrap_or_default();
        let all = std::thread::available_parallelism().is_ok_and(|all| all.get() == cpus.len());
        if now == wanted || (now.is_empty() && all) {
            return Ok(());
        }
        let moved = self.engine.retry(|client| {
            let update = ContainerUpdateBody { cpuset_cpus: Some(wanted.clone()), ..ContainerUpdateBody::default() };
            async move { client.update_container(id, update).await }
        });
        moved.await.map_err(|error| self.when_gone(id, error))
    }

    /// The same where the engine has no call for it: in the kernel.
    async fn move_group(&self, id: &str, cpus: &[u32]) -> Result<()> {
        let pid = self.look(id).await?.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
        let (Some(pid), true) = (pid, self.can_move_groups()) else { return Ok(()) };
        let (id, cpus) = (id.to_owned(), cpu_list(cpus));
        let moved = tokio::task::spawn_blocking(move || cgroup::move_to_processors(pid, &id, &cpus)).await;
        moved
            .map_err(std::io::Error::other)
            .and_then(|moved| moved)
            .map_err(|error| HostError::Other(format!("cannot move a container to other processors: {error}")))
    }

    /// Whether this agent may change the engine's control groups.
    pub(super) fn can_move_groups(&self) -> bool {
        self.engine.is_local() && rustix::process::geteuid().is_root()
    }

    /// Ends and removes. A container that is not there, or not the caller's, is gone as far as it can tell.
    pub(super) async fn remove_container(&self, caller: &Caller, id: &str) -> Result<()> {
        match self.own(caller, id).await {
            Err(HostError::NotFound(_)) if is_id(id) => return Ok(()),
            owner => owner?.tell_to_end(),
        }
        let mut pause = Backoff::default();
        loop {
            let removed = self.engine.retry(|client| async move {
                let options = RemoveContainerOptions { force: true, v: true, link: false };
                client.remove_container(id, Some(options)).await
            });
            match removed.await {
                Ok(()) | Err(HostError::NotFound(_)) => break,
                // Somebody else removes it already: wait until it is gone.
                Err(HostError::Conflict(said)) if said.contains("in progress") => {
                    if matches!(self.engine.inspect(id).await, Err(HostError::NotFound(_))) {
                        break;
                    }
                    pause.wait().await;
                }
                Err(error) => return Err(error),
            }
        }
        self.forget(id);
        Ok(())
    }

    /// Drops what is remembered of a container.
    pub(super) fn forget(&self, id: &str) {
        self.owners.forget(id);
        self.samples.forget(id);
    }

    fn gone(&self, id: &str) -> HostError {
        self.forget(id);
        not_found(id)
    }

    /// An error as it is, or, when the engine says that the container is gone, in the words of every call.
    pub(super) fn when_gone(&self, id: &str, error: HostError) -> HostError {
        if matches!(error, HostError::NotFound(_)) { self.gone(id) } else { error }
    }
}

/// `hup`, `HUP` and `SIGHUP` as the engine wants it.
fn signal_name(name: &str) -> Result<String> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if bare.is_empty() || bare.len() > 12 || !bare.chars().all(|c| c.is_ascii_alphanumeric() || "+-".contains(c)) {
        return Err(HostError::Invalid(format!("{name:?} is not the name of a signal, like SIGHUP")));
    }
    Ok(format!("SIG{bare}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        for (name, expected) in [("hup", "SIGHUP"), ("SIGTERM", "SIGTERM"), ("RTMIN+3", "SIGRTMIN+3")] {
            assert_eq!(signal_name(name).unwrap(), expected);
        }
        for name in ["", "SIG", "a b", "KILL&x=1", "SIGABCDEFGHIJKLMN"] {
            assert!(signal_name(name).is_err(), "{name:?}");
        }
    }
}
