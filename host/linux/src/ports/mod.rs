//! Host ports, truly held.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    time::Duration,
};

use async_trait::async_trait;
use longshore_core::{
    caller::AllocId,
    error::{HostError, Result},
    port::{Port, PortRequest, Ports},
};

/// What the operator decides about ports.
#[derive(Clone, Debug)]
pub struct PortSettings {
    /// Numbers for dynamic ports.
    pub dynamic: RangeInclusive<u16>,
    /// Numbers never given to anybody.
    pub reserved: Vec<RangeInclusive<u16>>,
    /// Address of ports that name no `host_network`; see [`default_host_ip`].
    pub host_ip: IpAddr,
    /// Other addresses, by `host_network` name.
    pub host_networks: BTreeMap<String, IpAddr>,
    /// How long a released number is not given out again as a dynamic one.
    pub rest: Duration,
}

impl Default for PortSettings {
    /// Nomad's range, nothing reserved, the address of the default route.
    fn default() -> Self {
        Self {
            dynamic: 20_000..=32_000,
            reserved: Vec::new(),
            host_ip: default_host_ip(),
            host_networks: BTreeMap::new(),
            rest: Duration::ZERO,
        }
    }
}

/// The IPv4 address of the interface the default route uses, else 127.0.0.1.
pub fn default_host_ip() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

/// All ports given out on this machine.
pub struct PortBook {
    settings: PortSettings,
}

impl PortBook {
    /// An empty book.
    pub fn new(settings: PortSettings) -> Self {
        Self { settings }
    }

    fn unavailable<T>(&self) -> Result<T> {
        Err(HostError::Unavailable(format!("no port of {:?} is given out yet", self.settings.dynamic)))
    }
}

#[async_trait]
impl Ports for PortBook {
    async fn reserve(&self, _alloc: &AllocId, _requests: &[PortRequest]) -> Result<Vec<Port>> {
        self.unavailable()
    }
    async fn restore(&self, _alloc: &AllocId, ports: &[Port]) -> Vec<Result<()>> {
        ports.iter().map(|_| self.unavailable()).collect()
    }
    async fn yield_to_task(&self, _alloc: &AllocId) -> Result<()> {
        self.unavailable()
    }
    async fn reclaim(&self, _alloc: &AllocId) -> Result<()> {
        self.unavailable()
    }
    async fn reserved(&self, _alloc: &AllocId) -> Result<Vec<Port>> {
        self.unavailable()
    }
    async fn release(&self, _alloc: &AllocId, _label: Option<&str>) -> Result<()> {
        self.unavailable()
    }
}
