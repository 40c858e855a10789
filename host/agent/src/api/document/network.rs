//! How packets reach allocations, for people who look: `/v1/allocation/:id/network`, `/v1/ports`. Ours alone.

use std::net::IpAddr;

use longshore_core::{
    added_port::AddedPort,
    network::{Holder, Listener, Network, Wiring},
    port::{Port, Protocol},
};
use serde::{Deserialize, Serialize};

use crate::{
    look::{HostPort, PortState},
    status,
};

/// An allocation's network from the outside in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocNetwork {
    /// The allocation.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// `host`, `bridge`, `none`, `cni/<name>`.
    pub mode: String,
    /// Ports on this machine that lead to it.
    pub ports: Vec<MappedPort>,
    /// The table of nf_tables that maps them; empty when none does.
    pub table: String,
    /// The bridge; none in other modes.
    pub bridge: Option<BridgeLink>,
    /// Its namespace; none in the host's network.
    pub namespace: Option<Namespace>,
    /// Who listens: in its namespace, else on its ports.
    pub listeners: Vec<TaskListener>,
}

/// A port on this machine and where it leads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MappedPort {
    /// Its label.
    pub label: String,
    /// `tcp`, `udp` or `both`.
    pub protocol: Protocol,
    /// Interface with its address; empty when no interface has it.
    pub interface: String,
    /// Its address.
    #[serde(rename = "HostIP")]
    pub host_ip: String,
    /// Its number.
    pub host_port: u16,
    /// Number that tasks listen on.
    pub task_port: u16,
}

/// What an allocation hangs on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BridgeLink {
    /// The bridge.
    pub name: String,
    /// Its address: this machine's, as the allocation reaches it.
    pub address: String,
    /// The allocation's interface on this machine's side.
    pub link: String,
}

/// A network namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Namespace {
    /// Its file.
    pub path: String,
    /// Id of the container that holds it; empty when the file does.
    pub container: String,
    /// Interface inside; empty without one.
    pub interface: String,
    /// IPv4.
    pub address: String,
    /// IPv6.
    #[serde(rename = "AddressIPv6")]
    pub address_ipv6: String,
    /// Host name inside, when the job says one.
    pub hostname: String,
}

/// A socket of a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskListener {
    /// `tcp` or `udp`.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: String,
    /// Its number.
    pub port: u16,
    /// Name of its process; empty when it cannot be seen.
    pub process: String,
    /// Number of its process on this machine, 0 when it cannot be seen.
    pub pid: u32,
    /// Labels of the ports that lead to it.
    pub labels: Vec<String>,
    /// Who reaches it: some of `outside`, `machine` (this one and its allocations) and `group`.
    pub scopes: Vec<String>,
}

/// A port of this machine that was given out, or is kept free.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostPortDocument {
    /// Its number; the first of several that are kept free.
    pub port: u16,
    /// The last of several, else the same.
    pub last: u16,
    /// `tcp`, `udp` or `both`.
    pub protocol: Protocol,
    /// Its label.
    pub label: String,
    /// Its address.
    #[serde(rename = "HostIP")]
    pub host_ip: String,
    /// The allocation that has it; empty when it is kept free.
    pub allocation: String,
    /// That allocation's name.
    pub name: String,
    /// `mapped`, `held`, `lent`, `bound`, `kept free`.
    pub state: String,
    /// One line: where it leads, or who has bound it.
    pub detail: String,
}

impl AllocNetwork {
    /// The document of an allocation, from what was found out about it.
    pub fn of(alloc: &status::Allocation, wiring: &Wiring, listeners: &[Listener]) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let added = alloc.added_ports.iter().filter_map(AddedPort::mapped);
        let ports: Vec<_> = alloc.ports.iter().cloned().chain(added).collect();
        let reach = Reach { alloc, ports: &ports };
        Self {
            id: alloc.id.0.clone(),
            name: alloc.name.clone(),
            mode: alloc.network_mode.clone(),
            ports: ports.iter().map(|port| MappedPort::of(port, wiring)).collect(),
            table: text(&wiring.table),
            bridge: wiring.bridge.as_ref().map(|name| BridgeLink {
                name: name.clone(),
                address: alloc.network.as_ref().map(|network| text(&network.gateway)).unwrap_or_default(),
                link: text(&wiring.link),
            }),
            namespace: alloc.network.as_ref().map(Into::into),
            listeners: listeners
                .iter()
                .filter(|listener| reach.is_of(listener))
                .map(|one| reach.document(one))
                .collect(),
        }
    }
}

impl MappedPort {
    fn of(port: &Port, wiring: &Wiring) -> Self {
        Self {
            label: port.label.clone(),
            protocol: port.protocol.clone(),
            interface: wiring.interfaces.get(&port.host_ip).cloned().unwrap_or_default(),
            host_ip: port.host_ip.clone(),
            host_port: port.host_port,
            task_port: port.task_port,
        }
    }
}

impl From<&Network> for Namespace {
    fn from(network: &Network) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            path: text(&network.namespace_path),
            container: match &network.holder {
                Some(Holder::Container(id)) => id.clone(),
                _ => String::new(),
            },
            interface: text(&network.interface_name),
            address: text(&network.address),
            address_ipv6: text(&network.address_ipv6),
            hostname: text(&network.hostname),
        }
    }
}

/// Who reaches the listeners of an allocation.
struct Reach<'a> {
    alloc: &'a status::Allocation,
    ports: &'a [Port],
}

impl Reach<'_> {
    /// The number a port has where the allocation listens.
    fn number(&self, port: &Port) -> u16 {
        if self.alloc.network.is_some() { port.task_port } else { port.host_port }
    }

    /// In a namespace of its own everybody is the allocation's; in the host's those on its ports are.
    fn is_of(&self, listener: &Listener) -> bool {
        self.alloc.network.is_some() || self.labels(listener).next().is_some()
    }

    fn labels(&self, listener: &Listener) -> impl Iterator<Item = &str> {
        let leads = |port: &&Port| {
            let carries = port.protocol == Protocol::Both || port.protocol == listener.protocol;
            carries && self.number(port) == listener.port
        };
        self.ports.iter().filter(leads).map(|port| port.label.as_str())
    }

    fn document(&self, listener: &Listener) -> TaskListener {
        let on_loopback = is_loopback(listener.address);
        // A map leads to the allocation's address, where a socket on loopback is not.
        let labels: Vec<_> = self.labels(listener).filter(|_| !on_loopback || self.alloc.network.is_none()).collect();
        let scopes = match (&self.alloc.network, on_loopback) {
            (Some(_), true) => &["group"][..],
            (Some(network), false) if network.address.is_none() && network.address_ipv6.is_none() => &["group"],
            (Some(_), false) if labels.is_empty() => &["machine", "group"],
            (None, true) => &["machine", "group"],
            (_, false) => &["outside", "machine", "group"],
        };
        TaskListener {
            protocol: listener.protocol.clone(),
            address: listener.address.to_string(),
            port: listener.port,
            process: listener.process.clone().unwrap_or_default(),
            pid: listener.pid.unwrap_or(0),
            labels: labels.into_iter().map(str::to_owned).collect(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl From<&HostPort> for HostPortDocument {
    fn from(host: &HostPort) -> Self {
        let HostPort { alloc, port, state } = host;
        let (state, detail) = match state {
            PortState::Mapped(address) => ("mapped", format!("to {address}")),
            PortState::Held => ("held", "by the agent".into()),
            PortState::Lent => ("lent", "to its tasks; nobody listens".into()),
            PortState::Bound(Some(process)) => ("bound", format!("by {process}")),
            PortState::Bound(None) => ("bound", "by a process that cannot be seen".into()),
        };
        Self {
            port: port.host_port,
            last: port.host_port,
            protocol: port.protocol.clone(),
            label: port.label.clone(),
            host_ip: port.host_ip.clone(),
            allocation: alloc.id.0.clone(),
            name: alloc.name.clone(),
            state: state.into(),
            detail,
        }
    }
}

impl HostPortDocument {
    /// Numbers that the configuration keeps free.
    pub fn kept_free(first: u16, last: u16) -> Self {
        let detail = "by reserved_ports".into();
        Self { port: first, last, state: "kept free".into(), detail, ..Self::default() }
    }
}
