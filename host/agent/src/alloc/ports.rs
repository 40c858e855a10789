//! Ports of an allocation: asked for, held, lent to its tasks while they run.

use std::sync::Arc;

use longshore_core::{
    caller::AllocId,
    error::Result,
    port::{Port, PortRequest, Ports, Protocol},
};
use longshore_job::model::{self, TaskGroup};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::config::AgentConfig;

/// All ports a group asks for: of its network, and of its tasks' in the legacy place. Each has a label of its own.
pub(crate) fn wanted(group: &TaskGroup) -> impl Iterator<Item = model::Port> {
    let own = group.networks.iter().flat_map(model::Network::ports).cloned();
    let legacy = group.tasks.iter().flat_map(|task| {
        let ports = task.resources.networks.iter().flat_map(model::Network::ports);
        ports.map(|port| model::Port { label: legacy_label(group, task, &port.label), ..port.clone() })
    });
    own.chain(legacy)
}

/// What a port of a task's network is called among the allocation's: as it is there, unless another network of the
/// group has one of that name, too.
pub(crate) fn legacy_label(group: &TaskGroup, task: &model::Task, label: &str) -> String {
    let networks = group.tasks.iter().flat_map(|task| &task.resources.networks).chain(&group.networks);
    let named = networks.flat_map(model::Network::ports).filter(|port| port.label == label);
    if named.count() > 1 { format!("{}.{label}", task.name) } else { label.to_owned() }
}

/// An allocation's ports as one of its tasks calls them.
pub(crate) fn of_task(ports: &[Port], group: &TaskGroup, task: &model::Task) -> Vec<Port> {
    let labels = |task: &model::Task| {
        let own = task.resources.networks.iter().flat_map(model::Network::ports);
        own.map(|port| (legacy_label(group, task, &port.label), port.label.clone())).collect::<Vec<_>>()
    };
    let own = labels(task);
    let others: Vec<_> = group.tasks.iter().filter(|other| other.name != task.name).flat_map(labels).collect();
    let named = |port: &Port| match own.iter().find(|(name, _)| *name == port.label) {
        Some((_, label)) => Some(Port { label: label.clone(), ..port.clone() }),
        // Another task's, by a name that only the allocation knows.
        None if others.iter().any(|(name, label)| *name == port.label && name != label) => None,
        None => Some(port.clone()),
    };
    ports.iter().filter_map(named).collect()
}

/// Until Nomad 0.12 all ports of a task's own network were published, `port_map` saying what some lead to. Drivers whose
/// `config` names what is published are told so; a task that names ports itself has decided.
pub(crate) fn publish_legacy(task: &model::Task, ports: &[Port], config: &mut Value) {
    let own: Vec<&str> =
        task.resources.networks.iter().flat_map(model::Network::ports).map(|port| &*port.label).collect();
    let own = || ports.iter().filter(|port| own.contains(&&*port.label));
    let Value::Object(fields) = config else { return };
    if own().next().is_none() || fields.contains_key("ports") {
        return;
    }
    let maps = match fields.remove("port_map") {
        None => {
            fields.insert("ports".into(), own().map(|port| Value::from(&*port.label)).collect());
            return;
        }
        Some(Value::Array(maps)) => maps,
        Some(map) => vec![map],
    };
    let given = maps.into_iter().filter_map(|map| Some(map.as_object()?.clone())).flatten();
    // Labels that no port has are passed over, as Nomad does.
    let mut all: Map<String, Value> = given.filter(|(label, _)| own().any(|port| port.label == *label)).collect();
    for port in own() {
        all.entry(&*port.label).or_insert_with(|| port.task_port.into());
    }
    fields.insert("port_map".into(), Value::Object(all));
}

/// What is to be reserved for a group. Ports whose collisions the job ignores are not.
pub(crate) fn requests(group: &TaskGroup) -> Vec<PortRequest> {
    wanted(group).filter(|port| !port.ignore_collision).map(|port| request(&port)).collect()
}

/// What is to be reserved for a port.
pub(crate) fn request(port: &model::Port) -> PortRequest {
    PortRequest {
        label: port.label.clone(),
        static_port: (port.value > 0).then_some(port.value),
        to: u16::try_from(port.to).ok().filter(|to| *to > 0),
        host_network: (!port.host_network.is_empty()).then(|| port.host_network.clone()),
        protocol: protocol(port),
    }
}

fn protocol(port: &model::Port) -> Protocol {
    match port.protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => Protocol::Both,
    }
}

/// Ports that several allocations may use at once, which nobody reserves.
pub(crate) fn unreserved(group: &TaskGroup, config: &AgentConfig, backend: Option<&dyn Ports>) -> Vec<Port> {
    let host_ip = |port: &model::Port| backend.and_then(|backend| backend.host_ip(&request(port)).ok());
    let ignoring = wanted(group).filter(|port| port.ignore_collision && port.value > 0);
    ignoring
        .map(|port| Port {
            host_ip: host_ip(&port).unwrap_or_else(|| config.host_ip.to_string()),
            host_port: port.value,
            task_port: u16::try_from(port.to).ok().filter(|to| *to > 0).unwrap_or(port.value),
            protocol: protocol(&port),
            is_named: request(&port).named().is_some(),
            label: port.label,
        })
        .collect()
}

/// Lends an allocation's ports to its tasks: let go of when the first starts, held again when the last ended.
pub(crate) struct PortGate {
    alloc: AllocId,
    ports: Option<Arc<dyn Ports>>,
    users: Mutex<u32>,
}

impl PortGate {
    /// A gate; without ports to lend it does nothing.
    pub(crate) fn new(alloc: AllocId, ports: Option<Arc<dyn Ports>>) -> Self {
        Self { alloc, ports, users: Mutex::new(0) }
    }

    /// A task is about to bind. `Conflict` when somebody else listens on one of the ports.
    pub(crate) async fn enter(&self) -> Result<()> {
        let mut users = self.users.lock().await;
        if *users == 0
            && let Some(ports) = &self.ports
        {
            ports.yield_to_task(&self.alloc).await?;
        }
        *users += 1;
        Ok(())
    }

    /// A task that was found running has the ports: whatever the host still holds of them it lets go of.
    pub(crate) async fn enter_running(&self) {
        if let Err(error) = self.enter().await {
            // Expected: the listener that stands in the way is the task itself.
            tracing::debug!(alloc = %self.alloc, %error, "ports of a recovered task");
            *self.users.lock().await += 1;
        }
    }

    /// A task has ended.
    pub(crate) async fn leave(&self) {
        let mut users = self.users.lock().await;
        *users = users.saturating_sub(1);
        if *users == 0
            && let Some(ports) = &self.ports
            && let Err(error) = ports.reclaim(&self.alloc).await
        {
            tracing::warn!(alloc = %self.alloc, %error, "cannot hold the ports of an allocation again");
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_job::model::Task;
    use serde_json::json;

    use super::*;

    fn port(label: &str, host_port: u16) -> Port {
        Port {
            label: label.into(),
            host_ip: "127.0.0.1".into(),
            host_port,
            task_port: host_port,
            protocol: Protocol::Both,
            is_named: false,
        }
    }

    #[test]
    fn tasks_with_networks_of_their_own_may_use_the_same_labels() {
        let network = |labels: &[&str]| model::Network {
            dynamic_ports: labels
                .iter()
                .map(|label| model::Port { label: (*label).into(), ..Default::default() })
                .collect(),
            ..Default::default()
        };
        let task = |name: &str, labels: &[&str]| {
            let mut task = Task { name: name.into(), ..Task::default() };
            task.resources.networks = vec![network(labels)];
            task
        };
        let tasks = vec![task("a", &["http", "one"]), task("b", &["http"])];
        let group = TaskGroup { networks: vec![network(&["own"])], tasks, ..TaskGroup::default() };
        let labels: Vec<String> = wanted(&group).map(|port| port.label).collect();
        assert_eq!(labels, ["own", "a.http", "one", "b.http"]);
        let ports = [port("own", 1), port("a.http", 2), port("one", 3), port("b.http", 4)];
        assert_eq!(of_task(&ports, &group, &group.tasks[0]), [port("own", 1), port("http", 2), port("one", 3)]);
        assert_eq!(of_task(&ports, &group, &group.tasks[1]), [port("own", 1), port("one", 3), port("http", 4)]);
    }

    #[test]
    fn ports_of_old_tasks_are_all_published() {
        let labels = ["http", "6379"].map(|label| model::Port { label: label.into(), ..Default::default() });
        let mut task = Task::default();
        task.resources.networks = vec![model::Network { dynamic_ports: labels.into(), ..Default::default() }];
        let ports = [port("group", 1), port("http", 2), Port { task_port: 6379, ..port("6379", 3) }];
        for (config, expected) in [
            (json!({}), json!({"ports": ["http", "6379"]})),
            (json!({"port_map": [{"http": 80}, {"other": 81}]}), json!({"port_map": {"http": 80, "6379": 6379}})),
            (json!({"port_map": {"6379": "7000"}}), json!({"port_map": {"6379": "7000", "http": 2}})),
            (json!({"ports": ["group"]}), json!({"ports": ["group"]})),
            (json!(null), json!(null)),
        ] {
            let mut changed = config.clone();
            publish_legacy(&task, &ports, &mut changed);
            assert_eq!(changed, expected, "{config}");
        }
        let mut untouched = json!({"port_map": {"http": 80}});
        publish_legacy(&Task::default(), &ports, &mut untouched);
        assert_eq!(untouched, json!({"port_map": {"http": 80}}));
    }
}
