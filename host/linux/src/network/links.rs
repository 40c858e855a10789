//! Links, addresses, routes and neighbours: rtnetlink's messages on a batched socket of our own, because asking one by
//! one, as its handle does, takes a third longer when many links go.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

use ipnet::IpNet;
use rtnetlink::{
    LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
        link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute, LinkInfo, LinkMessage},
        neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
        route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
    },
};
use rustix::io::Result;

use super::netlink::{Batch, Socket, flag};

/// The loopback interface, in every namespace.
pub(super) const LOOPBACK: u32 = 1;

/// The group of links that are about to be removed (`lvgo`): whoever removes it takes nobody's else.
const LEAVING: u32 = 0x6c76_676f;

/// A link that only hands packets on queues none. The kernel would give it queues for every processor, each with its
/// files in sysfs, and a third of the time that a pair takes goes into those.
const ONE_QUEUE: [LinkAttribute; 2] = [LinkAttribute::NumTxQueues(1), LinkAttribute::NumRxQueues(1)];

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
        let bridge = LinkBridge::new(name).forward_delay(0).address(mac.to_vec()).mtu(mtu).build();
        self.ask(RouteNetlinkMessage::NewLink(bridge), flag::CREATE | flag::EXCLUSIVE);
    }

    /// A pair of links, both down: `name` here, a port of `bridge`, and `peer` in another namespace.
    pub fn add_pair(&mut self, name: &str, bridge: u32, mtu: u32, peer: &Peer) {
        let mut other = LinkUnspec::new_with_name(peer.name)
            .address(peer.mac.to_vec())
            .mtu(mtu)
            .setns_by_fd(peer.namespace.as_raw_fd())
            .build();
        other.attributes.extend(ONE_QUEUE);
        let mut pair = LinkVeth::new(name, peer.name)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(other)))
            .mtu(mtu)
            .controller(bridge)
            .build();
        pair.attributes.extend(ONE_QUEUE);
        self.ask(RouteNetlinkMessage::NewLink(pair), flag::CREATE | flag::EXCLUSIVE);
        // An allocation that calls its own host port is answered through the port it asks through.
        let port = LinkBridgePort::new(0).name(name).hairpin(true).build();
        self.ask(RouteNetlinkMessage::NewLink(port), 0);
    }

    /// Keeps a link that is down from making itself an IPv6 address when it comes up, and from asking all others on
    /// the bridge whether it may have it.
    pub fn take_given_addresses_only(&mut self, index: u32) {
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let mut link = LinkUnspec::new_with_index(index).build();
        link.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]));
        self.ask(RouteNetlinkMessage::SetLink(link), 0);
    }

    /// Brings a link up.
    pub fn set_up(&mut self, index: u32) {
        self.ask(RouteNetlinkMessage::NewLink(LinkUnspec::new_with_index(index).up().build()), 0);
    }

    /// Removes a link, and the other half of a pair with it.
    pub fn delete_link(&mut self, name: &str) {
        self.ask(RouteNetlinkMessage::DelLink(LinkUnspec::new_with_name(name).build()), 0);
    }

    /// Removes links, in little more time than one: after each removal the kernel waits until no packet is under way,
    /// and after that of a group it waits once. Those that are not there are refused with `NODEV`.
    pub fn delete_links(&mut self, names: impl Iterator<Item = String>) {
        for name in names {
            let mut link = LinkUnspec::new_with_name(&name).build();
            link.attributes.push(LinkAttribute::Group(LEAVING));
            self.ask(RouteNetlinkMessage::SetLink(link), 0);
        }
        let mut group = LinkMessage::default();
        group.attributes.push(LinkAttribute::Group(LEAVING));
        self.ask(RouteNetlinkMessage::DelLink(group), 0);
    }

    /// Gives a link an address, which is used at once (no search for duplicates).
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) {
        let mut message = AddressMessage::default();
        message.header.family = family_of(address);
        message.header.prefix_len = prefix;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.header.index = index;
        message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        self.ask(RouteNetlinkMessage::NewAddress(message), flag::CREATE | flag::REPLACE);
    }

    /// The way to everywhere.
    pub fn add_default_route(&mut self, index: u32, gateway: IpAddr) {
        let route = match gateway {
            IpAddr::V4(four) => RouteMessageBuilder::<Ipv4Addr>::new().gateway(four).output_interface(index).build(),
            IpAddr::V6(six) => RouteMessageBuilder::<Ipv6Addr>::new().gateway(six).output_interface(index).build(),
        };
        self.ask(RouteNetlinkMessage::NewRoute(route), flag::CREATE | flag::REPLACE);
    }

    /// Writes down a neighbour, so that nobody asks for it and the kernel's table of found ones does not fill up.
    pub fn add_neighbour(&mut self, index: u32, address: IpAddr, mac: [u8; 6]) {
        let mut message = neighbour(index, address);
        message.header.state = NeighbourState::Permanent;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
        self.ask(RouteNetlinkMessage::NewNeighbour(message), flag::CREATE | flag::REPLACE);
    }

    /// Removes a neighbour.
    pub fn delete_neighbour(&mut self, index: u32, address: IpAddr) {
        self.ask(RouteNetlinkMessage::DelNeighbour(neighbour(index, address)), 0);
    }

    /// Tells a bridge which of its ports a hardware address is behind.
    pub fn add_forwarding(&mut self, port: u32, mac: [u8; 6]) {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        message.header.ifindex = port;
        message.header.state = NeighbourState::Noarp;
        message.header.flags = NeighbourFlags::Controller;
        message.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.to_vec())];
        self.ask(RouteNetlinkMessage::NewNeighbour(message), flag::CREATE | flag::REPLACE);
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) {
        self.message(message.message_type(), flag::ACK | flags, &bytes(&message), |_| {});
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
        let all = RouteNetlinkMessage::GetLink(LinkMessageBuilder::<LinkUnspec>::default().build());
        self.list(&all, link)
    }

    /// A link by name.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let mut batch = Batch::new();
        batch.ask(question_of(name), 0);
        let answer = self.transact(&batch)?;
        answer.check(&[rustix::io::Errno::NODEV])?;
        Ok(answer.messages.first().and_then(|(kind, payload)| link(parse(*kind, payload)?)))
    }

    /// Asks for links and takes no notice of the answers: asked, the kernel does at once what it has put off for them.
    pub fn stir(&mut self, names: &[&str]) -> Result<()> {
        let mut batch = Batch::new();
        for name in names {
            batch.ask(question_of(name), 0);
        }
        self.transact(&batch)?.check(&[])
    }

    /// The addresses of a link.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<IpAddr>> {
        let all = self.all_addresses()?.into_iter();
        Ok(all.filter(|(of, _)| *of == index).map(|(_, address)| address).collect())
    }

    /// Every address, with the index of its link.
    pub fn all_addresses(&mut self) -> Result<Vec<(u32, IpAddr)>> {
        self.list(&RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
            let RouteNetlinkMessage::NewAddress(found) = message else { return None };
            let address = found.attributes.into_iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(address),
                _ => None,
            });
            Some((found.header.index, address?))
        })
    }

    /// The routes of the main table.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let all = RouteNetlinkMessage::GetRoute(RouteMessage::default());
        self.list(&all, |message| match message {
            RouteNetlinkMessage::NewRoute(route)
                if route.header.table == RouteHeader::RT_TABLE_MAIN && route.header.kind == RouteType::Unicast =>
            {
                Some(read_route(route))
            }
            _ => None,
        })
    }

    /// Asks for a list and keeps of it what `read` makes something of.
    fn list<T>(
        &mut self,
        question: &RouteNetlinkMessage,
        mut read: impl FnMut(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let each = |kind, payload: &[u8]| found.extend(parse(kind, payload).and_then(&mut read));
        self.dump(question.message_type(), &bytes(question), |_| {}, each)?;
        Ok(found)
    }
}

/// Names of the calling thread's interfaces, by address.
pub(super) fn interfaces() -> Result<BTreeMap<String, String>> {
    let mut socket = Socket::route()?;
    let names: BTreeMap<u32, String> = socket.links()?.into_iter().map(|link| (link.index, link.name)).collect();
    let named = |(index, address): (u32, IpAddr)| Some((address.to_string(), names.get(&index)?.clone()));
    Ok(socket.all_addresses()?.into_iter().filter_map(named).collect())
}

/// A message of the kernel's. One that a newer kernel writes in another way is left out.
fn parse(kind: u16, payload: &[u8]) -> Option<RouteNetlinkMessage> {
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    RouteNetlinkMessage::deserialize(&header, payload)
        .inspect_err(|error| tracing::debug!(%error, kind, "a message of the kernel's cannot be read"))
        .ok()
}

fn bytes(message: &RouteNetlinkMessage) -> Vec<u8> {
    let mut bytes = vec![0; NetlinkSerializable::buffer_len(message)];
    message.serialize(&mut bytes);
    bytes
}

fn question_of(name: &str) -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build())
}

fn link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut found = Link { index: message.header.index, ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name = name,
            LinkAttribute::Address(mac) => found.mac = mac,
            LinkAttribute::Mtu(mtu) => found.mtu = mtu,
            LinkAttribute::Controller(master) => found.master = master,
            LinkAttribute::LinkInfo(infos) => {
                found.kind = infos.into_iter().find_map(kind).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(found)
}

fn kind(info: LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

fn read_route(message: RouteMessage) -> Route {
    let mut found = Route { destination: None, interface: 0 };
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                let prefix = message.header.destination_prefix_length;
                found.destination = ip(address).and_then(|address| IpNet::new(address, prefix).ok());
            }
            RouteAttribute::Oif(interface) => found.interface = interface,
            _ => {}
        }
    }
    found
}

fn ip(address: RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(four) => Some(four.into()),
        RouteAddress::Inet6(six) => Some(six.into()),
        _ => None,
    }
}

fn neighbour(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family_of(address);
    message.header.ifindex = index;
    message.attributes = vec![NeighbourAttribute::Destination(address.into())];
    message
}

fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
