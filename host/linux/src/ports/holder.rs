//! Who has a port: from the number to the socket, from the socket to the process.

use std::{collections::BTreeSet, fs};

use longshore_core::caller::AllocId;

use crate::listeners::{self, Process};

/// Set in the environment of every task and shim.
const ALLOC_VARIABLE: &str = "NOMAD_ALLOC_ID";
/// Programs that hold a port for somebody else; whose it is cannot be told from them.
const PROXIES: [&str; 4] = ["docker-proxy", "rootlessport", "rootlesskit", "conmon"];

/// Who has a number, for a message.
pub(super) fn describe(number: u16) -> String {
    let sockets = Sockets::with_port(number);
    let holder = process_with(&sockets.listening).or_else(|| process_with(&sockets.other));
    match holder {
        Some(holder) => holder.to_string(),
        None if !sockets.listening.is_empty() || !sockets.other.is_empty() => {
            "a process of another user (an agent that runs as root could name it)".into()
        }
        None => "connections that are still closing, or another network namespace".into(),
    }
}

/// The process that listens on a number and is certainly none of the allocation's.
pub(super) fn outsider(alloc: &AllocId, number: u16) -> Option<Process> {
    let holder = process_with(&Sockets::with_port(number).listening)?;
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

/// Inodes of the sockets with a number.
#[derive(Debug, Default)]
struct Sockets {
    listening: BTreeSet<u64>,
    other: BTreeSet<u64>,
}

impl Sockets {
    /// A datagram socket counts as listening.
    fn with_port(number: u16) -> Self {
        let mut sockets = Self::default();
        for socket in listeners::sockets().into_iter().filter(|socket| socket.port == number) {
            let list = if socket.listens || !socket.tcp { &mut sockets.listening } else { &mut sockets.other };
            list.insert(socket.inode);
        }
        sockets
    }
}

fn process_with(inodes: &BTreeSet<u64>) -> Option<Process> {
    listeners::owners(inodes).next().map(|(_, process)| process)
}
