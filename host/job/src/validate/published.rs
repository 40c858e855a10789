//! Ports that tasks publish, by the labels of their group.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Report;
use crate::model::{Task, TaskGroup};
use crate::suggest::did_you_mean;

/// Drivers whose `config` names ports.
pub const PUBLISHERS: [&str; 2] = ["docker", "podman"];

impl Report {
    pub(super) fn published(&mut self, group: &TaskGroup, at: &str) {
        let networks = group.tasks.iter().flat_map(|task| &task.resources.networks).chain(&group.networks);
        let ports = networks.flat_map(|network| network.reserved_ports.iter().chain(&network.dynamic_ports));
        let known: BTreeSet<&str> = ports.map(|port| port.label.as_str()).collect();
        for (number, task) in group.tasks.iter().enumerate().filter(|(_, task)| PUBLISHERS.contains(&&*task.driver)) {
            self.labels(task, &known, &format!("{at}/Tasks/{number}/Config"));
        }
    }

    fn labels(&mut self, task: &Task, known: &BTreeSet<&str>, at: &str) {
        let listed = task.config.get("ports").and_then(Value::as_array).into_iter().flatten().enumerate();
        let listed = listed.filter_map(|(index, label)| Some((format!("{at}/ports/{index}"), label.as_str()?)));
        let maps = match task.config.get("port_map") {
            Some(Value::Array(maps)) => maps.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let mapped = maps.into_iter().filter_map(Value::as_object).flat_map(|map| map.keys());
        let mapped: Vec<_> = mapped.map(|label| (format!("{at}/port_map"), label.as_str())).collect();
        let listed: Vec<_> = listed.collect();
        // A task with a network of its own has all its ports published, and port_map only says what some lead to.
        let is_legacy = !task.resources.networks.is_empty();
        let may_map = is_legacy && listed.is_empty();
        if !may_map && !mapped.is_empty() {
            let summary = match known.is_empty() {
                true => "Trying to map ports but no network interface is available",
                false => "'port_map' cannot map group network ports, use 'ports' instead",
            };
            return self.error(format!("{at}/port_map"), summary);
        }
        let is_missing = |label: &str| !known.contains(label) && !label.contains("${");
        for (place, label) in listed.into_iter().chain(mapped).filter(|(_, label)| is_missing(label)) {
            let hint = did_you_mean(label, known.iter().copied());
            let summary = format!("Port {label:?} not found, check network block.{hint}");
            if is_legacy && place.ends_with("port_map") {
                self.warning(place, summary);
            } else {
                self.error(place, summary);
            }
        }
    }
}
