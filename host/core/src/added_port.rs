//! Ports that drivers add to those of the job file.
//!
//! They are written down in the agent's journal, so that the next agent holds and maps them again: a reservation
//! before the driver is told of it, a map before it has an effect, and the end of either before that of the thing
//! itself.
//!
//! A port lives as long as a task that asked for it, its restarts included, or as the allocation if the driver asked
//! for no task (when it made the network).

use std::{collections::BTreeSet, net::SocketAddr};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    caller::{AllocId, Caller, TaskScope},
    error::{HostError, Result},
    network::Networks,
    port::{Port, PortRequest, Ports},
};

/// Most ports that drivers may add to one allocation.
pub const MOST: usize = 64;

/// A port that a driver added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedPort {
    /// As it was reserved.
    pub port: Port,
    /// Number inside the allocation's network that it leads to; none while it is not mapped.
    pub mapped_to: Option<u16>,
    /// Tasks that asked for it; [`TaskId::shared`](crate::caller::TaskId::shared) is the allocation, which none
    /// outlives. Empty in the journals of agents that did not write that down, and then the allocation's too.
    #[serde(default)]
    pub tasks: BTreeSet<String>,
}

impl AddedPort {
    /// The port as it is mapped; none while it is not.
    pub fn mapped(&self) -> Option<Port> {
        self.mapped_to.map(|task_port| Port { task_port, ..self.port.clone() })
    }

    /// Whether nobody but this task asked for it.
    pub fn ends_with(&self, task: &str) -> bool {
        self.tasks.len() == 1 && self.tasks.contains(task)
    }
}

/// A change of what drivers added to an allocation.
pub type Change = Box<dyn FnOnce(&mut Vec<AddedPort>) + Send>;

/// What drivers add; `wit/host/ports.wit` and `networks.wit` are the promise of each call that has a [`Caller`].
#[async_trait]
pub trait AddedPorts: Send + Sync {
    /// Changes what was added to an allocation. Answers, when that is durable, what it was before.
    async fn change(&self, alloc: &AllocId, change: Change) -> Result<Vec<AddedPort>>;

    /// Reserves one more port for the caller's allocation.
    async fn reserve(&self, ports: &dyn Ports, caller: &Caller, request: &PortRequest) -> Result<Port> {
        let scope = caller.require_task()?;
        let alloc = &scope.id.alloc;
        let known = ports.reserved(alloc).await?;
        let is_new = known.iter().all(|port| port.label != request.label);
        if is_new && known.len() >= scope.ports.len() + MOST {
            return Err(HostError::Limit(format!("drivers may add {MOST} ports to one allocation")));
        }
        let reserved = ports.reserve(alloc, std::slice::from_ref(request)).await?;
        let port = reserved.into_iter().find(|port| port.label == request.label);
        let port = port.ok_or_else(|| HostError::Other(format!("port {:?} was not reserved", request.label)))?;
        if !is_of_job(scope, &port.label) {
            let (wanted, task) = (port.clone(), scope.id.task.clone());
            let add =
                move |all: &mut Vec<AddedPort>| match all.iter_mut().find(|added| added.port.label == wanted.label) {
                    Some(added) => {
                        added.tasks.insert(task);
                    }
                    None if is_new => {
                        all.push(AddedPort { port: wanted, mapped_to: None, tasks: BTreeSet::from([task]) });
                    }
                    None => {}
                };
            if let Err(error) = self.change(alloc, Box::new(add)).await {
                if is_new {
                    ports.release(alloc, Some(&port.label)).await?;
                }
                return Err(error);
            }
        }
        Ok(port)
    }

    /// Gives one back, and its map with it.
    async fn release(
        &self,
        ports: &dyn Ports,
        networks: Option<&dyn Networks>,
        caller: &Caller,
        label: &str,
    ) -> Result<()> {
        let scope = caller.require_task()?;
        if is_of_job(scope, label) {
            let text = format!("port {label:?} is the job file's; a driver releases only what it reserved itself");
            return Err(HostError::Denied(text));
        }
        let alloc = &scope.id.alloc;
        let gone = label.to_owned();
        self.change(alloc, Box::new(move |all| all.retain(|added| added.port.label != gone))).await?;
        if let Some(networks) = networks {
            networks.unmap_port(caller, label).await?;
        }
        ports.release(alloc, Some(label)).await
    }

    /// Gives back what the caller's task asked for and no other; it has ended, and will not start again. Goes on past
    /// every error and answers all of them in one.
    async fn end(&self, ports: Option<&dyn Ports>, networks: Option<&dyn Networks>, caller: &Caller) -> Result<()> {
        let id = &caller.require_task()?.id;
        let task = id.task.clone();
        let leave = move |all: &mut Vec<AddedPort>| {
            all.retain(|added| !added.ends_with(&task));
            for added in all {
                added.tasks.remove(&task);
            }
        };
        let before = self.change(&id.alloc, Box::new(leave)).await?;
        let mut errors = Vec::new();
        for added in before.iter().filter(|added| added.ends_with(&id.task)) {
            let label = &added.port.label;
            if let Some(networks) = networks {
                errors.extend(networks.unmap_port(caller, label).await.err());
            }
            if let Some(ports) = ports {
                errors.extend(ports.release(&id.alloc, Some(label)).await.err());
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Err(HostError::Other(said.join("; ")))
    }

    /// Maps one into the allocation's network.
    async fn map(
        &self,
        ports: Option<&dyn Ports>,
        networks: &dyn Networks,
        caller: &Caller,
        label: &str,
        address: &str,
        task_port: u16,
    ) -> Result<()> {
        let scope = caller.require_task()?;
        if is_of_job(scope, label) {
            let text = format!("port {label:?} is the job file's, which says where it leads; reserve another");
            return Err(HostError::Denied(text));
        }
        let before = self.lead(&scope.id.alloc, label, Some(task_port)).await?;
        let mapped = networks.map_port(caller, label, address, task_port).await;
        if mapped.is_err() {
            self.lead(&scope.id.alloc, label, before).await?;
        } else if let (Some(ports), Ok(address)) = (ports, address.parse()) {
            ports.lead_loopback(&scope.id.alloc, label, Some(SocketAddr::new(address, task_port))).await?;
        }
        mapped
    }

    /// Removes such a map.
    async fn unmap(
        &self,
        ports: Option<&dyn Ports>,
        networks: &dyn Networks,
        caller: &Caller,
        label: &str,
    ) -> Result<()> {
        let alloc = &caller.require_task()?.id.alloc;
        self.lead(alloc, label, None).await?;
        if let Some(ports) = ports {
            ports.lead_loopback(alloc, label, None).await?;
        }
        networks.unmap_port(caller, label).await
    }

    /// Writes down where a port leads; answers where it led before.
    async fn lead(&self, alloc: &AllocId, label: &str, to: Option<u16>) -> Result<Option<u16>> {
        let wanted = label.to_owned();
        let lead = move |all: &mut Vec<AddedPort>| {
            all.iter_mut().filter(|added| added.port.label == wanted).for_each(|added| added.mapped_to = to);
        };
        let before = self.change(alloc, Box::new(lead)).await?;
        Ok(before.iter().find(|added| added.port.label == label).and_then(|added| added.mapped_to))
    }
}

fn is_of_job(scope: &TaskScope, label: &str) -> bool {
    scope.ports.iter().any(|port| port.label == label)
}
