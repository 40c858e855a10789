//! The bridge, in as many segments as its allocations need, and our table: what there is, made so, kept so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Seek, Write},
    net::{IpAddr, Ipv4Addr},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    slice,
};

use longshore_core::{
    error::{HostError, Result},
    port::{Port, Protocol},
};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{
    NetworkSettings,
    addresses::Pair,
    check::{
        LOCKS, Refusal, bridge_or_room, layout, lock_file, missing_nft, others_bridge, privilege, table_of,
        waits_for_nobody,
    },
    conntrack, forwarding,
    links::Link,
    namespace::{self, Namespace},
    netlink::{Batch, Socket},
    nft::{Element, Ruleset, Transaction},
    rules::{MAPS, Scope, entries, host_port},
    segment::{OUTSIDE, Segment, outside_name},
};
use crate::failure::because;

/// The bridge of this agent.
pub(super) struct Bridge {
    scope: Scope,
    host_ip: IpAddr,
    links: Socket,
    nft: Socket,
    /// Made when those before are full, kept until the end.
    segments: Vec<Segment>,
    members: BTreeMap<String, Member>,
    /// Whether an agent before this one had it: flows to addresses it gave may still be remembered.
    inherited: bool,
    /// Of the machine's tables when ours was last seen to be right.
    generation: u32,
    /// Locked as long as this lives.
    _lock: fs::File,
}

/// What an allocation has of the bridge.
#[derive(Clone, Debug)]
struct Member {
    segment: usize,
    place: u32,
    entries: Vec<(usize, Element)>,
}

impl Bridge {
    /// Makes the bridge and the table, or takes over those that an agent before this one left.
    pub fn open(settings: &NetworkSettings) -> Result<Self> {
        privilege()?;
        let scope = layout(settings)?;
        let mut links = Socket::route().map_err(because("netlink"))?;
        let lock = take_lock(&settings.bridge)?;
        waits_for_nobody(&lock, settings, &mut links, &scope)?;
        sign(&lock, settings)?;
        let nft = Socket::netfilter().map_err(missing_nft)?;
        let mut bridge = Self {
            scope,
            host_ip: settings.host_ip,
            links,
            nft,
            segments: Vec::new(),
            members: BTreeMap::new(),
            inherited: Self::exists(settings),
            generation: 0,
            _lock: lock,
        };
        let last = bridge.last_segment()?;
        bridge.open_segments(last)?;
        Ok(bridge)
    }

    /// Whether there is such a link or the table: an agent before this one may have left networks.
    pub fn exists(settings: &NetworkSettings) -> bool {
        let link = Socket::route().and_then(|mut links| links.link(&settings.bridge));
        let table = table_of(&settings.bridge);
        let has_table = || Socket::netfilter()?.chains().map(|chains| chains.iter().any(|chain| chain.table == table));
        link.is_ok_and(|link| link.is_some()) || has_table().is_ok_and(|has| has)
    }

    /// The last segment that an agent before this one made, or the first.
    fn last_segment(&mut self) -> Result<u32> {
        let links = self.links.links().map_err(because("the machine's links"))?;
        Ok(links.iter().filter_map(|link| self.scope.segment_of(&link.name)).max().unwrap_or(0))
    }

    /// Makes the segments that are missing up to the last wanted, and writes the rules for them.
    fn open_segments(&mut self, last: u32) -> Result<()> {
        let mut new = Vec::new();
        for number in self.segments.len() as u32..=last {
            new.push(Segment::open(&mut self.links, &self.scope, number)?);
        }
        if new.is_empty() {
            return Ok(());
        }
        self.scope.bridges.extend(new.iter().map(|segment| segment.bridge.clone()));
        let written = self.rules().and_then(|rules| Ok(rules.commit(&mut self.nft).map_err(missing_nft)?));
        match written {
            Ok(()) => self.segments.extend(new),
            Err(_) => self.scope.bridges.truncate(self.segments.len()),
        }
        written
    }

    /// An allocation's segment and its place there.
    fn member(&self, alloc: &str) -> Option<(&Segment, u32)> {
        let member = self.members.get(alloc)?;
        Some((self.segments.get(member.segment)?, member.place))
    }

    /// The addresses an allocation has.
    pub fn addresses(&self, alloc: &str) -> Option<Pair> {
        self.member(alloc).map(|(segment, place)| segment.places.at(place))
    }

    /// What an allocation hangs on: the bridge, its link outside, our table.
    pub fn wiring(&self, alloc: &str) -> Option<[String; 3]> {
        let (segment, _) = self.member(alloc)?;
        Some([segment.bridge.clone(), outside_name(alloc), self.scope.table.clone()])
    }

    /// The addresses of this machine as an allocation reaches it.
    pub fn gateway(&self, alloc: &str) -> Option<Pair> {
        self.member(alloc).map(|(segment, _)| segment.places.gateway())
    }

    /// Gives an allocation a place: the one it had before, if that is known and free.
    pub fn place(&mut self, alloc: &str, before: Option<IpAddr>) -> Result<()> {
        if self.members.contains_key(alloc) {
            return Ok(());
        }
        let again = match before {
            Some(IpAddr::V4(four)) => self.take_again(four)?,
            _ => None,
        };
        let (segment, place) = match again {
            Some(had) => had,
            None => self.take()?,
        };
        self.members.insert(alloc.to_owned(), Member { segment, place, entries: Vec::new() });
        Ok(())
    }

    fn take_again(&mut self, address: Ipv4Addr) -> Result<Option<(usize, u32)>> {
        let Some(number) = self.scope.subnets.segment_of(address) else { return Ok(None) };
        self.open_segments(number)?;
        let segment = self.segments.get_mut(number as usize);
        Ok(segment.and_then(|segment| segment.places.take_again(address)).map(|place| (number as usize, place)))
    }

    fn take(&mut self) -> Result<(usize, u32)> {
        loop {
            let mut segments = self.segments.iter_mut().enumerate();
            if let Some(free) = segments.find_map(|(number, segment)| Some((number, segment.places.take()?))) {
                return Ok(free);
            }
            let next = self.segments.len() as u32;
            if next == self.scope.subnets.segments() {
                let capacity = self.scope.subnets.capacity();
                let subnet = self.scope.subnets.four;
                return Err(HostError::Limit(format!(
                    "all {capacity} addresses of the bridge's subnet {subnet} are taken; widen bridge_network_subnet"
                )));
            }
            self.open_segments(next)?;
        }
    }

    /// Links a namespace to its segment, unless it is.
    pub fn attach(&mut self, alloc: &str, inside: &mut Namespace) -> Result<()> {
        match self.try_attach(alloc, inside) {
            Err(error) if self.mend()?.is_empty() => Err(error),
            // Somebody had removed the bridge, and nobody had looked since.
            Err(_) => self.try_attach(alloc, inside),
            attached => attached,
        }
    }

    fn try_attach(&mut self, alloc: &str, inside: &mut Namespace) -> Result<()> {
        let Some(pair) = self.addresses(alloc) else { return Ok(()) };
        let segment = self.members.get(alloc).and_then(|member| self.segments.get(member.segment));
        segment.map_or(Ok(()), |segment| segment.attach(&mut self.links, alloc, pair, inside))
    }

    /// Maps ports to an allocation, in place of those mapped before.
    pub fn map(&mut self, alloc: &str, ports: &[Port]) -> Result<()> {
        let Some(pair) = self.addresses(alloc) else { return Ok(()) };
        let wanted = entries(alloc, ports, pair, self.host_ip);
        let before = self.members.get(alloc).map(|member| member.entries.clone()).unwrap_or_default();
        let gone: Vec<_> = before.iter().filter(|entry| !wanted.contains(entry)).cloned().collect();
        let new: Vec<_> = wanted.iter().filter(|entry| !before.contains(entry)).cloned().collect();
        if self.inherited && gone.is_empty() {
            // Before anybody is led there: a connection that is forgotten while it is made waits a second for its next
            // try.
            self.forget_connections(pair.iter());
        }
        let mut transaction = Transaction::new();
        change(&mut transaction, &self.scope.table, &gone, &new);
        match transaction.commit(&mut self.nft) {
            Ok(()) => {}
            // Left by somebody, or taken away by somebody: look, and change what is different.
            Err(Errno::EXIST | Errno::NOENT) => self.restore(&new, &gone)?,
            Err(error) => return Err(missing_nft(error).into()),
        }
        if let Some(member) = self.members.get_mut(alloc) {
            member.entries = wanted;
        }
        if !gone.is_empty() {
            self.forget_connections(pair.iter());
        }
        if !new.is_empty() {
            let datagrams = ports.iter().filter(|port| port.protocol != Protocol::Tcp);
            let datagrams = datagrams.map(|port| port.host_port).collect();
            pair.iter().for_each(|own| told_if(conntrack::forget_datagrams(&mut self.nft, own, &datagrams)));
        }
        Ok(())
    }

    /// Removes all that allocations have, past every error; answers those of each. The kernel's tables are looked through
    /// once, for all together.
    pub fn remove(&mut self, allocs: &[&str]) -> Vec<Vec<HostError>> {
        let mut errors: Vec<Vec<HostError>> = vec![Vec::new(); allocs.len()];
        if self.remove_entries(allocs).is_err() {
            // The kernel has no room for so many at once.
            for (alloc, errors) in allocs.iter().zip(&mut errors) {
                let removed = self.remove_entries(slice::from_ref(alloc));
                errors.extend(removed.map_err(because(format_args!("the port map of allocation {alloc}"))).err());
            }
        }
        let mut batch = Batch::new();
        let mut addresses = Vec::new();
        for (segment, place) in allocs.iter().filter_map(|alloc| self.member(alloc)) {
            let pair = segment.places.at(place);
            pair.iter().for_each(|address| batch.delete_neighbour(segment.index, address));
            addresses.extend(pair.iter());
        }
        self.forget_connections(addresses.into_iter());
        batch.delete_links(allocs.iter().map(|alloc| outside_name(alloc)));
        let answer = self.links.transact(&batch).and_then(|answer| answer.check(&[Errno::NODEV, Errno::NOENT]));
        for (alloc, errors) in allocs.iter().zip(&mut errors) {
            errors.extend(answer.map_err(because(format_args!("the link of allocation {alloc}"))).err());
            let Some(Member { segment, place, .. }) = self.members.remove(*alloc) else { continue };
            if let Some(segment) = self.segments.get_mut(segment) {
                segment.places.free(place);
            }
        }
        errors
    }

    /// Removes the entries of allocations in one transaction: those they are known to have, if all of them are known;
    /// otherwise, or if somebody took some away, those that are there.
    fn remove_entries(&mut self, allocs: &[&str]) -> rustix::io::Result<()> {
        let members: Option<Vec<_>> = allocs.iter().map(|alloc| self.members.get(*alloc)).collect();
        if let Some(members) = members {
            let known: Vec<_> = members.into_iter().flat_map(|member| member.entries.clone()).collect();
            match self.remove_all(&known) {
                Err(Errno::NOENT) => {}
                done => return done,
            }
        }
        let owners: BTreeSet<&str> = allocs.iter().copied().collect();
        let mut present = self.present()?;
        present.retain(|(_, element)| owners.contains(element.owner.as_str()));
        self.remove_all(&present)
    }

    fn remove_all(&mut self, entries: &[(usize, Element)]) -> rustix::io::Result<()> {
        let mut transaction = Transaction::new();
        change(&mut transaction, &self.scope.table, entries, &[]);
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
        let bridges: BTreeSet<u32> = self.segments.iter().map(|segment| segment.index).collect();
        let orphan = |link: &&Link| bridges.contains(&link.master) && !wanted.contains(&link.name);
        let orphans: Vec<_> = links.iter().filter(orphan).filter(|link| link.name.starts_with(OUTSIDE)).collect();
        if !orphans.is_empty() {
            let mut batch = Batch::new();
            batch.delete_links(orphans.iter().map(|link| link.name.clone()));
            let answer = self.links.transact(&batch).and_then(|answer| answer.check(&[Errno::NODEV]));
            answer.map_err(because("orphaned links"))?;
        }
        let mut owners: BTreeSet<String> = stale.into_iter().map(|(_, element)| element.owner).collect();
        owners.extend(orphans.iter().filter_map(|link| link.name.strip_prefix(OUTSIDE).map(String::from)));
        Ok(owners)
    }

    /// Looks whether the bridge and the table are as they should be, and makes them so; answers what was restored.
    pub fn repair(&mut self) -> Result<Vec<String>> {
        let mended = self.mend()?.into_iter();
        let mut told: Vec<_> =
            mended.map(|name| format!("bridge {name} was not as it should be and was restored")).collect();
        let generation = self.nft.generation().map_err(missing_nft)?;
        if generation != self.generation {
            if self.is_damaged().map_err(missing_nft)? {
                self.restore(&[], &[])?;
                told_if(self.forget_strays());
                told.push(format!("table inet {} was not as it should be and was restored", self.scope.table));
            } else {
                self.generation = generation;
            }
        }
        Ok(told)
    }

    /// Makes bridges anew that somebody removed, or took the addresses of, and links their allocations to them. Answers
    /// their names.
    fn mend(&mut self) -> Result<Vec<String>> {
        let addresses = self.links.all_addresses().map_err(because("the machine's addresses"))?;
        let mut mended = Vec::new();
        for (number, segment) in self.segments.iter_mut().enumerate() {
            if segment.is_whole(&self.links, &addresses) {
                continue;
            }
            segment.reopen(&mut self.links, &self.scope, number as u32)?;
            for (alloc, member) in self.members.iter().filter(|(_, member)| member.segment == number) {
                let pair = segment.places.at(member.place);
                let attached = namespace::open(&namespace::pin_of(alloc))
                    .and_then(|mut inside| segment.attach(&mut self.links, alloc, pair, &mut inside));
                if let Err(error) = attached {
                    tracing::warn!(alloc, %error, "an allocation could not be linked to its bridge again");
                }
            }
            mended.push(segment.bridge.clone());
        }
        Ok(mended)
    }

    /// Whether it is there, or could be again.
    pub fn openable(&mut self) -> Result<(), Refusal> {
        (0..self.segments.len())
            .try_for_each(|number| bridge_or_room(&mut self.links, &self.scope, number as u32).map(drop))
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

    /// The rules of our table and of Docker's, written anew; what is in the maps stays.
    fn rules(&mut self) -> Result<Transaction> {
        let mut transaction = Transaction::new();
        self.scope.write(&mut transaction);
        forwarding::pass_docker(&mut self.nft, &self.scope, &mut transaction).map_err(missing_nft)?;
        Ok(transaction)
    }

    /// Writes the rules, and makes the maps hold exactly what the members have, with `new` and without `gone`. One
    /// transaction, so no packet sees less.
    fn restore(&mut self, new: &[(usize, Element)], gone: &[(usize, Element)]) -> Result<()> {
        let present: BTreeSet<_> = self.present().map_err(missing_nft)?.into_iter().collect();
        let members = self.members.values().flat_map(|member| &member.entries);
        let mut wanted: BTreeSet<_> = members.filter(|entry| !gone.contains(entry)).cloned().collect();
        wanted.extend(new.iter().cloned());
        let stale: Vec<_> = present.difference(&wanted).cloned().collect();
        let missing: Vec<_> = wanted.difference(&present).cloned().collect();
        let mut transaction = self.rules()?;
        change(&mut transaction, &self.scope.table, &stale, &missing);
        Ok(transaction.commit(&mut self.nft).map_err(missing_nft)?)
    }

    fn present(&mut self) -> rustix::io::Result<Vec<(usize, Element)>> {
        let mut present = Vec::new();
        for (number, map) in MAPS.iter().enumerate() {
            let elements = self.nft.elements(&self.scope.table, map.name)?;
            present.extend(elements.into_iter().map(|element| (number, element)));
        }
        Ok(present)
    }

    fn forget_connections(&mut self, to: impl Iterator<Item = IpAddr>) {
        told_if(conntrack::forget(&mut self.nft, &to.collect()));
    }

    /// Forgets flows that began while the rules were gone.
    fn forget_strays(&mut self) -> rustix::io::Result<()> {
        let own = self.links.all_addresses()?.into_iter().map(|(_, address)| address).collect();
        let entries = self.members.values().flat_map(|member| &member.entries);
        let mapped = entries.filter_map(|(map, element)| host_port(*map, element)).collect();
        let subnets: Vec<_> = self.scope.subnets.iter().collect();
        let is_inside = |address| subnets.iter().any(|subnet| subnet.contains(&address));
        conntrack::forget_if(&mut self.nft, |flow| flow.missed(&mapped, is_inside, &own))
    }

    /// Whether nothing hangs on it, be it of ours or of others.
    pub fn is_idle(&mut self) -> Result<bool> {
        let links = self.links.links().map_err(because("the bridge's ports"))?;
        let bridges: BTreeSet<u32> = self.segments.iter().map(|segment| segment.index).collect();
        Ok(self.members.is_empty() && links.iter().all(|link| !bridges.contains(&link.master)))
    }

    /// Removes the bridge, the table and all that hangs on them.
    pub fn demolish(mut self) -> Result<()> {
        let mut transaction = Transaction::new();
        // Made first: somebody may have removed it.
        transaction.table(&self.scope.table);
        transaction.delete_table(&self.scope.table);
        forwarding::leave_docker(&mut self.nft, &self.scope, &mut transaction).map_err(missing_nft)?;
        transaction.commit(&mut self.nft).map_err(missing_nft)?;
        let mut batch = Batch::new();
        batch.delete_links(self.scope.bridges.iter().cloned());
        let answer = self.links.transact(&batch).and_then(|answer| answer.check(&[Errno::NODEV]));
        answer.map_err(because(&self.scope.bridge))?;
        // While it is still locked: see `take_lock`.
        let lock = lock_file(&self.scope.bridge);
        fs::remove_file(&lock).map_err(because(lock.display()))
    }
}

/// What the kernel remembers of connections is no reason to fail.
fn told_if(forgotten: rustix::io::Result<()>) {
    if let Err(error) = forgotten {
        tracing::debug!(%error, "connections could not be forgotten");
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

/// Writes down whose the bridge is.
fn sign(mut lock: &fs::File, settings: &NetworkSettings) -> Result<()> {
    let mut write = || {
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(settings.owner.as_os_str().as_bytes())
    };
    write().map_err(because(lock_file(&settings.bridge).display()))
}

fn take_lock(bridge: &str) -> Result<fs::File> {
    let path = lock_file(bridge);
    fs::create_dir_all(LOCKS).map_err(because(LOCKS))?;
    loop {
        let mut options = fs::File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(because(path.display()))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => others_bridge(bridge).into(),
            error => because(path.display())(error),
        })?;
        // Whoever had it may have removed it meanwhile: another file of this name is another lock.
        let locked = file.metadata().map_err(because(path.display()))?.ino();
        if fs::metadata(&path).is_ok_and(|there| there.ino() == locked) {
            return Ok(file);
        }
    }
}
