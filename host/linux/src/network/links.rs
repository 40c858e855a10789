//! Links, addresses, routes and neighbours, as messages (`linux/rtnetlink.h`, `linux/if_link.h`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

use ipnet::IpNet;
use rustix::io::Result;

use super::netlink::{Batch, Socket, attributes, family, flag, text, u32_at};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const NEW_NEIGHBOUR: u16 = 28;
const DELETE_NEIGHBOUR: u16 = 29;

/// Attributes of a link.
mod link {
    pub const ADDRESS: u16 = 1;
    pub const NAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const MASTER: u16 = 10;
    pub const INFO: u16 = 18;
    pub const NAMESPACE_FD: u16 = 28;
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const INFO_PORT_KIND: u16 = 4;
    pub const INFO_PORT_DATA: u16 = 5;
    pub const VETH_PEER: u16 = 1;
    pub const BRIDGE_FORWARD_DELAY: u16 = 1;
    pub const PORT_HAIRPIN: u16 = 4;
    pub const UP: u32 = 1;
}

/// Attributes of a route.
mod route {
    pub const DESTINATION: u16 = 1;
    pub const INTERFACE: u16 = 4;
    pub const GATEWAY: u16 = 5;
    pub const MAIN_TABLE: u8 = 254;
    pub const STATIC: u8 = 4;
    pub const UNICAST: u8 = 1;
}

/// The loopback interface, in every namespace.
pub(super) const LOOPBACK: u32 = 1;

/// A link that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub index: u32,
    pub name: String,
    /// `bridge`, `veth`; empty for hardware.
    pub kind: String,
    pub mac: Vec<u8>,
    pub mtu: u32,
    /// The bridge it is a port of; 0 for none.
    pub master: u32,
}

/// A route that is there; `destination` none for a default route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub destination: Option<IpNet>,
    pub interface: u32,
}

/// What is asked of the kernel.
impl Batch {
    /// A bridge that forwards at once.
    pub fn add_bridge(&mut self, name: &str, mac: [u8; 6], mtu: u32) {
        self.message(NEW_LINK, flag::ACK | flag::CREATE | flag::EXCLUSIVE, &link_header(0, 0), |link| {
            link.text(link::NAME, name);
            link.attribute(link::ADDRESS, &mac);
            link.number(link::MTU, mtu);
            link.nested(link::INFO, |info| {
                info.text(link::INFO_KIND, "bridge");
                info.nested(link::INFO_DATA, |data| data.number(link::BRIDGE_FORWARD_DELAY, 0));
            });
        });
    }

    /// A pair of links: `name` here, a port of `bridge` and up; `peer` in another namespace and down, because a link
    /// whose other half does not exist yet cannot be brought up.
    pub fn add_pair(&mut self, name: &str, bridge: u32, mtu: u32, peer: &Peer) {
        self.message(NEW_LINK, flag::ACK | flag::CREATE | flag::EXCLUSIVE, &link_header(0, link::UP), |link| {
            link.text(link::NAME, name);
            link.number(link::MTU, mtu);
            link.number(link::MASTER, bridge);
            link.nested(link::INFO, |info| {
                info.text(link::INFO_KIND, "veth");
                info.nested(link::INFO_DATA, |data| {
                    data.nested_after(link::VETH_PEER, &link_header(0, 0), |other| {
                        other.text(link::NAME, peer.name);
                        other.attribute(link::ADDRESS, &peer.mac);
                        other.number(link::MTU, mtu);
                        other.attribute(link::NAMESPACE_FD, &peer.namespace.as_raw_fd().to_ne_bytes());
                    });
                });
            });
        });
        // An allocation that calls its own host port is answered through the port it asks through.
        self.message(NEW_LINK, flag::ACK, &link_header(0, 0), |link| {
            link.text(link::NAME, name);
            link.nested(link::INFO, |info| {
                info.text(link::INFO_PORT_KIND, "bridge");
                info.nested(link::INFO_PORT_DATA, |data| data.attribute(link::PORT_HAIRPIN, &[1]));
            });
        });
    }

    /// Brings a link up.
    pub fn set_up(&mut self, index: u32) {
        self.message(NEW_LINK, flag::ACK, &link_header(index, link::UP), |_| {});
    }

    /// Removes a link, and the other half of a pair with it.
    pub fn delete_link(&mut self, name: &str) {
        self.message(DELETE_LINK, flag::ACK, &link_header(0, 0), |link| link.text(link::NAME, name));
    }

    /// Gives a link an address, which is used at once (no search for duplicates).
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) {
        const NO_DUPLICATE_DETECTION: u8 = 0x02;
        const ADDRESS: u16 = 1;
        const LOCAL: u16 = 2;
        let mut header = vec![family_of(address), prefix, NO_DUPLICATE_DETECTION, 0];
        header.extend(index.to_ne_bytes());
        self.message(NEW_ADDRESS, flag::ACK | flag::CREATE | flag::REPLACE, &header, |message| {
            message.attribute(LOCAL, &octets(address));
            message.attribute(ADDRESS, &octets(address));
        });
    }

    /// The way to everywhere.
    pub fn add_default_route(&mut self, index: u32, gateway: IpAddr) {
        let header = [family_of(gateway), 0, 0, 0, route::MAIN_TABLE, route::STATIC, 0, route::UNICAST, 0, 0, 0, 0];
        self.message(NEW_ROUTE, flag::ACK | flag::CREATE | flag::REPLACE, &header, |message| {
            message.attribute(route::GATEWAY, &octets(gateway));
            message.number(route::INTERFACE, index);
        });
    }

    /// Writes down a neighbour, so that nobody asks for it and the kernel's table of found ones does not fill up.
    pub fn add_neighbour(&mut self, index: u32, address: IpAddr, mac: [u8; 6]) {
        const PERMANENT: u16 = 0x80;
        self.message(
            NEW_NEIGHBOUR,
            flag::ACK | flag::CREATE | flag::REPLACE,
            &neighbour_header(family_of(address), index, PERMANENT, 0),
            |message| {
                message.attribute(1, &octets(address));
                message.attribute(2, &mac);
            },
        );
    }

    /// Removes a neighbour.
    pub fn delete_neighbour(&mut self, index: u32, address: IpAddr) {
        let header = neighbour_header(family_of(address), index, 0, 0);
        self.message(DELETE_NEIGHBOUR, flag::ACK, &header, |message| message.attribute(1, &octets(address)));
    }

    /// Tells a bridge which of its ports a hardware address is behind.
    pub fn add_forwarding(&mut self, port: u32, mac: [u8; 6]) {
        const NO_ARP: u16 = 0x40;
        const OF_MASTER: u8 = 0x04;
        let header = neighbour_header(family::BRIDGE, port, NO_ARP, OF_MASTER);
        self.message(NEW_NEIGHBOUR, flag::ACK | flag::CREATE | flag::REPLACE, &header, |message| {
            message.attribute(2, &mac);
        });
    }
}

/// The half of a pair that goes to another namespace.
pub(super) struct Peer<'a> {
    pub name: &'a str,
    pub mac: [u8; 6],
    pub namespace: BorrowedFd<'a>,
}

/// What there is.
impl Socket {
    /// All links of the socket's namespace.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let mut links = Vec::new();
        self.dump(GET_LINK, &link_header(0, 0), |_| {}, |payload| links.push(read_link(payload)))?;
        Ok(links)
    }

    /// A link by name.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let mut batch = Batch::new();
        batch.message(GET_LINK, flag::ACK, &link_header(0, 0), |link| link.text(link::NAME, name));
        let answer = self.transact(&batch)?;
        answer.check(&[rustix::io::Errno::NODEV])?;
        Ok(answer.messages.first().map(|payload| read_link(payload)))
    }

    /// The addresses of a link.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<IpAddr>> {
        let all = self.all_addresses()?.into_iter();
        Ok(all.filter(|(of, _)| *of == index).map(|(_, address)| address).collect())
    }

    /// Every address, with the index of its link.
    pub fn all_addresses(&mut self) -> Result<Vec<(u32, IpAddr)>> {
        let mut found = Vec::new();
        self.dump(
            GET_ADDRESS,
            &[0; 8],
            |_| {},
            |payload| {
                let local = attributes(payload.get(8..).unwrap_or_default()).find(|(kind, _)| *kind == 1);
                found.extend(local.and_then(|(_, value)| Some((u32_at(payload, 4), address(value)?))));
            },
        )?;
        Ok(found)
    }

    /// The routes of the main table.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        self.dump(
            GET_ROUTE,
            &[0; 12],
            |_| {},
            |payload| {
                if payload.get(4) == Some(&route::MAIN_TABLE) && payload.get(7) == Some(&route::UNICAST) {
                    routes.push(read_route(payload));
                }
            },
        )?;
        Ok(routes)
    }
}

/// Names of the calling thread's interfaces, by address.
pub(super) fn interfaces() -> Result<BTreeMap<String, String>> {
    let mut socket = Socket::route()?;
    let names: BTreeMap<u32, String> = socket.links()?.into_iter().map(|link| (link.index, link.name)).collect();
    let named = |(index, address): (u32, IpAddr)| Some((address.to_string(), names.get(&index)?.clone()));
    Ok(socket.all_addresses()?.into_iter().filter_map(named).collect())
}

fn read_link(payload: &[u8]) -> Link {
    let mut found = Link { index: u32_at(payload, 4), ..Link::default() };
    for (kind, value) in attributes(payload.get(16..).unwrap_or_default()) {
        match kind {
            link::NAME => found.name = text(value),
            link::ADDRESS => found.mac = value.to_vec(),
            link::MTU => found.mtu = u32_at(value, 0),
            link::MASTER => found.master = u32_at(value, 0),
            link::INFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == link::INFO_KIND);
                found.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    found
}

fn read_route(payload: &[u8]) -> Route {
    let prefix = payload.get(1).copied().unwrap_or(0);
    let mut found = Route { destination: None, interface: 0 };
    for (kind, value) in attributes(payload.get(12..).unwrap_or_default()) {
        match kind {
            route::DESTINATION => found.destination = address(value).and_then(|ip| IpNet::new(ip, prefix).ok()),
            route::INTERFACE => found.interface = u32_at(value, 0),
            _ => {}
        }
    }
    found
}

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// `struct ndmsg`.
fn neighbour_header(family: u8, index: u32, state: u16, flags: u8) -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    header
}

fn family_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { family::INET } else { family::INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|four| IpAddr::V4(Ipv4Addr::from(four)));
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|six| IpAddr::V6(Ipv6Addr::from(six)))).ok()
}
