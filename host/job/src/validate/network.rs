//! The group's network, together with the legacy networks of its tasks.

use std::collections::HashMap;

use super::Report;
use crate::model::{Network, Port, TaskGroup};

/// Ports seen so far: by label, and static ones by number and host network; with who has them.
#[derive(Default)]
struct Taken {
    labels: HashMap<String, String>,
    numbers: HashMap<(u16, String), String>,
}

impl Report {
    pub(super) fn networks(&mut self, group: &TaskGroup, at: &str) {
        if group.networks.len() > 1 {
            self.error(
                format!("{at}/Networks"),
                format!("Task group {:?} has {} networks; only one is supported", group.name, group.networks.len()),
            );
        }
        let mut taken = Taken::default();
        for (index, network) in group.networks.iter().enumerate() {
            let at = format!("{at}/Networks/{index}");
            self.network(network, &at);
            self.ports(network, &at, "taskgroup network", &mut taken);
        }
        let of_group = taken.labels.clone();
        for (index, task) in group.tasks.iter().enumerate() {
            let owner = format!("task {}", task.name);
            // Tasks do not see each other's.
            taken.labels.clone_from(&of_group);
            for (number, network) in task.resources.networks.iter().enumerate() {
                let at = format!("{at}/Tasks/{index}/Resources/Networks/{number}");
                self.ports(network, &at, &owner, &mut taken);
            }
        }
    }

    fn network(&mut self, network: &Network, at: &str) {
        let mode = network.mode();
        let known = ["host", "bridge", "none"].contains(&mode);
        if !known && mode.strip_prefix("cni/").is_none_or(str::is_empty) {
            self.error(
                format!("{at}/Mode"),
                format!("Invalid network mode {mode:?}; it must be host, bridge, none or cni/<name>"),
            );
        }
        for (key, value) in network.cni.iter().flat_map(|cni| &cni.args) {
            if key.contains(';') || value.contains(';') {
                let summary = format!("invalid ';' character in CNI arg key/value: {key:?} = {value:?}");
                self.error(format!("{at}/CNI/Args"), summary);
            }
        }
        let name = &network.hostname;
        if !name.is_empty() && !name.contains("${") && !is_dns_name(name) {
            self.error(format!("{at}/Hostname"), format!("Hostname is not a valid DNS name: {name:?}"));
        }
    }

    fn ports(&mut self, network: &Network, at: &str, owner: &str, taken: &mut Taken) {
        let lists = [("ReservedPorts", &network.reserved_ports), ("DynamicPorts", &network.dynamic_ports)];
        for (list, ports) in lists {
            for (index, port) in ports.iter().enumerate() {
                self.one_port(network, port, &format!("{at}/{list}/{index}"), owner, taken);
            }
        }
    }

    fn one_port(&mut self, network: &Network, port: &Port, at: &str, owner: &str, taken: &mut Taken) {
        let label = &port.label;
        if label.is_empty() {
            self.error(at, "Missing port label");
        }
        match taken.labels.get(label) {
            Some(other) => self.error(at, format!("Port label {label} already in use by {other}")),
            None => {
                taken.labels.insert(label.clone(), owner.to_owned());
            }
        }
        if port.to < -1 {
            self.error(at, format!("Port {label:?} cannot be mapped to negative value {}", port.to));
        }
        if port.to > 65_535 {
            let to = port.to;
            self.error(at, format!("Port {label:?} cannot be mapped to a port ({to}) greater than 65535"));
        }
        if port.ignore_collision && network.mode() != "host" {
            let mode = network.mode();
            self.error(at, format!("Port {label:?} collision may not be ignored on non-host network mode {mode:?}"));
        }
        if port.value > 0 && !port.ignore_collision {
            self.one_static_port(port, at, &format!("{owner}:{label}"), taken);
        }
    }

    fn one_static_port(&mut self, port: &Port, at: &str, owner: &str, taken: &mut Taken) {
        let host_network = match port.host_network.as_str() {
            "" => "default",
            other => other,
        };
        let key = (port.value, host_network.to_owned());
        match taken.numbers.get(&key) {
            Some(other) => {
                self.error(at, format!("Static port {} already reserved by {other}", port.value));
            }
            None => {
                taken.numbers.insert(key, owner.to_owned());
            }
        }
    }
}

/// Labels of letters, digits, dashes and underscores, separated by dots.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 255 && name.strip_suffix('.').unwrap_or(name).split('.').all(is_label)
}
