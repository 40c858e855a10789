//! Whether memory ran out, from all who may have seen it.
//!
//! | who | when he does not know |
//! |---|---|
//! | the engine's state | it heard of the end before it heard of the kill: the two race |
//! | the kernel's count in the container's control group | the group went before this agent could look |
//! | the kernel's log | many kills at once; not root; another machine's engine |
//! | the engine's events | it heard of no kill at all: the group went too soon for it, too, or it was away |
//!
//! The last two are asked only at a kill that this agent did not ask for.

use std::{collections::HashMap, pin::pin, time::Duration};

use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use longshore_core::{error::Result, workload::ExitStatus};

use super::{Docker, owner::Owner};
use crate::cgroup::{MemoryKills, is_logged};

/// The exit code of a container that was killed.
const KILLED: i32 = 137;
/// How long after an end that nobody wanted the engine may tell of a kill. Under load it was late by some tenths of a
/// second.
const LATE: Duration = Duration::from_secs(2);

/// As the engine says it, in Nomad's words.
pub(super) fn out_of_memory(status: ExitStatus) -> ExitStatus {
    ExitStatus { oom_killed: true, message: Some("OOM Killed".into()), ..status }
}

impl Docker {
    /// Waits for an own container's end and for whoever may know why.
    pub(super) async fn wait_cause(&self, owner: &Owner, id: &str) -> Result<ExitStatus> {
        let kernel = self.memory_kills(owner, id).await;
        let mut killed = pin!(async {
            match &kernel {
                Some(kernel) => kernel.any().await,
                None => std::future::pending().await,
            }
        });
        let mut end = pin!(self.wait_end(id));
        let (status, mut seen) = tokio::select! {
            biased;
            () = &mut killed => (end.await?, true),
            status = &mut end => (status?, false),
        };
        if !seen && !status.oom_killed && status.exit_code == KILLED && !owner.was_told_to_end() {
            seen = self.is_logged(id).await
                || tokio::select! {
                    () = killed => true,
                    () = self.oom_event(id) => true,
                    () = tokio::time::sleep(LATE) => false,
                };
        }
        Ok(if seen { out_of_memory(status) } else { status })
    }

    /// The kernel's count for a running container of this machine.
    async fn memory_kills(&self, owner: &Owner, id: &str) -> Option<MemoryKills> {
        if !self.engine.is_local() {
            return None;
        }
        MemoryKills::around(self.steady(owner, id).await.ok()?.process?)
    }

    async fn is_logged(&self, id: &str) -> bool {
        let id = id.to_owned();
        self.engine.is_local() && tokio::task::spawn_blocking(move || is_logged(&id)).await.unwrap_or(false)
    }

    /// Returns when the engine has told that memory ran out in a container, before or from now on; else never.
    async fn oom_event(&self, id: &str) {
        let told = async {
            let filters = [("container", id), ("event", "oom")].map(|(key, value)| (key.into(), vec![value.into()]));
            // From the beginning: an id is never given twice.
            let options = EventsOptions { since: Some("1".into()), until: None, filters: Some(HashMap::from(filters)) };
            pin!(self.engine.client().ok()?.events(Some(options))).next().await?.ok()
        };
        if told.await.is_none() {
            std::future::pending().await
        }
    }
}
