//! What on this machine stands in the way of networks of allocations, found without making anything.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use longshore_core::{
    error::{HostError, Result},
    network::Obstacle,
};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    NetworkSettings,
    addresses::{Places, Subnets},
    forwarding,
    links::Link,
    netlink::Socket,
    nft::{Transaction, is_missing},
    rules::Scope,
};
use crate::failure::because;

/// Where the locks are that say which agent a bridge belongs to.
pub(super) const LOCKS: &str = "/run/longshore";

/// Why something cannot be, with what to do about it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    kind: fn(String) -> HostError,
    pub obstacle: Obstacle,
}

impl Refusal {
    fn new(kind: fn(String) -> HostError, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, obstacle: Obstacle { problem: problem.into(), remedy: remedy.into() } }
    }
}

impl From<Refusal> for HostError {
    fn from(refusal: Refusal) -> Self {
        (refusal.kind)(refusal.obstacle.to_string())
    }
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        let problem = error.to_string();
        Self::new(HostError::Other, problem, "see the agent's log, and try again")
    }
}

/// The bridge as settings describe it.
pub(super) fn layout(settings: &NetworkSettings) -> Result<Scope> {
    let subnets = Subnets::new(settings.subnet, settings.subnet_ipv6).ok_or_else(|| {
        HostError::Invalid(format!(
            "bridge_network_subnet {}: too small, or larger than bridge_network_subnet_ipv6",
            settings.subnet
        ))
    })?;
    let bridge = settings.bridge.clone();
    Ok(Scope { table: table_of(&bridge), bridge, subnets, bridges: Vec::new() })
}

/// The name of the table of a bridge's rules.
pub(super) fn table_of(bridge: &str) -> String {
    format!("longshore_{bridge}")
}

/// Whether a bridge could be opened: everything [`Bridge::open`](super::bridge::Bridge::open) asks, and a
/// transaction that ends as it began.
pub(super) fn openable(settings: &NetworkSettings) -> Result<(), Refusal> {
    privilege()?;
    let scope = layout(settings)?;
    let mut links = Socket::route().map_err(because("netlink"))?;
    unlocked(settings, &mut links, &scope)?;
    bridge_or_room(&mut links, &scope, 0)?;
    let mut nft = Socket::netfilter().map_err(missing_nft)?;
    let bridges = vec![scope.bridge.clone()];
    let trial = Scope { table: format!("{}_trial", scope.table), bridges, ..scope };
    let mut transaction = Transaction::new();
    trial.write(&mut transaction);
    transaction.delete_table(&trial.table);
    transaction.commit(&mut nft).map_err(missing_nft)
}

/// Firewalls of others that drop what is forwarded.
pub(super) fn firewalls(settings: &NetworkSettings) -> Result<Vec<Obstacle>> {
    let scope = layout(settings)?;
    let mut nft = Socket::netfilter().map_err(missing_nft)?;
    Ok(forwarding::obstacles(&mut nft, &scope).map_err(missing_nft)?)
}

/// Whether the capabilities are there.
pub(super) fn privilege() -> Result<(), Refusal> {
    const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];
    let status = fs::read_to_string("/proc/self/status").map_err(because("/proc/self/status"))?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    let missing: Vec<_> = NEEDED.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        HostError::Unavailable,
        format!("networks of allocations need {}, which this agent lacks", missing.join(" and ")),
        "run it as root (sudo longshore agent), or use network mode \"host\"",
    ))
}

/// The file whose lock says which agent has a bridge.
pub(super) fn lock_file(bridge: &str) -> PathBuf {
    Path::new(LOCKS).join(format!("{bridge}.lock"))
}

/// What it means that the lock is taken.
pub(super) fn others_bridge(bridge: &str) -> Refusal {
    Refusal::new(
        HostError::Conflict,
        format!("bridge {bridge:?} belongs to another agent on this machine"),
        "give this one its own bridge_network_name and bridge_network_subnet",
    )
}

fn unlocked(settings: &NetworkSettings, links: &mut Socket, scope: &Scope) -> Result<(), Refusal> {
    let Ok(file) = fs::File::open(lock_file(&settings.bridge)) else { return Ok(()) };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Err(others_bridge(&settings.bridge)),
        _ => waits_for_nobody(&file, settings, links, scope),
    }
}

/// Refuses a bridge with networks of another agent that does not run now, and will find them again when it does.
pub(super) fn waits_for_nobody(
    mut lock: &fs::File,
    settings: &NetworkSettings,
    links: &mut Socket,
    scope: &Scope,
) -> Result<(), Refusal> {
    let mut owner = Vec::new();
    lock.read_to_end(&mut owner).map_err(because(lock_file(&settings.bridge).display()))?;
    let owner = Path::new(OsStr::from_bytes(&owner));
    if owner.as_os_str().is_empty() || owner == settings.owner || !owner.exists() {
        return Ok(());
    }
    let all = links.links().map_err(because("the bridge's ports"))?;
    let bridges: BTreeSet<_> =
        all.iter().filter(|link| scope.segment_of(&link.name).is_some()).map(|link| link.index).collect();
    if all.iter().all(|link| !bridges.contains(&link.master)) {
        return Ok(());
    }
    let bridge = &settings.bridge;
    Err(Refusal::new(
        HostError::Conflict,
        format!("allocations of the agent in {}, which does not run now, are on bridge {bridge:?}", owner.display()),
        "start it and stop them, or give this one its own bridge_network_name and bridge_network_subnet",
    ))
}

/// A segment's bridge if it is there and ours; none if it is not there and could be.
pub(super) fn bridge_or_room(links: &mut Socket, scope: &Scope, segment: u32) -> Result<Option<Link>, Refusal> {
    let name = scope.bridge_of(segment);
    let Some(link) = links.link(&name).map_err(because(format_args!("bridge {name}")))? else {
        // The first one is on the way to the whole subnet.
        return if segment == 0 { free_routes(links, scope).map(|()| None) } else { Ok(None) };
    };
    if is_ours(&link, scope, segment) {
        return Ok(Some(link));
    }
    let kind = if link.kind.is_empty() { "network device" } else { &link.kind };
    Err(Refusal::new(
        HostError::Conflict,
        format!("bridge_network_name {name:?} is taken by a {kind} that is not ours (or had another subnet)"),
        format!("ip link delete {name}, or choose another name"),
    ))
}

/// Whether a link is a segment's bridge: its hardware address follows from the subnet.
fn is_ours(link: &Link, scope: &Scope, segment: u32) -> bool {
    link.kind == "bridge" && link.mac == Places::new(scope.subnets.segment(segment)).gateway().mac()
}

/// Refuses a subnet that the machine reaches some other way than by the bridges of its further segments.
fn free_routes(links: &mut Socket, scope: &Scope) -> Result<(), Refusal> {
    let routes = links.routes().map_err(because("the routing table"))?;
    let overlaps = |one: IpNet, other: IpNet| one.contains(&other) || other.contains(&one);
    let all = links.links().map_err(because("the bridges"))?;
    let is_further = |link: &&Link| scope.segment_of(&link.name).is_some_and(|it| it > 0 && is_ours(link, scope, it));
    let further: BTreeSet<_> = all.iter().filter(is_further).map(|link| link.index).collect();
    for subnet in scope.subnets.iter() {
        let others = routes.iter().filter(|route| !further.contains(&route.interface));
        let mut others = others.filter_map(|route| Some((route, route.destination?)));
        let Some((route, destination)) = others.find(|(_, net)| overlaps(*net, subnet)) else { continue };
        let name = all.iter().find(|link| link.index == route.interface).map_or("another interface", |link| &link.name);
        return Err(Refusal::new(
            HostError::Conflict,
            format!("subnet {subnet} of the bridge overlaps {destination}, which is reached by {name}"),
            "set bridge_network_subnet to a free one",
        ));
    }
    Ok(())
}

/// What a refusal of nf_tables means.
pub(super) fn missing_nft(error: Errno) -> Refusal {
    if is_missing(error) {
        Refusal::new(
            HostError::Unavailable,
            format!("this kernel lacks a part of nf_tables that mapping ports needs ({error})"),
            "modprobe -a nf_tables nft_chain_nat nft_masq nft_fib_inet nft_ct",
        )
    } else {
        because("nf_tables")(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_nf_tables_is_told_with_the_remedy() {
        for error in [Errno::PROTONOSUPPORT, Errno::OPNOTSUPP] {
            let refused = HostError::from(missing_nft(error));
            let HostError::Unavailable(text) = &refused else { panic!("{error}: {refused:?}") };
            assert!(text.contains("lacks a part of nf_tables") && text.contains("; modprobe -a nf_tables"), "{text}");
        }
        assert!(matches!(missing_nft(Errno::NOBUFS).into(), HostError::Other(_)));
    }
}
