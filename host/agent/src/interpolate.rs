//! Names in `${…}` that are known only when a task starts.

use std::collections::BTreeMap;

use longshore_job::runtime::{Env, interpolate, interpolate_config};
use serde_json::Value;

/// What `${…}` may name.
pub(crate) struct Variables {
    /// The task's environment.
    pub(crate) env: BTreeMap<String, String>,
    /// `node.*`, `attr.*`, `meta.*`.
    pub(crate) node: BTreeMap<String, String>,
    names: Env,
}

impl Variables {
    /// Names from a task's environment and the machine.
    pub(crate) fn new(env: BTreeMap<String, String>, node: BTreeMap<String, String>) -> Self {
        let names = Env::new(env.clone(), node.clone());
        Self { env, node, names }
    }

    /// What a task that was started may name.
    pub(crate) fn of_task(task: &longshore_core::driver::Task) -> Self {
        Self::new(task.env.clone(), BTreeMap::new())
    }

    /// Replaces known names; unknown ones stay as they are.
    pub(crate) fn text(&self, text: &str) -> String {
        interpolate(text, &self.names)
    }

    /// Evaluates all strings of a task's `config`; an unknown name is an error with its place.
    pub(crate) fn config(&self, config: &Value) -> Result<Value, String> {
        interpolate_config(config, &self.names).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(|error| format!("config{error}")).collect();
            lines.join("; ")
        })
    }
}
