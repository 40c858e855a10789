//! Who has which number.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    ops::RangeInclusive,
    os::fd::OwnedFd,
    time::Instant,
};

use longshore_core::{
    caller::AllocId,
    error::{HostError, Result},
    port::{Port, PortRequest, Protocol},
};
use rustix::io::Errno;

use super::{
    PortSettings,
    loopback::Proxy,
    sockets::{bound_beside, hold, transports},
};

/// Random tries before the range is searched in order, as in Nomad.
const RANDOM_TRIES: usize = 20;

/// Why a port was not given.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Said already.
    Known(HostError),
    /// Some process has it.
    InUse { label: String, number: u16 },
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        Self::Known(error)
    }
}

/// All ports given out.
#[derive(Debug)]
pub(super) struct Book {
    settings: PortSettings,
    allocs: HashMap<AllocId, Vec<Entry>>,
    /// For each number, who has it with TCP and with UDP.
    numbers: HashMap<u16, [Option<AllocId>; 2]>,
    resting: HashMap<u16, Instant>,
    /// Allocations whose tasks have their ports now.
    lent: HashSet<AllocId>,
}

/// One port and the sockets that hold it; none while a task has it.
#[derive(Debug)]
struct Entry {
    port: Port,
    sockets: Vec<OwnedFd>,
    /// What takes connections and datagrams on ::1.
    proxy: Option<Proxy>,
}

impl Book {
    pub fn new(settings: PortSettings) -> Self {
        Self {
            settings,
            allocs: HashMap::new(),
            numbers: HashMap::new(),
            resting: HashMap::new(),
            lent: HashSet::new(),
        }
    }

    /// All or none.
    pub fn reserve(&mut self, alloc: &AllocId, requests: &[PortRequest]) -> Result<Vec<Port>, Refusal> {
        let before = self.allocs.get(alloc).map_or(0, Vec::len);
        let reserved = requests.iter().map(|request| self.reserve_one(alloc, request)).collect();
        if let (Err(_), Some(entries)) = (&reserved, self.allocs.get_mut(alloc)) {
            let undone = entries.split_off(before);
            self.forget(alloc, undone);
        }
        reserved
    }

    fn reserve_one(&mut self, alloc: &AllocId, request: &PortRequest) -> Result<Port, Refusal> {
        let host_ip = self.host_ip(request)?;
        if let Some(port) = self.entry(alloc, &request.label).map(|entry| &entry.port) {
            let same = request.static_port.is_none_or(|number| number == port.host_port)
                && request.protocol == port.protocol
                && request.to.unwrap_or(port.host_port) == port.task_port;
            let label = &request.label;
            return if same {
                Ok(port.clone())
            } else {
                Err(HostError::Conflict(format!("the allocation has another port with the label {label:?} already"))
                    .into())
            };
        }
        let (number, sockets) = match request.static_port {
            Some(number) => (number, self.hold_static(number, request)?),
            None => self.hold_dynamic(request)?,
        };
        let port = Port {
            label: request.label.clone(),
            host_ip,
            host_port: number,
            task_port: request.to.unwrap_or(number),
            protocol: request.protocol.clone(),
            is_named: request.named().is_some(),
        };
        // One that is reserved for tasks that run is theirs to bind at once.
        let sockets = if self.lent.contains(alloc) { Vec::new() } else { sockets };
        self.enter(alloc, Entry { port: port.clone(), sockets, proxy: None });
        Ok(port)
    }

    fn hold_static(&self, number: u16, request: &PortRequest) -> Result<Vec<OwnedFd>, Refusal> {
        let label = &request.label;
        if number == 0 {
            return Err(HostError::Invalid(format!(
                "port 0 ({label:?}) is no port; leave `static` out for a dynamic one"
            ))
            .into());
        }
        if self.is_reserved(number, request.host_network.as_deref()) {
            return Err(HostError::Conflict(format!(
                "port {number} ({label:?}) is kept free by the agent's configuration (`reserved_ports`)"
            ))
            .into());
        }
        if let Some(other) = self.owner(number, &request.protocol) {
            let theirs = self.label_of(other, number);
            return Err(HostError::Conflict(format!(
                "port {number} ({label:?}) is reserved by allocation {other} ({theirs:?})"
            ))
            .into());
        }
        hold(number, &request.protocol).map_err(|error| match error {
            Errno::ADDRINUSE => Refusal::InUse { label: label.clone(), number },
            Errno::ACCESS => HostError::Denied(format!(
                "port {number} ({label:?}) is below the first port users may bind; run the agent as root, or lower \
                 the sysctl net.ipv4.ip_unprivileged_port_start"
            ))
            .into(),
            error => cannot_hold(error).into(),
        })
    }

    fn hold_dynamic(&mut self, request: &PortRequest) -> Result<(u16, Vec<OwnedFd>)> {
        let (first, last) = (*self.settings.dynamic.start(), *self.settings.dynamic.end());
        let size = usize::from(last.saturating_sub(first)) + 1;
        let nth = |index: usize| first.saturating_add((index % size) as u16);
        let network = request.host_network.as_deref();
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let mut random = random_numbers()?;
        let tries = (0..RANDOM_TRIES).map(|_| random()).collect::<Vec<_>>().into_iter();
        let start = random() % size;
        // Numbers that rest come last: better early than never.
        for resting in [false, true] {
            for index in tries.clone().chain(start..start + size) {
                let number = nth(index);
                let outside = number == 0 || !self.settings.dynamic.contains(&number);
                let taken = outside || self.numbers.contains_key(&number) || self.is_reserved(number, network);
                if taken || self.resting.contains_key(&number) != resting {
                    continue;
                }
                match hold(number, &request.protocol) {
                    Ok(sockets) => return Ok((number, sockets)),
                    Err(Errno::ADDRINUSE | Errno::ACCESS) => {}
                    Err(error) => return Err(cannot_hold(error)),
                }
            }
        }
        Err(HostError::Limit(format!(
            "no dynamic port from {first} to {last} is free; widen the range in the agent's configuration"
        )))
    }

    /// Takes a port the journal knows; false if some process has the number.
    pub fn restore(&mut self, alloc: &AllocId, port: &Port) -> Result<bool> {
        if let Some(entry) = self.entry(alloc, &port.label) {
            return Ok(!entry.sockets.is_empty());
        }
        if let Some(other) = self.owner(port.host_port, &port.protocol) {
            let number = port.host_port;
            return Err(HostError::Conflict(format!(
                "port {number} ({:?}) is reserved by allocation {other}",
                port.label
            )));
        }
        let sockets = match hold(port.host_port, &port.protocol) {
            Ok(sockets) => sockets,
            Err(Errno::ADDRINUSE) => Vec::new(),
            Err(error) => return Err(cannot_hold(error)),
        };
        let held = !sockets.is_empty();
        self.enter(alloc, Entry { port: port.clone(), sockets, proxy: None });
        Ok(held)
    }

    /// Closes an allocation's sockets. Answers the numbers that some process had already.
    pub fn let_go(&mut self, alloc: &AllocId) -> Vec<(String, u16)> {
        self.lent.insert(alloc.clone());
        let mut occupied = Vec::new();
        for entry in self.allocs.get_mut(alloc).into_iter().flatten() {
            let held = !std::mem::take(&mut entry.sockets).is_empty();
            if !held && matches!(hold(entry.port.host_port, &entry.port.protocol), Err(Errno::ADDRINUSE)) {
                occupied.push((entry.port.label.clone(), entry.port.host_port));
            }
        }
        occupied
    }

    /// Leads what comes to a port on ::1 to an address, if the port is held and answers on every address.
    pub fn lead(&mut self, alloc: &AllocId, label: &str, to: SocketAddr) -> Result<()> {
        let host_ip = self.settings.host_ip;
        let Some(entry) = self.entry_mut(alloc, label) else { return Ok(()) };
        if entry.port.only_at(host_ip).is_some() || entry.sockets.is_empty() {
            return Ok(());
        }
        let number = entry.port.host_port;
        let failed = |error: &dyn std::fmt::Display| HostError::Other(format!("[::1]:{number}: {error}"));
        let mut beside = Vec::new();
        for (transport, held) in transports(&entry.port.protocol).iter().zip(&entry.sockets) {
            let socket = bound_beside(held, number, *transport).map_err(|error| failed(&error))?;
            beside.extend(socket.map(|socket| (*transport, socket)));
        }
        if !beside.is_empty() {
            entry.proxy = Some(Proxy::begin(beside, to).map_err(|error| failed(&error))?);
        }
        Ok(())
    }

    /// What takes connections and datagrams on ::1 for a port, or for all of an allocation, that do not lead to `keep`.
    /// It is to be ended before the port is given back.
    pub fn stop_leading(&mut self, alloc: &AllocId, label: Option<&str>, keep: Option<SocketAddr>) -> Vec<Proxy> {
        let entries = self.allocs.get_mut(alloc).into_iter().flatten();
        let meant = entries.filter(|entry| label.is_none_or(|label| label == entry.port.label));
        meant.filter_map(|entry| entry.proxy.take_if(|proxy| keep != Some(proxy.to))).collect()
    }

    /// Whether a port on ::1 is led somewhere.
    pub fn leads(&self, alloc: &AllocId, label: &str) -> bool {
        self.entry(alloc, label).is_some_and(|entry| entry.proxy.is_some())
    }

    /// Takes an allocation's sockets again where that is possible.
    pub fn reclaim(&mut self, alloc: &AllocId) {
        self.lent.remove(alloc);
        for entry in self.allocs.get_mut(alloc).into_iter().flatten().filter(|entry| entry.sockets.is_empty()) {
            entry.sockets = hold(entry.port.host_port, &entry.port.protocol).unwrap_or_default();
        }
    }

    /// An allocation's ports, in the order they were reserved.
    pub fn ports(&self, alloc: &AllocId) -> Vec<Port> {
        self.allocs.get(alloc).into_iter().flatten().map(|entry| entry.port.clone()).collect()
    }

    /// Labels of an allocation's ports that are held by sockets now.
    pub fn held(&self, alloc: &AllocId) -> Vec<String> {
        let held = self.allocs.get(alloc).into_iter().flatten().filter(|entry| !entry.sockets.is_empty());
        held.map(|entry| entry.port.label.clone()).collect()
    }

    /// Numbers never given to anybody.
    pub fn kept_free(&self) -> Vec<RangeInclusive<u16>> {
        let of_networks = self.settings.host_networks.values().flat_map(|network| &network.reserved);
        self.settings.reserved.iter().chain(of_networks).cloned().collect()
    }

    /// Gives back one or all.
    pub fn release(&mut self, alloc: &AllocId, label: Option<&str>) {
        if label.is_none() {
            self.lent.remove(alloc);
        }
        let Some(entries) = self.allocs.remove(alloc) else { return };
        let (released, kept): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| label.is_none_or(|label| label == entry.port.label));
        if !kept.is_empty() {
            self.allocs.insert(alloc.clone(), kept);
        }
        if !self.settings.rest.is_zero() {
            let until = Instant::now() + self.settings.rest;
            self.resting.extend(released.iter().map(|entry| (entry.port.host_port, until)));
        }
        self.forget(alloc, released);
    }

    fn enter(&mut self, alloc: &AllocId, entry: Entry) {
        let owners = self.numbers.entry(entry.port.host_port).or_default();
        for transport in transports(&entry.port.protocol) {
            owners[*transport as usize] = Some(alloc.clone());
        }
        self.allocs.entry(alloc.clone()).or_default().push(entry);
    }

    /// Strikes entries that are in no allocation's list any more.
    fn forget(&mut self, alloc: &AllocId, entries: Vec<Entry>) {
        for Entry { port, .. } in entries {
            if let Some(owners) = self.numbers.get_mut(&port.host_port) {
                transports(&port.protocol).iter().for_each(|transport| owners[*transport as usize] = None);
                if owners.iter().all(Option::is_none) {
                    self.numbers.remove(&port.host_port);
                }
            }
        }
        if self.allocs.get(alloc).is_some_and(Vec::is_empty) {
            self.allocs.remove(alloc);
        }
    }

    fn entry(&self, alloc: &AllocId, label: &str) -> Option<&Entry> {
        self.allocs.get(alloc)?.iter().find(|entry| entry.port.label == label)
    }

    fn entry_mut(&mut self, alloc: &AllocId, label: &str) -> Option<&mut Entry> {
        self.allocs.get_mut(alloc)?.iter_mut().find(|entry| entry.port.label == label)
    }

    fn owner(&self, number: u16, protocol: &Protocol) -> Option<&AllocId> {
        let owners = self.numbers.get(&number)?;
        transports(protocol).iter().find_map(|transport| owners[*transport as usize].as_ref())
    }

    fn label_of(&self, alloc: &AllocId, number: u16) -> &str {
        let mut entries = self.allocs.get(alloc).into_iter().flatten();
        entries.find(|entry| entry.port.host_port == number).map_or("", |entry| &entry.port.label)
    }

    fn is_reserved(&self, number: u16, host_network: Option<&str>) -> bool {
        let of_network = host_network.and_then(|name| self.settings.host_networks.get(name));
        let of_network = of_network.into_iter().flat_map(|network| &network.reserved);
        self.settings.reserved.iter().chain(of_network).any(|range: &RangeInclusive<u16>| range.contains(&number))
    }

    /// The address of a port by its `host_network`.
    pub fn host_ip(&self, request: &PortRequest) -> Result<String> {
        let ip = match request.named() {
            None => Some(&self.settings.host_ip),
            Some(name) => self.settings.host_networks.get(name).map(|network| &network.address),
        };
        ip.map(ToString::to_string).ok_or_else(|| {
            let known: Vec<_> = self.settings.host_networks.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            let (label, name) = (&request.label, request.named().unwrap_or_default());
            HostError::Invalid(format!(
                "port {label:?}: no addresses available for {name:?} network; the agent's configuration has: {known}"
            ))
        })
    }
}

fn cannot_hold(error: Errno) -> HostError {
    match error {
        Errno::MFILE | Errno::NFILE => HostError::Limit(
            "no more files can be opened to hold ports; raise the limit of open files (systemd: LimitNOFILE)".into(),
        ),
        error => HostError::Other(format!("holding a port: {error}")),
    }
}

/// A source of numbers good enough to spread ports.
fn random_numbers() -> Result<impl FnMut() -> usize> {
    let mut seed = [0; 8];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| HostError::Other(format!("random numbers: {error}")))?;
    let mut state = u64::from_ne_bytes(seed) | 1;
    Ok(move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize
    })
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
