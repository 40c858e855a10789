//! Containers of this agent that belong to no task it knows: left when its state was lost, or by a fault.
//!
//! One that has ended harms nobody and may be kept on purpose (`gc { container = false }`), so it stays, as in Nomad.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::RemoveContainerOptions,
};
use longshore_core::{
    container::IsKnown,
    error::{HostError, Result},
};

use super::Docker;

/// What becomes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// Whether they are removed at all.
    pub enabled: bool,
    /// Whether they are only named in the log.
    pub dry_run: bool,
    /// How old they must be.
    pub creation_grace: Duration,
}

impl Default for Dangling {
    /// Nomad's: five minutes.
    fn default() -> Self {
        Self { enabled: true, dry_run: false, creation_grace: Duration::from_secs(300) }
    }
}

impl Docker {
    /// Removes them, and answers the names of those found. One that cannot be removed does not keep the others.
    pub(super) async fn remove_dangling(&self, is_known: &IsKnown<'_>) -> Result<Vec<String>> {
        if !self.dangling.enabled {
            return Ok(Vec::new());
        }
        let found = self.engine.list(vec![self.owners.agent_filter()]).await?;
        let (mut names, mut failure) = (Vec::new(), None);
        for summary in found {
            if !self.is_dangling(&summary, is_known) {
                continue;
            }
            let id = summary.id.unwrap_or_default();
            let name = summary.names.unwrap_or_default().pop().unwrap_or_else(|| id.clone());
            if self.dangling.dry_run {
                tracing::info!(container = name, "this container belongs to no task; not removed (dry_run)");
            } else if let Err(error) = self.force_remove(&id).await {
                failure.get_or_insert(error);
                continue;
            } else {
                tracing::info!(container = name, "removed a container that belongs to no task");
            }
            names.push(name);
        }
        failure.map_or(Ok(names), Err)
    }

    fn is_dangling(&self, summary: &ContainerSummary, is_known: &IsKnown<'_>) -> bool {
        let Some(owner) = self.owners.read(summary.labels.as_ref()) else { return false };
        if summary.state == Some(ContainerSummaryStateEnum::EXITED) {
            return false;
        }
        let created = u64::try_from(summary.created.unwrap_or_default()).unwrap_or_default();
        let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(created)).unwrap_or_default();
        age >= self.dangling.creation_grace && !is_known(&owner.task)
    }

    async fn force_remove(&self, id: &str) -> Result<()> {
        let removed = self.engine.retry(|client| async move {
            let options = RemoveContainerOptions { force: true, v: true, link: false };
            client.remove_container(id, Some(options)).await
        });
        match removed.await {
            // Gone, or just being removed.
            Ok(()) | Err(HostError::NotFound(_) | HostError::Conflict(_)) => {
                self.forget(id);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
