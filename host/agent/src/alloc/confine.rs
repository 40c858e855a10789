//! Tasks without processors of their own are kept off those that other tasks have for themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use longshore_core::{
    driver::Watch,
    error::{HostError, Result},
};

use super::cores;
use crate::{shared::Shared, task::Live};

/// How often running tasks may be moved.
const PAUSE: Duration = Duration::from_secs(1);

/// Processors; none for all.
type Cpus = Option<BTreeSet<u32>>;

/// Moves running tasks whenever processors are reserved or come free. Never returns.
pub(crate) async fn keep_off(shared: &Shared) {
    let mut changes = shared.board.watch();
    let mut placed = BTreeMap::new();
    loop {
        changes.borrow_and_update();
        let complete = round(shared, &mut placed).await;
        tokio::time::sleep(PAUSE).await;
        if complete && changes.changed().await.is_err() {
            return;
        }
    }
}

/// Moves those tasks that are elsewhere than they should be. Answers whether all were reached.
async fn round(shared: &Shared, placed: &mut BTreeMap<String, Cpus>) -> bool {
    let wanted = left(shared);
    let (tasks, mut complete) = sharing(shared);
    let mut before = std::mem::take(placed);
    for live in tasks {
        let Some(id) = watched(&live) else { continue };
        let now = before.remove(id).unwrap_or_else(|| at_first(shared, &live));
        let moved = if now == wanted { Ok(()) } else { confine(shared, &live, wanted.as_ref()).await };
        match moved {
            Ok(()) => drop(placed.insert(id.to_owned(), wanted.clone())),
            Err(HostError::NotFound(_)) => {}
            Err(error) => {
                tracing::debug!(task = %live.task.id, %error, "cannot move a task to other processors");
                placed.insert(id.to_owned(), now);
                complete = false;
            }
        }
    }
    complete
}

/// The processors that nobody has for himself. When none is left, tasks share all.
fn left(shared: &Shared) -> Cpus {
    let allocs = shared.board.allocs("");
    let taken = cores::held(allocs.iter().map(|alloc| &**alloc));
    let left: BTreeSet<u32> = shared.config.processors.difference(&taken).copied().collect();
    (!taken.is_empty() && !left.is_empty()).then_some(left)
}

/// Running tasks without processors of their own, and whether none is just being worked on.
fn sharing(shared: &Shared) -> (Vec<Live>, bool) {
    let controls: Vec<_> = shared.runners().values().cloned().collect();
    let (mut tasks, mut complete) = (Vec::new(), true);
    for control in controls.iter().flat_map(|control| control.tasks.values()) {
        match control.live.try_lock() {
            Ok(live) => tasks.extend(live.clone().filter(|live| live.task.resources.cpu_cores.is_empty())),
            Err(_) => complete = false,
        }
    }
    (tasks, complete)
}

/// Where a task is that nothing is known of: on all, unless an agent before this one may have put it elsewhere.
fn at_first(shared: &Shared, live: &Live) -> Cpus {
    let alloc = shared.board.alloc(&live.task.id.alloc);
    let started = alloc.and_then(|alloc| alloc.tasks.get(&live.task.id.task)?.started_at);
    started.is_none_or(|started| started < shared.clock.began()).then(BTreeSet::new)
}

fn watched(live: &Live) -> Option<&str> {
    match &live.started.watch {
        Watch::Container(id) | Watch::Process(id) | Watch::Component(id) => Some(id),
        Watch::Poll(_) => None,
    }
}

async fn confine(shared: &Shared, live: &Live, cpus: Option<&BTreeSet<u32>>) -> Result<()> {
    let cpus: Vec<u32> = cpus.unwrap_or(&shared.config.processors).iter().copied().collect();
    let (caller, backends) = (live.caller(), &shared.backends);
    let absent = || HostError::NotFound("this host has nothing of the kind".into());
    match &live.started.watch {
        Watch::Container(id) => backends.containers.as_ref().ok_or_else(absent)?.confine(&caller, id, &cpus).await,
        Watch::Process(id) => backends.processes.as_ref().ok_or_else(absent)?.confine(&caller, id, &cpus).await,
        Watch::Component(id) => backends.components.as_ref().ok_or_else(absent)?.confine(&caller, id, &cpus).await,
        Watch::Poll(_) => Ok(()),
    }
}
