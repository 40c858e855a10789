//! Networks of allocations.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::Path};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    caller::{AllocId, Caller},
    driver::Dns,
    error::Result,
    port::{Port, Protocol},
};

/// What keeps a network namespace alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// A pinned file.
    Pinned,
    /// A container, by id.
    Container(String),
}

/// An allocation's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The allocation's id.
    pub id: String,
    /// `host`, `bridge`, `none`, `cni/<name>`.
    pub mode: String,
    /// Its namespace.
    pub namespace_path: Option<String>,
    /// What keeps it.
    pub holder: Option<Holder>,
    /// Interface inside.
    pub interface_name: Option<String>,
    /// IPv4 address.
    pub address: Option<String>,
    /// IPv6 address.
    pub address_ipv6: Option<String>,
    /// Address of this machine as the allocation reaches it.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Mapped ports.
    pub ports: Vec<Port>,
    /// Resolver settings that came with it, from network plugins.
    #[serde(default)]
    pub dns: Option<Dns>,
}

/// What an allocation's network is to be. For the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Whose it is.
    pub alloc: AllocId,
    /// `bridge`, `none` or `cni/<name>`.
    pub mode: String,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Reserved ports, to be mapped.
    pub ports: Vec<Port>,
    /// Ports that drivers mapped beside them, as the journal has them: for a network that is not known yet.
    pub added: Vec<Port>,
    /// Who keeps the namespace: [`Holder::Pinned`] lets the host make one.
    pub holder: Holder,
    /// The namespace of a holder that is a container.
    pub namespace_path: Option<String>,
    /// The network it had before: it keeps its address.
    pub before: Option<Network>,
    /// `CNI_ARGS` for network plugins, by name.
    pub cni_args: BTreeMap<String, String>,
}

/// What of this machine lies between an allocation and the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wiring {
    /// Interfaces of this machine by their addresses.
    pub interfaces: BTreeMap<String, String>,
    /// The bridge the allocation hangs on.
    pub bridge: Option<String>,
    /// Its link on this machine's side.
    pub link: Option<String>,
    /// The table of nf_tables that maps its ports.
    pub table: Option<String>,
}

/// A socket that takes connections, or datagrams from anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it listens; unspecified for everywhere.
    pub address: IpAddr,
    /// Its number.
    pub port: u16,
    /// Name of the process, as far as that can be seen.
    pub process: Option<String>,
    /// The process's number on this machine.
    pub pid: Option<u32>,
}

/// Something on this machine that stands in the way of networks of allocations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Obstacle {
    /// What it is.
    pub problem: String,
    /// What removes it: commands, or a setting.
    pub remedy: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Networks; `wit/host/networks.wit` is the promise of each call that has a [`Caller`]. The others are the agent's.
#[async_trait]
pub trait Networks: Send + Sync {
    /// The caller's allocation's network; none in host mode.
    async fn current(&self, caller: &Caller) -> Result<Option<Network>>;
    /// Attaches the allocation's network to a container's namespace.
    async fn attach_container(&self, caller: &Caller, container_id: &str) -> Result<Network>;
    /// Takes it away again.
    async fn detach(&self, caller: &Caller) -> Result<()>;
    /// Maps a reserved port.
    async fn map_port(&self, caller: &Caller, label: &str, address: &str, task_port: u16) -> Result<()>;
    /// Removes such a map.
    async fn unmap_port(&self, caller: &Caller, label: &str) -> Result<()>;

    /// Whether networks of this mode can be made here; the error says what is missing. Changes nothing.
    async fn ready(&self, mode: &str) -> Result<()>;
    /// Makes a network, or repairs it: what is there already stays, its address above all.
    async fn create(&self, plan: &NetworkPlan) -> Result<Network>;
    /// Removes all of a network, past every error; the error tells them all. Gone already is success.
    async fn destroy(&self, alloc: &AllocId) -> Result<()>;
    /// At the agent's start: these networks there should be, and nothing else of ours. Answers one by one.
    async fn reconcile(&self, plans: &[NetworkPlan]) -> Vec<Result<Network>>;
    /// Looks whether somebody took away what is shared by all networks (a firewall that was loaded anew), and
    /// restores it. Answers what was restored, one line each.
    async fn repair(&self) -> Result<Vec<String>>;
    /// At the agent's end: removes what is shared by all networks, unless there is one, which goes on without the agent.
    async fn retire(&self) -> Result<()>;
    /// What stands in the way of networks of allocations on this machine. Changes nothing.
    async fn obstacles(&self) -> Vec<Obstacle>;
    /// What lies between an allocation and the others.
    async fn wiring(&self, alloc: &AllocId) -> Result<Wiring>;
    /// Who listens in a namespace, in the machine's own for none.
    async fn listeners(&self, namespace: Option<&Path>) -> Result<Vec<Listener>>;
}
