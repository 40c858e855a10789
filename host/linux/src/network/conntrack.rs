//! Connections the kernel remembers (`linux/netfilter/nfnetlink_conntrack.h`).
//!
//! Where a connection leads is decided by its first packet. So whenever ports change hands, and whenever our rules were
//! gone for a while, the kernel remembers flows that go where they should not; they are forgotten, and decided anew by
//! their next packet.

use std::{collections::BTreeSet, net::IpAddr};

use rustix::io::{Errno, Result};

use super::netlink::{Batch, Socket, attributes, family, flag};

/// `NFNL_SUBSYS_CTNETLINK` with `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_CT_DELETE`.
const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
/// `IPCTNL_MSG_CT_GET_STATS`.
const GET_COUNT: u16 = (1 << 8) | 5;
/// So many questions to the kernel, for each of which it walks through its table, take less time than reading it all,
/// which stops at every bucket.
const FEW: usize = 4;
/// Attributes of a connection (`CTA_…`).
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ZONE: u16 = 18;
const FILTER: u16 = 25;
/// What of a tuple a filter compares (`CTA_FILTER_F_…`).
const SOURCE_ADDRESS: u32 = 1;
const PROTOCOL: u32 = 1 << 3;
const DESTINATION_PORT: u32 = 1 << 5;

/// `IPPROTO_UDP`.
const UDP: u8 = 17;

/// Forgets every connection that was led to one of some addresses: a datagram flow would otherwise go on to whoever had
/// the address, or the port, before.
pub(super) fn forget(socket: &mut Socket, addresses: &BTreeSet<IpAddr>) -> Result<()> {
    if addresses.len() <= FEW {
        return addresses.iter().try_for_each(|address| forget_one(socket, *address));
    }
    forget_if(socket, |flow| addresses.contains(&flow.back.source.0))
}

/// Lets the kernel look for those of one address. Needs Linux 5.8; older kernels are left to their timeouts.
fn forget_one(socket: &mut Socket, address: IpAddr) -> Result<()> {
    let (kind, octets) = match address {
        IpAddr::V4(four) => (1, four.octets().to_vec()),
        IpAddr::V6(six) => (3, six.octets().to_vec()),
    };
    let mut batch = Batch::new();
    batch.message(DELETE, flag::ACK, &[family_of(address), 0, 0, 0], |message| {
        message.nested(REPLY, |tuple| tuple.nested(1, |ip| ip.attribute(kind, &octets)));
        compare(message, 0, SOURCE_ADDRESS);
    });
    socket.transact(&batch)?.check(&TOO_OLD)
}

fn family_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { family::INET } else { family::INET6 }
}

/// Forgets datagram flows to ports that go by addresses like this one: senders that were there first would otherwise go
/// on to whoever had the port, or to nobody.
pub(super) fn forget_datagrams(socket: &mut Socket, like: IpAddr, ports: &BTreeSet<u16>) -> Result<()> {
    // A filter is of one family.
    let family = family_of(like);
    if ports.len() > FEW {
        let is_meant = |flow: &Flow| {
            let (destination, port) = flow.there.destination;
            flow.there.protocol == UDP && ports.contains(&port) && destination.is_ipv4() == like.is_ipv4()
        };
        return forget_if(socket, is_meant);
    }
    let mut batch = Batch::new();
    for port in ports {
        batch.message(DELETE, flag::ACK, &[family, 0, 0, 0], |message| {
            message.nested(ORIGINAL, |tuple| {
                tuple.nested(2, |transport| {
                    transport.attribute(1, &[UDP]);
                    transport.attribute(3, &port.to_be_bytes());
                });
            });
            compare(message, PROTOCOL | DESTINATION_PORT, 0);
        });
    }
    if batch.len() == 0 { Ok(()) } else { socket.transact(&batch)?.check(&TOO_OLD) }
}

/// What a kernel says that has nothing to forget, or does not know filters.
const TOO_OLD: [Errno; 3] = [Errno::NOENT, Errno::INVAL, Errno::OPNOTSUPP];

fn compare(message: &mut Batch, original: u32, reply: u32) {
    message.nested(FILTER, |filter| {
        filter.number(1, original);
        filter.number(2, reply);
    });
}

/// Forgets the flows that `is_meant` finds among all. Reads the whole table, which takes some hundredths of a second
/// wherever anything is remembered: for rare occasions.
pub(super) fn forget_if(socket: &mut Socket, is_meant: impl Fn(&Flow) -> bool) -> Result<()> {
    const ANY_FAMILY: u8 = 0;
    if count(socket) == Some(0) {
        return Ok(());
    }
    let mut batch = Batch::new();
    let each = |_, payload: &[u8]| {
        let (family, payload) = (payload.first().copied(), payload.get(4..).unwrap_or_default());
        if let (Some(family), Some(flow)) = (family, Flow::read(payload))
            && is_meant(&flow)
        {
            batch.message(DELETE, flag::ACK, &[family, 0, 0, 0], |message| {
                let named = attributes(payload).filter(|(kind, _)| matches!(*kind, ORIGINAL | ZONE));
                named.for_each(|(kind, value)| message.attribute(kind | nested(kind), value));
            });
        }
    };
    socket.dump(GET, &[ANY_FAMILY, 0, 0, 0], |_| {}, each)?;
    if batch.len() == 0 { Ok(()) } else { socket.transact(&batch)?.check(&[Errno::NOENT]) }
}

/// How many flows are remembered in the socket's namespace; none if the kernel does not tell.
fn count(socket: &mut Socket) -> Option<u32> {
    let mut batch = Batch::new();
    batch.message(GET_COUNT, 0, &[0; 4], |_| {});
    let answer = socket.transact(&batch).ok()?;
    let (_, payload) = answer.messages.first()?;
    Some(u32::from_be_bytes(find(payload.get(4..)?, 1)?.try_into().ok()?))
}

/// `NLA_F_NESTED` for what is nested.
fn nested(kind: u16) -> u16 {
    if kind == ORIGINAL { 0x8000 } else { 0 }
}

/// A connection as it was begun, and as it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub there: Tuple,
    pub back: Tuple,
}

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuple {
    pub source: (IpAddr, u16),
    pub destination: (IpAddr, u16),
    /// `IPPROTO_…`.
    pub protocol: u8,
}

impl Flow {
    /// None for transports without ports.
    fn read(payload: &[u8]) -> Option<Self> {
        Some(Self { there: Tuple::read(find(payload, ORIGINAL)?)?, back: Tuple::read(find(payload, REPLY)?)? })
    }

    /// Whether nobody changed an address or a port of it.
    pub fn is_as_sent(&self) -> bool {
        (self.there.source, self.there.destination) == (self.back.destination, self.back.source)
    }

    /// Whether it went by while some of our rules were gone: to a port that is mapped, from an allocation to the world
    /// under the allocation's own address, or to an allocation under an address it cannot answer by way of this machine.
    pub fn missed(
        &self,
        mapped: &BTreeSet<(u8, u16)>,
        is_inside: impl Fn(IpAddr) -> bool,
        own: &BTreeSet<IpAddr>,
    ) -> bool {
        let Tuple { source: (source, _), destination: (destination, port), protocol } = self.there;
        let is_here = own.contains(&destination) || destination.is_loopback();
        let to_port = is_here && mapped.contains(&(protocol, port));
        let to_world = is_inside(source) && !is_inside(destination) && !is_here;
        let was_led = is_here && is_inside(self.back.source.0) && self.back.source.0 != destination;
        let unmasked = source == self.back.destination.0 && (source.is_loopback() || is_inside(source));
        (self.is_as_sent() && (to_port || to_world)) || (was_led && unmasked)
    }
}

impl Tuple {
    fn read(tuple: &[u8]) -> Option<Self> {
        let (addresses, transport) = (find(tuple, 1)?, find(tuple, 2)?);
        let address = |four: u16, six: u16| {
            let four = find(addresses, four).and_then(|bytes| Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)));
            four.or_else(|| Some(IpAddr::from(<[u8; 16]>::try_from(find(addresses, six)?).ok()?)))
        };
        let port = |kind| Some(u16::from_be_bytes(find(transport, kind)?.try_into().ok()?));
        Some(Self {
            source: (address(1, 3)?, port(2)?),
            destination: (address(2, 4)?, port(3)?),
            protocol: *find(transport, 1)?.first()?,
        })
    }
}

fn find(list: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(list).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(source: &str, destination: &str, back: &str) -> Flow {
        let end = |text: &str| text.parse::<std::net::SocketAddr>().map(|end| (end.ip(), end.port())).unwrap();
        let there = Tuple { source: end(source), destination: end(destination), protocol: UDP };
        Flow { there, back: Tuple { source: end(back), destination: there.source, protocol: UDP } }
    }

    #[test]
    fn flows_that_missed_our_rules() {
        let own = BTreeSet::from(["192.0.2.1".parse().unwrap(), "fd77::1".parse().unwrap()]);
        let mapped = BTreeSet::from([(UDP, 80)]);
        let is_inside = |address: IpAddr| address.to_string().starts_with("10.77.");
        for (source, destination, back, missed) in [
            ("192.0.2.2:5", "192.0.2.1:80", "192.0.2.1:80", true),
            ("127.0.0.1:5", "127.0.0.1:80", "127.0.0.1:80", true),
            ("[fd77::2]:5", "[fd77::1]:80", "[fd77::1]:80", true),
            ("192.0.2.2:5", "192.0.2.1:80", "10.77.0.2:8080", false),
            ("192.0.2.2:5", "192.0.2.1:81", "192.0.2.1:81", false),
            ("192.0.2.2:5", "198.51.100.1:80", "198.51.100.1:80", false),
            ("10.77.0.2:5", "192.0.2.2:53", "192.0.2.2:53", true),
            ("10.77.0.2:5", "192.0.2.1:53", "192.0.2.1:53", false),
            ("10.77.0.2:5", "10.77.0.3:53", "10.77.0.3:53", false),
            ("127.0.0.1:5", "127.0.0.1:80", "10.77.0.2:8080", true),
            ("10.77.0.3:5", "192.0.2.1:80", "10.77.0.2:8080", true),
        ] {
            let found = flow(source, destination, back).missed(&mapped, is_inside, &own);
            assert_eq!(found, missed, "{source} to {destination}, answered by {back}");
        }
        let masqueraded = flow("10.77.0.2:5", "192.0.2.2:53", "192.0.2.2:53");
        let back = Tuple { destination: ("192.0.2.1".parse().unwrap(), 5), ..masqueraded.back };
        assert!(!Flow { back, ..masqueraded }.missed(&mapped, is_inside, &own));
    }
}
