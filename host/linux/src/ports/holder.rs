//! Who has a port: from `/proc/net` to the socket, from the socket to the process.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use longshore_core::caller::AllocId;

/// Set in the environment of every task and shim.
const ALLOC_VARIABLE: &str = "NOMAD_ALLOC_ID";
/// Programs that hold a port for somebody else; whose it is cannot be told from them.
const PROXIES: [&str; 4] = ["docker-proxy", "rootlessport", "rootlesskit", "conmon"];
/// TCP states of `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A process that has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub pid: i32,
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Who has a number, for a message.
pub(super) fn describe(number: u16) -> String {
    let sockets = Sockets::with_port(number);
    let holder = processes_with(&sockets.listening).or_else(|| processes_with(&sockets.other));
    match holder {
        Some(holder) => holder.to_string(),
        None if !sockets.listening.is_empty() || !sockets.other.is_empty() => {
            "a process of another user (an agent that runs as root could name it)".into()
        }
        None => "connections that are still closing, or another network namespace".into(),
    }
}

/// The process that listens on a number and is certainly none of the allocation's.
pub(super) fn outsider(alloc: &AllocId, number: u16) -> Option<Holder> {
    let holder = processes_with(&Sockets::with_port(number).listening)?;
    let own = holder.pid == std::process::id() as i32 || PROXIES.contains(&holder.name.as_str());
    (!own && belongs(holder.pid, alloc) == Some(false)).then_some(holder)
}

/// Whether the process or one it descends from was started for the allocation; none if that cannot be seen.
fn belongs(mut pid: i32, alloc: &AllocId) -> Option<bool> {
    let wanted = format!("{ALLOC_VARIABLE}={alloc}");
    let own = std::process::id() as i32;
    while pid > 1 && pid != own {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        if environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()) {
            return Some(true);
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        pid = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())?;
    }
    Some(false)
}

/// Inodes of sockets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sockets {
    listening: BTreeSet<u64>,
    other: BTreeSet<u64>,
}

impl Sockets {
    fn with_port(number: u16) -> Self {
        let mut sockets = Self::default();
        for (file, tcp) in [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false)] {
            let table = fs::read_to_string(Path::new("/proc/net").join(file)).unwrap_or_default();
            sockets.read(&table, number, tcp);
        }
        sockets
    }

    /// Reads one table; a bound UDP socket counts as listening.
    fn read(&mut self, table: &str, number: u16, tcp: bool) {
        let suffix = format!(":{number:04X}");
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9)) else {
                continue;
            };
            // Inode 0: no process has it any more (a connection that lingers).
            let Some(inode) = inode.parse().ok().filter(|inode| *inode != 0 && local.ends_with(&suffix)) else {
                continue;
            };
            if !tcp || *state == LISTEN {
                self.listening.insert(inode)
            } else {
                self.other.insert(inode)
            };
        }
    }
}

/// The first process that has one of these sockets open, as far as we may look.
fn processes_with(inodes: &BTreeSet<u64>) -> Option<Holder> {
    if inodes.is_empty() {
        return None;
    }
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let pid = pids.find(|pid| has_one_of(*pid, inodes))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
    Some(Holder { pid, name })
}

fn has_one_of(pid: i32, inodes: &BTreeSet<u64>) -> bool {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.any(|target| {
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100\n\
            1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 20\n\
            2: 0100007F:1F90 0100007F:D432 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0\n\
            3: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4244 1 0 20\n\
            torn line\n";
        let mut sockets = Sockets::default();
        sockets.read(table, 8080, true);
        assert_eq!(sockets, Sockets { listening: [4242].into(), other: [4243].into() });
    }
}
