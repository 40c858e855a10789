//! `longshore:host/events`.

use longshore_core::error::{HostError, Result};

use crate::{
    bindings::longshore::host::{events, types::KeyValue},
    convert::{told, told_map},
    store::{Answers, Operation},
};

impl events::Host for Operation {
    fn emit(&mut self, message: String, annotations: Vec<KeyValue>) -> Result<()> {
        let task = self.caller.require_task()?;
        if self.answers == Answers::Rehearsal {
            return Ok(());
        }
        let limit = self.host.limits.events;
        if self.events >= limit {
            return Err(HostError::Limit(format!("one operation may add {limit} events to its task")));
        }
        self.events += 1;
        self.host.backends.events.driver_event(&task.id, &told(message), &told_map(annotations));
        Ok(())
    }
}
