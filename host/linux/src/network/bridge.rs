//! The bridge, what hangs on it, and our table: what there is, made so, kept so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    os::fd::AsFd,
};

use longshore_core::{
    error::{HostError, Result},
    port::Port,
};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    NetworkSettings,
    addresses::{Pair, Places},
    check::{LOCKS, bridge_or_room, layout, lock_file, missing_nft, others_bridge, privilege},
    conntrack, forwarding,
    links::{LOOPBACK, Link, Peer},
    namespace::{LINK_DIGITS, Namespace},
    netlink::{Batch, Socket},
    nft::{Element, Ruleset, Transaction},
    rules::{MAPS, Scope, entries},
};
use crate::failure::because;

/// The interface inside.
pub(super) const INSIDE: &str = "eth0";
/// First letters of the names of the interfaces outside.
const OUTSIDE: &str = "lv";
/// What Ethernet carries unless something else is known.
const USUAL_MTU: u32 = 1500;

/// The bridge of this agent.
pub(super) struct Bridge {
    scope: Scope,
    host_ip: IpAddr,
    links: Socket,
    nft: Socket,
    index: u32,
    mtu: u32,
    places: Places,
    members: BTreeMap<String, Member>,
    /// Of the machine's tables when ours was last known to be right.
    generation: u32,
    /// Locked as long as this lives.
    _lock: fs::File,
}

/// What an allocation has of the bridge.
#[derive(Clone, Debug)]
struct Member {
    place: u32,
    entries: Vec<(usize, Element)>,
}

impl Bridge {
    /// Makes the bridge and the table, or takes over those that an agent before this one left.
    pub fn open(settings: &NetworkSettings) -> Result<Self> {
        privilege()?;
        let lock = take_lock(&settings.bridge)?;
        let (scope, places) = layout(settings)?;
        let mut links = Socket::route().map_err(because("netlink"))?;
        let nft = Socket::netfilter().map_err(missing_nft)?;
        let mtu = usual_mtu(&mut links).map_err(because("the default route"))?;
        let index = make_bridge(&mut links, &scope, places.gateway(), mtu)?;
        let host_ip = settings.host_ip;
        let mut bridge = Self {
            scope,
            host_ip,
            links,
            nft,
            index,
            mtu,
            places,
            members: BTreeMap::new(),
            generation: 0,
            _lock: lock,
        };
        forwarding::switch_on(&bridge.scope)?;
        bridge.write_rules(&[], &[])?;
        Ok(bridge)
    }

    /// Whether there is such a link: an agent before this one may have left networks on it.
    pub fn exists(settings: &NetworkSettings) -> bool {
        Socket::route().and_then(|mut links| links.link(&settings.bridge)).is_ok_and(|link| link.is_some())
    }

    /// The addresses an allocation has.
    pub fn addresses(&self, alloc: &str) -> Option<Pair> {
        self.members.get(alloc).map(|member| self.places.at(member.place))
    }

    /// What an allocation hangs on: the bridge, its link outside, our table.
    pub fn wiring(&self, alloc: &str) -> [String; 3] {
        [self.scope.bridge.clone(), outside_name(alloc), self.scope.table.clone()]
    }

    /// The addresses of this machine as allocations reach it.
    pub fn gateway(&self) -> Pair {
        self.places.gateway()
    }

    /// Gives an allocation a place: the one it had before, if that is known and free.
    pub fn place(&mut self, alloc: &str, before: Option<IpAddr>) -> Result<Pair> {
        if let Some(pair) = self.addresses(alloc) {
            return Ok(pair);
        }
        let again = match before {
            Some(IpAddr::V4(four)) => self.places.take_again(four),
            _ => None,
        };
        let place = again.or_else(|| self.places.take()).ok_or_else(|| {
            let (subnet, capacity) = (self.scope.subnet, self.places.capacity());
            HostError::Limit(format!(
                "all {capacity} addresses of the bridge's subnet {subnet} are taken; widen bridge_network_subnet"
            ))
        })?;
        self.members.insert(alloc.to_owned(), Member { place, entries: Vec::new() });
        Ok(self.places.at(place))
    }

    /// Links a namespace to the bridge, unless it is.
    pub fn attach(&mut self, alloc: &str, inside: &mut Namespace) -> Result<()> {
        let Some(pair) = self.addresses(alloc) else { return Ok(()) };
        let name = outside_name(alloc);
        let failed = |what: &'static str| because(format!("{what} of allocation {alloc}"));
        if let Some(link) = self.links.link(&name).map_err(failed("the link"))? {
            if link.master == self.index && is_complete(inside, pair).map_err(failed("the inner link"))? {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.delete_link(&name);
            let answer = self.links.transact(&batch).map_err(failed("the old link"))?;
            answer.check(&[Errno::NODEV]).map_err(failed("the old link"))?;
        }
        let peer = Peer { name: INSIDE, mac: pair.mac(), namespace: inside.file.as_fd() };
        let mut batch = Batch::new();
        batch.add_pair(&name, self.index, self.mtu, &peer);
        let made = self.links.transact(&batch).and_then(|answer| answer.check(&[]));
        made.map_err(|error| match error {
            Errno::XFULL => HostError::Limit(format!(
                "bridge {} has no free port: the kernel allows 1023 allocations on one bridge",
                self.scope.bridge
            )),
            error => failed("the link")(error),
        })?;
        self.furnish(pair, inside).map_err(failed("addresses and routes"))?;
        self.introduce(&name, pair).map_err(failed("neighbours"))
    }

    /// Addresses, routes and the gateway's hardware address, inside.
    fn furnish(&self, pair: Pair, inside: &mut Namespace) -> rustix::io::Result<()> {
        let link = inside.links.link(INSIDE)?.ok_or(Errno::NODEV)?;
        let gateway = self.places.gateway();
        let mut batch = Batch::new();
        batch.set_up(LOOPBACK);
        batch.set_up(link.index);
        for (address, prefix) in pair.iter().zip(self.scope.subnets().map(|net| net.prefix_len())) {
            batch.add_address(link.index, address, prefix);
        }
        for address in gateway.iter() {
            batch.add_default_route(link.index, address);
            batch.add_neighbour(link.index, address, gateway.mac());
        }
        inside.links.transact(&batch)?.check(&[])
    }

    /// Tells the bridge where the allocation is, once for all.
    fn introduce(&mut self, name: &str, pair: Pair) -> rustix::io::Result<()> {
        let port = self.links.link(name)?.ok_or(Errno::NODEV)?;
        let mut batch = Batch::new();
        batch.add_forwarding(port.index, pair.mac());
        for address in pair.iter() {
            batch.add_neighbour(self.index, address, pair.mac());
        }
        self.links.transact(&batch)?.check(&[])
    }

    /// Maps ports to an allocation, in place of those mapped before.
    pub fn map(&mut self, alloc: &str, ports: &[Port]) -> Result<()> {
        let Some(pair) = self.addresses(alloc) else { return Ok(()) };
        let wanted = entries(alloc, ports, pair, self.host_ip);
        let before = self.members.get(alloc).map(|member| member.entries.clone()).unwrap_or_default();
        let gone: Vec<_> = before.iter().filter(|entry| !wanted.contains(entry)).cloned().collect();
        let new: Vec<_> = wanted.iter().filter(|entry| !before.contains(entry)).cloned().collect();
        let mut transaction = Transaction::new();
        change(&mut transaction, &self.scope.table, &gone, &new);
        match transaction.commit(&mut self.nft) {
            Ok(()) => {}
            // Left by somebody, or taken away by somebody: look, and change what is different.
            Err(Errno::EXIST | Errno::NOENT) => self.write_rules(&new, &gone)?,
            Err(error) => return Err(missing_nft(error).into()),
        }
        if let Some(member) = self.members.get_mut(alloc) {
            member.entries = wanted;
        }
        self.forget_connections(pair);
        self.see_generation();
        Ok(())
    }

    /// Removes all an allocation has, past every error.
    pub fn remove(&mut self, alloc: &str) -> Vec<HostError> {
        let mut errors = Vec::new();
        let mut note = |what: &str, result: rustix::io::Result<()>| {
            errors.extend(result.map_err(because(format_args!("{what} of allocation {alloc}"))).err());
        };
        note("the port map", self.remove_entries(alloc));
        let pair = self.addresses(alloc);
        if let Some(pair) = pair {
            self.forget_connections(pair);
        }
        let mut batch = Batch::new();
        batch.delete_link(&outside_name(alloc));
        pair.iter().flat_map(Pair::iter).for_each(|address| batch.delete_neighbour(self.index, address));
        let answer = self.links.transact(&batch).and_then(|answer| answer.check(&[Errno::NODEV, Errno::NOENT]));
        note("the link", answer);
        if let Some(member) = self.members.remove(alloc) {
            self.places.free(member.place);
        }
        errors
    }

    fn remove_entries(&mut self, alloc: &str) -> rustix::io::Result<()> {
        let known = self.members.get(alloc).map(|member| member.entries.clone());
        let table = self.scope.table.clone();
        if let Some(known) = known {
            let mut transaction = Transaction::new();
            change(&mut transaction, &table, &known, &[]);
            match transaction.commit(&mut self.nft) {
                Err(Errno::NOENT) => {}
                done => {
                    self.see_generation();
                    return done;
                }
            }
        }
        let present = self.present()?;
        let left: Vec<_> = present.into_iter().filter(|(_, element)| element.owner == alloc).collect();
        let mut transaction = Transaction::new();
        change(&mut transaction, &table, &left, &[]);
        transaction.commit(&mut self.nft)
    }

    /// Takes over the networks of an agent before this one: whatever is in the table or on the bridge and belongs
    /// to none of `allocs` is removed, in one transaction. Answers ids (or beginnings of ids) of the owners.
    pub fn sweep(&mut self, allocs: &BTreeSet<&str>) -> Result<BTreeSet<String>> {
        let present = self.present().map_err(missing_nft)?;
        let (kept, stale): (Vec<_>, Vec<_>) =
            present.into_iter().partition(|(_, element)| allocs.contains(element.owner.as_str()));
        let mut transaction = Transaction::new();
        change(&mut transaction, &self.scope.table, &stale, &[]);
        transaction.commit(&mut self.nft).map_err(missing_nft)?;
        for (map, element) in kept {
            if let Some(member) = self.members.get_mut(&element.owner) {
                member.entries.push((map, element));
            }
        }
        let wanted: BTreeSet<String> = allocs.iter().map(|alloc| outside_name(alloc)).collect();
        let links = self.links.links().map_err(because("the bridge's ports"))?;
        let orphan = |link: &&Link| link.master == self.index && !wanted.contains(&link.name);
        let orphans: Vec<_> = links.iter().filter(orphan).filter(|link| link.name.starts_with(OUTSIDE)).collect();
        let mut batch = Batch::new();
        orphans.iter().for_each(|link| batch.delete_link(&link.name));
        if !orphans.is_empty() {
            let answer = self.links.transact(&batch).and_then(|answer| answer.check(&[Errno::NODEV]));
            answer.map_err(because("orphaned links"))?;
        }
        let mut owners: BTreeSet<String> = stale.into_iter().map(|(_, element)| element.owner).collect();
        owners.extend(orphans.iter().filter_map(|link| link.name.strip_prefix(OUTSIDE).map(String::from)));
        Ok(owners)
    }

    /// Looks whether the bridge and the table are as they should be, and makes them so; answers what was restored.
    pub fn repair(&mut self) -> Result<Vec<String>> {
        let mut told = Vec::new();
        let generation = self.nft.generation().map_err(missing_nft)?;
        if generation != self.generation {
            if self.is_damaged().map_err(missing_nft)? {
                self.write_rules(&[], &[])?;
                told.push(format!("table inet {} was not as it should be and was restored", self.scope.table));
            }
            self.see_generation();
        }
        Ok(told)
    }

    fn is_damaged(&mut self) -> rustix::io::Result<bool> {
        let rules = self.nft.rules(super::nft::table_family::INET, &self.scope.table)?;
        let mut docker = Transaction::new();
        forwarding::pass_docker(&mut self.nft, &self.scope, &mut docker)?;
        if rules.len() != self.scope.rule_count() || !docker.is_empty() {
            return Ok(true);
        }
        let present: BTreeSet<_> = self.present()?.into_iter().collect();
        let wanted: BTreeSet<_> = self.members.values().flat_map(|member| member.entries.clone()).collect();
        Ok(present != wanted)
    }

    /// Writes the whole table: what is missing is made, rules are written anew, the maps hold exactly what the
    /// members have, with `new` and without `gone`. One transaction, so no packet sees less.
    fn write_rules(&mut self, new: &[(usize, Element)], gone: &[(usize, Element)]) -> Result<()> {
        let table = self.scope.table.clone();
        let present: BTreeSet<_> = self.present().map_err(missing_nft)?.into_iter().collect();
        let members = self.members.values().flat_map(|member| &member.entries);
        let mut wanted: BTreeSet<_> = members.filter(|entry| !gone.contains(entry)).cloned().collect();
        wanted.extend(new.iter().cloned());
        // At an agent's start nobody is a member yet; `sweep` removes what nobody will claim.
        let claimed = |entry: &&(usize, Element)| !self.members.is_empty() && !wanted.contains(entry);
        let stale: Vec<_> = present.iter().filter(claimed).cloned().collect();
        let missing: Vec<_> = wanted.difference(&present).cloned().collect();
        let mut transaction = Transaction::new();
        self.scope.write(&mut transaction);
        change(&mut transaction, &table, &stale, &missing);
        forwarding::pass_docker(&mut self.nft, &self.scope, &mut transaction).map_err(missing_nft)?;
        transaction.commit(&mut self.nft).map_err(missing_nft)?;
        self.see_generation();
        Ok(())
    }

    fn present(&mut self) -> rustix::io::Result<Vec<(usize, Element)>> {
        let mut present = Vec::new();
        for (number, map) in MAPS.iter().enumerate() {
            let elements = self.nft.elements(&self.scope.table, map.name)?;
            present.extend(elements.into_iter().map(|element| (number, element)));
        }
        Ok(present)
    }

    fn see_generation(&mut self) {
        // Unknown is as good as changed: the next look is a thorough one.
        self.generation = self.nft.generation().unwrap_or(0);
    }

    fn forget_connections(&mut self, pair: Pair) {
        for address in pair.iter() {
            if let Err(error) = conntrack::forget(&mut self.nft, address) {
                tracing::debug!(%address, %error, "connections could not be forgotten");
            }
        }
    }

    /// Removes the bridge, the table and all that hangs on them.
    pub fn demolish(mut self) -> Result<()> {
        let mut transaction = Transaction::new();
        transaction.delete_table(&self.scope.table);
        forwarding::leave_docker(&mut self.nft, &self.scope, &mut transaction).map_err(missing_nft)?;
        transaction.commit(&mut self.nft).map_err(missing_nft)?;
        let mut batch = Batch::new();
        batch.delete_link(&self.scope.bridge);
        let answer = self.links.transact(&batch).and_then(|answer| answer.check(&[Errno::NODEV]));
        answer.map_err(because(&self.scope.bridge))
    }
}

/// Removes and adds entries, each in its map.
fn change(transaction: &mut Transaction, table: &str, gone: &[(usize, Element)], new: &[(usize, Element)]) {
    let of = |entries: &[(usize, Element)], number: usize| -> Vec<Element> {
        entries.iter().filter(|(map, _)| *map == number).map(|(_, element)| element.clone()).collect()
    };
    for (number, map) in MAPS.iter().enumerate() {
        transaction.delete_elements(table, map.name, &of(gone, number));
        transaction.add_elements(table, map.name, &of(new, number));
    }
}

/// The interface of an allocation on the host's side: at most 15 letters, of which 12 are the id's.
pub(super) fn outside_name(alloc: &str) -> String {
    let letters: String = alloc.chars().filter(char::is_ascii_alphanumeric).take(LINK_DIGITS).collect();
    format!("{OUTSIDE}{letters}")
}

fn is_complete(inside: &mut Namespace, pair: Pair) -> rustix::io::Result<bool> {
    let Some(link) = inside.links.link(INSIDE)? else { return Ok(false) };
    let addresses = inside.links.addresses(link.index)?;
    let all = pair.iter().all(|address| addresses.contains(&address));
    Ok(link.mac == pair.mac() && all)
}

/// The bridge's index; made unless it is there and ours.
fn make_bridge(links: &mut Socket, scope: &Scope, gateway: Pair, mtu: u32) -> Result<u32> {
    let name = &scope.bridge;
    let failed = || because(format!("bridge {name}"));
    if bridge_or_room(links, scope, gateway)?.is_none() {
        let mut batch = Batch::new();
        batch.add_bridge(name, gateway.mac(), mtu);
        links.transact(&batch).and_then(|answer| answer.check(&[])).map_err(failed())?;
    }
    let index = links.link(name).map_err(failed())?.map(|link| link.index);
    let index = index.ok_or_else(|| HostError::Other(format!("bridge {name} is gone as soon as it was made")))?;
    let mut batch = Batch::new();
    for (address, net) in gateway.iter().zip(scope.subnets()) {
        batch.add_address(index, address, net.prefix_len());
    }
    batch.set_up(index);
    links.transact(&batch).and_then(|answer| answer.check(&[])).map_err(failed())?;
    Ok(index)
}

/// What the interface of the default route carries.
fn usual_mtu(links: &mut Socket) -> rustix::io::Result<u32> {
    let default = links.routes()?.into_iter().find(|route| route.destination.is_none());
    let Some(default) = default else { return Ok(USUAL_MTU) };
    let link = links.links()?.into_iter().find(|link| link.index == default.interface);
    Ok(link.map_or(USUAL_MTU, |link| link.mtu).min(65_535))
}

fn take_lock(bridge: &str) -> Result<fs::File> {
    let path = lock_file(bridge);
    fs::create_dir_all(LOCKS).map_err(because(LOCKS))?;
    let file = fs::File::create(&path).map_err(because(path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => others_bridge(bridge).into(),
        error => because(path.display())(error),
    })?;
    Ok(file)
}
