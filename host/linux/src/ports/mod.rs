//! Host ports, truly held.
//!
//! A reserved number is held by sockets that are bound and do not listen (`sockets`), so no foreign program can
//! take it; who has which number is in the `book`; when a number cannot be had, `holder` finds out who has it.
//! A task in host mode binds its port itself: the sockets are closed just before it starts and taken again when
//! it has ended, while the number stays in the book. One with a network of its own is reached by the kernel's maps on
//! every address but one, for which there is a proxy (`loopback`).

mod book;
mod holder;
mod loopback;
mod sockets;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use longshore_core::{
    caller::AllocId,
    error::{HostError, Result},
    port::{Port, PortRequest, Ports},
};

use crate::{failure::blocking, lock::lock};
use book::{Book, Refusal};

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
    pub host_networks: BTreeMap<String, HostNetwork>,
    /// How long a released number is not given out again as a dynamic one, while others are free.
    pub rest: Duration,
}

/// An address of this machine that ports ask for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNetwork {
    /// The address.
    pub address: IpAddr,
    /// Numbers never given to anybody on it.
    pub reserved: Vec<RangeInclusive<u16>>,
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

/// The address this machine would use towards the Internet, else 127.0.0.1. Asks the routing table only: to
/// connect a datagram socket sends nothing.
pub fn default_host_ip() -> IpAddr {
    // Addresses reserved for documentation: nobody's, and routed as everybody's.
    let towards = |own: &str, far: &str| {
        let socket = UdpSocket::bind(own).ok()?;
        socket.connect(far).ok()?;
        socket.local_addr().ok().map(|address: SocketAddr| address.ip()).filter(|ip| !ip.is_unspecified())
    };
    towards("0.0.0.0:0", "192.0.2.1:9")
        .or_else(|| towards("[::]:0", "[2001:db8::1]:9"))
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// All ports given out on this machine. Each takes a descriptor or two: see
/// [`raise_open_files`](crate::limits::raise_open_files).
pub struct PortBook(Mutex<Book>);

impl PortBook {
    /// An empty book.
    pub fn new(settings: PortSettings) -> Self {
        Self(Mutex::new(Book::new(settings)))
    }

    async fn stop_leading(&self, alloc: &AllocId, label: Option<&str>, keep: Option<SocketAddr>) {
        let ended = lock(&self.0).stop_leading(alloc, label, keep);
        for proxy in ended {
            proxy.end().await;
        }
    }
}

/// What somebody in the way is called, looked up when needed: that walks through all of `/proc`.
async fn explain(refusal: Refusal) -> HostError {
    match refusal {
        Refusal::Known(error) => error,
        Refusal::InUse { label, number } => {
            let named = blocking(move || Ok(holder::describe(number))).await;
            let holder = named.unwrap_or_else(|_| "another process".into());
            HostError::Conflict(format!(
                "port {number} ({label:?}) is in use by {holder}; end that, or choose another number"
            ))
        }
    }
}

/// Conflicts of numbers somebody else certainly has.
async fn foreign(alloc: &AllocId, occupied: Vec<(String, u16)>) -> Vec<(u16, HostError)> {
    if occupied.is_empty() {
        return Vec::new();
    }
    let alloc = alloc.clone();
    let find = move || {
        let conflict = |(label, number): (String, u16)| {
            let holder = holder::outsider(&alloc, number)?;
            Some((number, HostError::Conflict(format!("port {number} ({label:?}) was taken by {holder}"))))
        };
        Ok(occupied.into_iter().filter_map(conflict).collect())
    };
    blocking(find).await.unwrap_or_default()
}

#[async_trait]
impl Ports for PortBook {
    async fn reserve(&self, alloc: &AllocId, requests: &[PortRequest]) -> Result<Vec<Port>> {
        let reserved = lock(&self.0).reserve(alloc, requests);
        match reserved {
            Ok(ports) => Ok(ports),
            Err(refusal) => Err(explain(refusal).await),
        }
    }

    async fn restore(&self, alloc: &AllocId, ports: &[Port]) -> Vec<Result<()>> {
        let restored: Vec<_> = {
            let mut book = lock(&self.0);
            ports.iter().map(|port| book.restore(alloc, port)).collect()
        };
        let occupied = ports.iter().zip(&restored).filter(|(_, held)| matches!(held, Ok(false)));
        let occupied = occupied.map(|(port, _)| (port.label.clone(), port.host_port)).collect();
        let mut foreign: BTreeMap<_, _> = foreign(alloc, occupied).await.into_iter().collect();
        let result = |(port, restored): (&Port, Result<bool>)| match (restored, foreign.remove(&port.host_port)) {
            (Err(error), _) => Err(error),
            (Ok(false), Some(conflict)) => Err(conflict),
            _ => Ok(()),
        };
        ports.iter().zip(restored).map(result).collect()
    }

    async fn yield_to_task(&self, alloc: &AllocId) -> Result<()> {
        let occupied = lock(&self.0).let_go(alloc);
        foreign(alloc, occupied).await.into_iter().next().map_or(Ok(()), |(_, conflict)| Err(conflict))
    }

    async fn reclaim(&self, alloc: &AllocId) -> Result<()> {
        lock(&self.0).reclaim(alloc);
        Ok(())
    }

    async fn held(&self, alloc: &AllocId) -> Result<Vec<String>> {
        Ok(lock(&self.0).held(alloc))
    }

    fn host_ip(&self, request: &PortRequest) -> Result<String> {
        lock(&self.0).host_ip(request)
    }

    fn kept_free(&self) -> Vec<RangeInclusive<u16>> {
        lock(&self.0).kept_free()
    }

    async fn reserved(&self, alloc: &AllocId) -> Result<Vec<Port>> {
        Ok(lock(&self.0).ports(alloc))
    }

    async fn lead_loopback(&self, alloc: &AllocId, label: &str, to: Option<SocketAddr>) -> Result<()> {
        self.stop_leading(alloc, Some(label), to).await;
        let mut book = lock(&self.0);
        match to.filter(|_| !book.leads(alloc, label)) {
            Some(to) => book.lead(alloc, label, to),
            None => Ok(()),
        }
    }

    async fn release(&self, alloc: &AllocId, label: Option<&str>) -> Result<()> {
        self.stop_leading(alloc, label, None).await;
        lock(&self.0).release(alloc, label);
        Ok(())
    }
}
