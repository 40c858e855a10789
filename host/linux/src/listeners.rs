//! Sockets as the kernel lists them in `/proc`: who listens where.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use longshore_core::{network::Listener, port::Protocol};

/// TCP's state "listening" in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// The other side of a socket that is not connected ends so.
const NOBODY: &str = ":0000";

/// A socket that some process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub tcp: bool,
    pub address: IpAddr,
    pub port: u16,
    pub inode: u64,
    /// Takes connections, or datagrams from anybody.
    pub listens: bool,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub pid: i32,
    pub name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The sockets of the calling thread's network namespace.
pub(crate) fn sockets() -> Vec<Socket> {
    let tables = [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false)];
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    tables.into_iter().flat_map(|(name, tcp)| parse(&read(name), tcp)).collect()
}

/// Reads one table; lines that make no sense are left out.
fn parse(table: &str, tcp: bool) -> Vec<Socket> {
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (local, remote, state) = (fields.get(1)?, fields.get(2)?, fields.get(3)?);
        // Inode 0: no process has it any more (a connection that lingers).
        let inode = fields.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
        let (address, port) = local.split_once(':')?;
        let listens = if tcp { *state == LISTEN } else { remote.ends_with(NOBODY) };
        let port = u16::from_str_radix(port, 16).ok()?;
        Some(Socket { tcp, address: self::address(address)?, port, inode, listens })
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// Words of 32 bits in the machine's order, as hexadecimal digits.
fn address(digits: &str) -> Option<IpAddr> {
    let word = |place: usize| u32::from_str_radix(digits.get(place..place + 8)?, 16).ok().map(u32::to_ne_bytes);
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

/// Processes that have one of these sockets open, with the socket, as far as we may look. Looks no further than it is
/// asked.
pub(crate) fn owners(inodes: &BTreeSet<u64>) -> impl Iterator<Item = (u64, Process)> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|_| !inodes.is_empty()).flat_map(|pid| {
        let open: Vec<_> = open_sockets(pid).filter(|inode| inodes.contains(inode)).collect();
        let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
        let process = open.first().map(|_| Process { pid, name: name() });
        open.into_iter().filter_map(move |inode| Some((inode, process.clone()?)))
    })
}

fn open_sockets(pid: i32) -> impl Iterator<Item = u64> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
}

/// Those sockets that listen, with their processes.
pub(crate) fn named(sockets: Vec<Socket>) -> Vec<Listener> {
    let listening: Vec<_> = sockets.into_iter().filter(|socket| socket.listens).collect();
    let inodes = listening.iter().map(|socket| socket.inode).collect();
    let owners: BTreeMap<_, _> = owners(&inodes).collect();
    let listener = |socket: Socket| {
        let owner = owners.get(&socket.inode);
        Listener {
            protocol: if socket.tcp { Protocol::Tcp } else { Protocol::Udp },
            address: socket.address,
            port: socket.port,
            process: owner.map(|owner| owner.name.clone()),
            pid: owner.and_then(|owner| owner.pid.try_into().ok()),
        }
    };
    listening.into_iter().map(listener).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_tables() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100\n\
            1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20\n\
            2: 0100007F:1F90 0100007F:D432 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0\n\
            torn line\n";
        let seen = |sockets: Vec<Socket>| -> Vec<_> {
            let told = |socket: Socket| (format!("{}:{}", socket.address, socket.port), socket.inode, socket.listens);
            sockets.into_iter().map(told).collect()
        };
        assert_eq!(
            seen(parse(tcp, true)),
            [("0.0.0.0:8080".to_owned(), 4242, true), ("127.0.0.1:8080".to_owned(), 4243, false)]
        );
        let udp6 = "head\n\
            0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 7 2 0 0\n";
        assert_eq!(seen(parse(udp6, false)), [("::1:53".to_owned(), 7, true)]);
    }

    #[test]
    fn finds_a_listener_of_its_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = sockets().into_iter().find(|socket| socket.port == port && socket.listens).unwrap();
        assert!(found.tcp && found.address.is_loopback());
        let (inode, process) = owners(&[found.inode].into()).next().unwrap();
        assert_eq!((inode, process.pid), (found.inode, std::process::id() as i32));
    }
}
