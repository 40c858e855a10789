//! Host ports, truly held from reservation to release.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{caller::AllocId, error::Result};

/// Transport protocols of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP only.
    Tcp,
    /// UDP only.
    Udp,
    /// Both: what Nomad publishes.
    #[default]
    Both,
}

/// A port to reserve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// Unique within the allocation.
    pub label: String,
    /// The exact host port; none for a dynamic one.
    pub static_port: Option<u16>,
    /// Number the task listens on; none for the host's.
    pub to: Option<u16>,
    /// Name of a `host_network`.
    pub host_network: Option<String>,
    /// Protocols.
    pub protocol: Protocol,
}

/// A reserved port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its label.
    pub label: String,
    /// Host address.
    pub host_ip: String,
    /// Host port.
    pub host_port: u16,
    /// Number the task listens on.
    pub task_port: u16,
    /// Protocols.
    pub protocol: Protocol,
    /// Whether a `host_network` was named for it: it answers at that one's address alone then.
    #[serde(default)]
    pub is_named: bool,
}

impl Port {
    /// The one address it answers at; none if it answers at all addresses of this machine, as ports at the default one do.
    pub fn only_at(&self, default: IpAddr) -> Option<IpAddr> {
        let ip = self.host_ip.parse().ok().filter(|ip: &IpAddr| !ip.is_unspecified());
        ip.filter(|ip| self.is_named || *ip != default)
    }
}

impl PortRequest {
    /// The `host_network` it names, if that is not the default one.
    pub fn named(&self) -> Option<&str> {
        self.host_network.as_deref().filter(|name| !matches!(*name, "" | "default"))
    }
}

/// Host ports.
///
/// A port is held by bound sockets (tcp and udp, all addresses, not listening) from `reserve` to `release`,
/// so that no foreign listener can take it. A task in host mode must bind the port itself: `yield_to_task`
/// lets go of the sockets just before it starts, and `reclaim` takes them again when it has ended.
#[async_trait]
pub trait Ports: Send + Sync {
    /// Reserves all or none for one allocation, idempotent by label. `Conflict` names the port and the
    /// process or allocation that holds it; `Limit` when the dynamic range is full.
    async fn reserve(&self, alloc: &AllocId, requests: &[PortRequest]) -> Result<Vec<Port>>;
    /// Holds ports that the journal says are an allocation's; conflicts are answered one by one.
    async fn restore(&self, alloc: &AllocId, ports: &[Port]) -> Vec<Result<()>>;
    /// Lets go of the sockets, keeps the numbers: the task is about to bind them. A process of somebody
    /// else that listens there by then is `Conflict`.
    async fn yield_to_task(&self, alloc: &AllocId) -> Result<()>;
    /// Takes the sockets again where nobody listens.
    async fn reclaim(&self, alloc: &AllocId) -> Result<()>;
    /// Labels of an allocation's ports whose sockets are held now: all but those lent to its tasks.
    async fn held(&self, alloc: &AllocId) -> Result<Vec<String>>;
    /// The address a port would be published on. `Invalid` when nobody knows its `host_network`.
    fn host_ip(&self, request: &PortRequest) -> Result<String>;
    /// Numbers that are given to nobody.
    fn kept_free(&self) -> Vec<RangeInclusive<u16>>;
    /// The allocation's ports.
    async fn reserved(&self, alloc: &AllocId) -> Result<Vec<Port>>;
    /// Leads what comes to a held port on [::1] to an address of the allocation's own network, where the kernel leads
    /// nothing; none ends that. Nothing happens for ports that do not answer on every address of this machine, and
    /// where there is no IPv6.
    async fn lead_loopback(&self, alloc: &AllocId, label: &str, to: Option<SocketAddr>) -> Result<()>;
    /// Gives one back (`label`) or all.
    async fn release(&self, alloc: &AllocId, label: Option<&str>) -> Result<()>;
}
