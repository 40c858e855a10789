//! Events of tasks, told as they happen, while a command waits.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use longshore_agent::api::document::AllocStub;

use super::bars::{Bars, Report};
use crate::output;

/// What a person sees of a job's tasks: on a terminal a spinner and bars, everywhere a line an event.
pub struct Events {
    bars: Bars,
    /// Unix nanoseconds: what happened before is not told.
    since: i64,
    /// Up to when events were told, by allocation and task.
    told: BTreeMap<(String, String), i64>,
}

impl Events {
    /// Tells all there are, below a message.
    pub fn all(message: String) -> Self {
        Self { bars: Bars::new(message), since: 0, told: BTreeMap::new() }
    }

    /// Tells those from now on.
    pub fn from_now(message: String) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        Self { bars: Bars::new(message), since, told: BTreeMap::new() }
    }

    /// Tells what is new.
    pub fn tell(&mut self, allocs: &[AllocStub]) {
        let tasks = || allocs.iter().flat_map(|alloc| alloc.task_states.iter().map(move |task| (alloc, task)));
        for (alloc, (task, state)) in tasks() {
            let last = self.told.entry((alloc.id.clone(), task.clone())).or_insert(self.since);
            let new = state.events.iter().filter(|event| event.time > *last && Report::of(task, event).is_none());
            for event in new {
                let id = output::short(&alloc.id);
                self.bars.line(&format!("  {id}/{task}  {}: {}", event.kind, event.display_message));
            }
            *last = state.events.last().map_or(*last, |event| event.time.max(*last));
        }
        self.bars.show(tasks().filter_map(|(_, (task, state))| Report::of(task, state.events.last()?)));
    }
}

/// Takes spinner and bars off the screen.
impl Drop for Events {
    fn drop(&mut self) {
        self.bars.clear();
    }
}
