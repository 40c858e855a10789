//! Whether memory ran out, from all who may have seen it.
//!
//! The engine's state says so only if the engine heard of the kill before it heard of the end; the two race. What it
//! hears later it tells in an event. It may hear nothing at all when the container's control group goes first, or while
//! the engine is away. The kernel counts the kills in that group, which goes with the container.

use std::{collections::HashMap, pin::pin, time::Duration};

use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use longshore_core::{error::Result, workload::ExitStatus};

use super::Docker;
use crate::cgroup::MemoryKills;

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
    /// Waits for an own container's end and for whoever may know why. `wanted` answers whether it was told to end.
    pub(super) async fn wait_cause(&self, id: &str, wanted: impl Fn() -> bool) -> Result<ExitStatus> {
        let kernel = self.memory_kills(id).await;
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
        if !seen && !status.oom_killed && status.exit_code == KILLED && !wanted() {
            seen = tokio::select! {
                () = killed => true,
                () = self.oom_event(id) => true,
                () = tokio::time::sleep(LATE) => false,
            };
        }
        Ok(if seen { out_of_memory(status) } else { status })
    }

    /// The kernel's count for a running container of this machine.
    async fn memory_kills(&self, id: &str) -> Option<MemoryKills> {
        if !self.engine.is_local() {
            return None;
        }
        let pid = self.look(id).await.ok()?.state?.pid.filter(|pid| *pid > 0)?;
        MemoryKills::around(pid)
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
