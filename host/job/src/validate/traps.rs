//! What is allowed and yet seldom meant.

use serde_json::Value;

use super::Report;
use crate::hcl::convert::json_to_whole;
use crate::model::{Job, Service, Task, TaskGroup};

/// Images by the last part of their name, and the MiB below which they are known to be killed soon.
const HUNGRY: [(&str, u64); 16] = [
    ("cassandra", 1024),
    ("elasticsearch", 1024),
    ("gitlab-ce", 4096),
    ("gitlab-ee", 4096),
    ("jenkins", 512),
    ("kafka", 512),
    ("keycloak", 512),
    ("logstash", 1024),
    ("mariadb", 256),
    ("minecraft-server", 1024),
    ("mongo", 256),
    ("mysql", 400),
    ("neo4j", 512),
    ("opensearch", 1024),
    ("postgres", 64),
    ("sonarqube", 2048),
];

impl Report {
    pub(super) fn traps(&mut self, job: &Job) {
        let mut of_consul = None;
        for (index, group) in job.task_groups.iter().enumerate() {
            let at = format!("/TaskGroups/{index}");
            self.static_ports(group, &at);
            self.unpublished_ports(group, &at);
            let tasks = group.tasks.iter().enumerate();
            let places = std::iter::once((at.clone(), &group.services))
                .chain(tasks.map(|(number, task)| (format!("{at}/Tasks/{number}"), &task.services)));
            for (place, services) in places {
                let is_consul = |service: &Service| service.provider == "consul";
                let found = services.iter().position(is_consul).map(|number| format!("{place}/Services/{number}"));
                of_consul = of_consul.or(found);
            }
            for (number, task) in group.tasks.iter().enumerate().filter(|(_, task)| task.driver == "docker") {
                self.image(task, &format!("{at}/Tasks/{number}"));
                self.hard_limit(task, &format!("{at}/Tasks/{number}"));
            }
        }
        if let Some(place) = of_consul {
            self.warning(place, "services of provider \"consul\" are kept in this agent's own registry");
        }
    }

    fn static_ports(&mut self, group: &TaskGroup, at: &str) {
        let ports = group.networks.iter().enumerate().flat_map(|(network, networks)| {
            let reserved = networks.reserved_ports.iter().enumerate();
            reserved.map(move |(port, reserved)| (format!("Networks/{network}/ReservedPorts/{port}"), reserved))
        });
        for (place, port) in ports.filter(|(_, port)| group.count > 1 && !port.ignore_collision) {
            let (number, count) = (port.value, group.count);
            let summary = format!("static port {number} can be had by one of the {count} allocations only");
            self.warning(format!("{at}/{place}/Value"), summary);
        }
    }

    /// In the host's network Docker publishes what `ports` names; in a bridge all is published.
    fn unpublished_ports(&mut self, group: &TaskGroup, at: &str) {
        let docker = || group.tasks.iter().filter(|task| task.driver == "docker");
        let Some(network) = group.networks.first().filter(|network| network.mode() == "host") else {
            return;
        };
        let own_network = |task: &&Task| task.config.get("network_mode").and_then(Value::as_str) != Some("host");
        if docker().filter(own_network).count() != group.tasks.len() || group.tasks.is_empty() {
            return;
        }
        let named = |label: &str| {
            let label_of = |name: &Value| name.as_str().is_some_and(|name| name == label || name.contains("${"));
            docker().any(|task| match task.config.get("ports") {
                Some(Value::Array(names)) => names.iter().any(label_of),
                other => other.is_some(),
            })
        };
        let lists = [("ReservedPorts", &network.reserved_ports), ("DynamicPorts", &network.dynamic_ports)];
        for (list, ports) in lists {
            for (index, port) in ports.iter().enumerate().filter(|(_, port)| !named(&port.label)) {
                let label = &port.label;
                let summary =
                    format!("port {label:?} is never published: no task has ports = [{label:?}] in its config");
                self.warning(format!("{at}/Networks/0/{list}/{index}"), summary);
            }
        }
    }

    /// A limit of the driver's own may not be below what the task is promised.
    fn hard_limit(&mut self, task: &Task, at: &str) {
        let limit = task.config.get("memory_hard_limit").and_then(json_to_whole).unwrap_or_default();
        let promised = i64::try_from(task.resources.memory_mb).unwrap_or(i64::MAX);
        if limit > 0 && limit < promised {
            let summary = format!("task memory requirements exceed driver hard limit of {limit} MB");
            self.error(format!("{at}/Config/memory_hard_limit"), summary);
        }
    }

    fn image(&mut self, task: &Task, at: &str) {
        let Some(image) = task.config.get("image").and_then(Value::as_str) else {
            return;
        };
        let name = image.rsplit('/').next().unwrap_or_default();
        if image.contains("${") || image.contains('@') || image.is_empty() {
            return;
        }
        if name.ends_with(":latest") || !name.contains(':') {
            self.warning(
                format!("{at}/Config/image"),
                format!("image {image:?} means whatever is newest: every start may run another version; name one"),
            );
        }
        let plain = name.split(':').next().unwrap_or_default();
        let need = HUNGRY.iter().find(|(hungry, _)| *hungry == plain).map(|(_, need)| *need);
        let given = task.resources.memory_mb.max(u64::try_from(task.resources.memory_max_mb).unwrap_or(u64::MAX));
        if let Some(need) = need.filter(|need| given < *need) {
            let summary = format!("{plain} needs about {need} MiB of memory and may use {given}: it will be killed");
            self.warning(format!("{at}/Resources/MemoryMB"), summary);
        }
    }
}
