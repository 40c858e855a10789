//! Networks of allocations.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{caller::Caller, error::Result, port::Port};

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
    /// Host name inside.
    pub hostname: Option<String>,
    /// Mapped ports.
    pub ports: Vec<Port>,
}

/// Networks; `wit/host/networks.wit` is the promise of each call.
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
}
