//! Ports of an allocation: asked for, held, lent to its tasks while they run.

use std::sync::Arc;

use longshore_core::{
    caller::AllocId,
    error::Result,
    port::{Port, PortRequest, Ports, Protocol},
};
use longshore_job::model::{self, TaskGroup};
use tokio::sync::Mutex;

use crate::config::AgentConfig;

/// All ports a group asks for: of its network, and of its tasks' in the legacy place.
pub(crate) fn wanted(group: &TaskGroup) -> impl Iterator<Item = &model::Port> {
    let legacy = group.tasks.iter().flat_map(|task| &task.resources.networks);
    group.networks.iter().chain(legacy).flat_map(model::Network::ports)
}

/// What is to be reserved for a group. Ports whose collisions the job ignores are not.
pub(crate) fn requests(group: &TaskGroup) -> Vec<PortRequest> {
    wanted(group).filter(|port| !port.ignore_collision).map(request).collect()
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
            label: port.label.clone(),
            host_ip: host_ip(port).unwrap_or_else(|| config.host_ip.to_string()),
            host_port: port.value,
            task_port: u16::try_from(port.to).ok().filter(|to| *to > 0).unwrap_or(port.value),
            protocol: protocol(port),
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
