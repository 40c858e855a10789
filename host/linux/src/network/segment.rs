//! A segment of the network: one bridge, its part of the subnets, and the pairs of links that hang on it.

use std::{fs, net::IpAddr, os::fd::AsFd};

use longshore_core::error::{HostError, Result};
use rustix::io::Errno;

use super::{
    addresses::{Pair, Places},
    check::bridge_or_room,
    forwarding,
    links::Peer,
    namespace::{LINK_DIGITS, Namespace},
    netlink::{Batch, Socket},
    rules::Scope,
};
use crate::failure::because;

/// The interface inside.
pub(super) const INSIDE: &str = "eth0";
/// First letters of the names of the interfaces outside.
pub(super) const OUTSIDE: &str = "lv";
/// What Ethernet carries unless something else is known.
const USUAL_MTU: u32 = 1500;

/// A bridge.
pub(super) struct Segment {
    pub bridge: String,
    pub index: u32,
    mtu: u32,
    pub places: Places,
}

impl Segment {
    /// Makes the bridge of a segment unless it is there and ours.
    pub fn open(links: &mut Socket, scope: &Scope, number: u32) -> Result<Self> {
        let places = Places::new(scope.subnets.segment(number));
        let (bridge, gateway) = (scope.bridge_of(number), places.gateway());
        let failed = || because(format!("bridge {bridge}"));
        let mtu = usual_mtu(links).map_err(because("the default route"))?;
        if bridge_or_room(links, scope, number)?.is_none() {
            let mut batch = Batch::new();
            batch.add_bridge(&bridge, gateway.mac(), mtu);
            links.transact(&batch).and_then(|answer| answer.check(&[])).map_err(failed())?;
        }
        let index = links.link(&bridge).map_err(failed())?.map(|link| link.index);
        let index = index.ok_or_else(|| HostError::Other(format!("bridge {bridge} is gone as soon as it was made")))?;
        // The first is the way to the whole subnet, so that nobody else takes what later ones will need.
        let reached = if number == 0 { scope.subnets } else { places.subnets() };
        let mut batch = Batch::new();
        for (address, net) in gateway.iter().zip(reached.iter()) {
            batch.add_address(index, address, net.prefix_len());
        }
        batch.set_up(index);
        links.transact(&batch).and_then(|answer| answer.check(&[])).map_err(failed())?;
        forwarding::switch_on(scope, &bridge)?;
        Ok(Self { bridge, index, mtu, places })
    }

    /// Whether the bridge is the one that was opened, with all its addresses.
    pub fn is_whole(&self, links: &Socket, addresses: &[(u32, IpAddr)]) -> bool {
        let is_there = links.index(&self.bridge).is_ok_and(|index| index == self.index);
        is_there && self.places.gateway().iter().all(|address| addresses.contains(&(self.index, address)))
    }

    /// Makes the bridge anew.
    pub fn reopen(&mut self, links: &mut Socket, scope: &Scope, number: u32) -> Result<()> {
        let Self { index, mtu, .. } = Self::open(links, scope, number)?;
        (self.index, self.mtu) = (index, mtu);
        Ok(())
    }

    /// Links a namespace to the bridge, unless it is.
    pub fn attach(&self, links: &mut Socket, alloc: &str, pair: Pair, inside: &mut Namespace) -> Result<()> {
        let name = outside_name(alloc);
        let failed = |what: &'static str| because(format!("{what} of allocation {alloc}"));
        // Most often there is none, which an index tells faster.
        let before = if links.index(&name).is_ok() { links.link(&name).map_err(failed("the link"))? } else { None };
        if let Some(link) = before {
            if link.master == self.index && is_complete(inside, pair).map_err(failed("the inner link"))? {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.delete_link(&name);
            let answer = links.transact(&batch).map_err(failed("the old link"))?;
            answer.check(&[Errno::NODEV]).map_err(failed("the old link"))?;
        }
        let peer = Peer { name: INSIDE, mac: pair.mac(), namespace: inside.file.as_fd() };
        let mut batch = Batch::new();
        batch.add_pair(&name, self.index, self.mtu, &peer);
        let made = links.transact(&batch).and_then(|answer| answer.check(&[]));
        made.map_err(|error| match error {
            Errno::XFULL => HostError::Limit(format!(
                "bridge {} has no free port: the kernel gives it 1023, of which others than us have some",
                self.bridge
            )),
            error => failed("the link")(error),
        })?;
        self.introduce(links, &name, pair).map_err(failed("neighbours"))?;
        self.furnish(pair, inside).map_err(failed("addresses and routes"))?;
        self.settle(links, &name, inside).map_err(failed("the state of the link"))
    }

    /// Brings the link outside up, and tells the bridge where the allocation is, once for all.
    fn introduce(&self, links: &mut Socket, name: &str, pair: Pair) -> rustix::io::Result<()> {
        // A port of a bridge needs no addresses; with them each would hear what all others say of theirs. A kernel
        // without IPv6 has no such file.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
        let port = links.index(name)?;
        let mut batch = Batch::new();
        batch.set_up(port);
        batch.add_forwarding(port, pair.mac());
        for address in pair.iter() {
            batch.add_neighbour(self.index, address, pair.mac());
        }
        links.transact(&batch)?.check(&[])
    }

    /// Links that have just come up, the bridge with its first too, drop packets until the kernel has got round to them,
    /// and whoever connects then waits a second for his next try. Asking for a link makes the kernel do it at once.
    fn settle(&self, links: &mut Socket, name: &str, inside: &mut Namespace) -> rustix::io::Result<()> {
        inside.links.stir(&[INSIDE])?;
        links.stir(&[name, &self.bridge])
    }

    /// Addresses, routes and the gateway's hardware address, inside.
    fn furnish(&self, pair: Pair, inside: &mut Namespace) -> rustix::io::Result<()> {
        let link = inside.links.index(INSIDE)?;
        let gateway = self.places.gateway();
        let mut batch = Batch::new();
        batch.take_given_addresses_only(link);
        batch.set_up(link);
        for (address, net) in pair.iter().zip(self.places.subnets().iter()) {
            batch.add_address(link, address, net.prefix_len());
        }
        for address in gateway.iter() {
            batch.add_default_route(link, address);
            batch.add_neighbour(link, address, gateway.mac());
        }
        inside.links.transact(&batch)?.check(&[])
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

/// What the interface of the default route carries.
fn usual_mtu(links: &mut Socket) -> rustix::io::Result<u32> {
    let default = links.routes()?.into_iter().find(|route| route.destination.is_none());
    let Some(default) = default else { return Ok(USUAL_MTU) };
    let link = links.links()?.into_iter().find(|link| link.index == default.interface);
    Ok(link.map_or(USUAL_MTU, |link| link.mtu).min(65_535))
}
