//! What is seen of networks and ports by people who look.

use std::{ops::RangeInclusive, path::Path, sync::Arc};

use longshore_core::{
    network::{Listener, Obstacle, Wiring},
    port::{Port, Protocol},
};

use crate::{Allocation, ControlError, alloc::network, shared::Shared};

/// A port of this machine and who has it.
#[derive(Clone, Debug)]
pub struct HostPort {
    /// Whose it is.
    pub alloc: Arc<Allocation>,
    /// The port.
    pub port: Port,
    /// What becomes of it.
    pub state: PortState,
}

/// What becomes of a port that was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortState {
    /// It leads to this address of the allocation's own network.
    Mapped(String),
    /// The agent holds it until a task starts.
    Held,
    /// A task may bind it, and none has.
    Lent,
    /// This process has bound it; none if that cannot be seen.
    Bound(Option<String>),
}

impl Shared {
    /// What lies between an allocation and the others, and who listens in its network.
    pub(crate) async fn look_at_network(
        &self,
        id: &str,
    ) -> Result<(Arc<Allocation>, Wiring, Vec<Listener>), ControlError> {
        let alloc = self.alloc(id)?;
        let Some(networks) = &self.backends.networks else { return Ok((alloc, Wiring::default(), Vec::new())) };
        let wiring = networks.wiring(&alloc.id).await?;
        if alloc.finished || (network::is_own(&alloc.network_mode) && alloc.network.is_none()) {
            return Ok((alloc, wiring, Vec::new()));
        }
        let namespace = alloc.network.as_ref().and_then(|network| network.namespace_path.as_deref());
        let listeners = networks.listeners(namespace.map(Path::new)).await?;
        Ok((alloc, wiring, listeners))
    }

    /// Every port given out, by number.
    pub(crate) async fn host_ports(&self) -> Result<Vec<HostPort>, ControlError> {
        let listeners = match &self.backends.networks {
            Some(networks) => networks.listeners(None).await?,
            None => Vec::new(),
        };
        let mut found = Vec::new();
        for alloc in self.board.allocs("").into_iter().filter(|alloc| !alloc.finished) {
            let held = match &self.backends.ports {
                Some(ports) => ports.held(&alloc.id).await?,
                None => Vec::new(),
            };
            let added = alloc.added_ports.iter().map(|added| (added.port.clone(), added.mapped_to));
            let own = alloc.ports.iter().map(|port| (port.clone(), Some(port.task_port)));
            for (port, leads_to) in own.chain(added) {
                let state = state(&alloc, &port, leads_to, held.contains(&port.label), &listeners);
                found.push(HostPort { alloc: alloc.clone(), port, state });
            }
        }
        found.sort_by_key(|found| found.port.host_port);
        Ok(found)
    }

    /// Numbers that are given to nobody.
    pub(crate) fn kept_free(&self) -> Vec<RangeInclusive<u16>> {
        self.backends.ports.as_ref().map(|ports| ports.kept_free()).unwrap_or_default()
    }

    /// What stands in the way of networks of allocations, looked at now.
    pub(crate) async fn obstacles(&self) -> Vec<Obstacle> {
        let Some(networks) = &self.backends.networks else { return Vec::new() };
        let mut found = networks.obstacles().await;
        found.extend(crate::alloc::etc::obstacle());
        found
    }
}

/// `leads_to`: the number in the allocation's own network, where it has one.
fn state(alloc: &Allocation, port: &Port, leads_to: Option<u16>, is_held: bool, listeners: &[Listener]) -> PortState {
    let address = alloc.network.as_ref().and_then(|own| own.address.as_deref().or(own.address_ipv6.as_deref()));
    if let (Some(address), Some(number)) = (address, leads_to) {
        let bracketed = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        return PortState::Mapped(format!("{bracketed}:{number}"));
    }
    if is_held {
        return PortState::Held;
    }
    let carries = |one: &&Listener| port.protocol == Protocol::Both || port.protocol == one.protocol;
    match listeners.iter().filter(carries).find(|one| one.port == port.host_port) {
        None => PortState::Lent,
        Some(Listener { process, pid, .. }) => {
            PortState::Bound(process.as_ref().map(|name| format!("{name} (pid {})", pid.unwrap_or(0))))
        }
    }
}
