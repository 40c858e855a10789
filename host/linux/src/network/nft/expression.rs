//! What a rule is made of: values loaded into registers, comparisons, and what to do.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::network::netlink::{Batch, family};

/// A register of four bytes; longer values lie in several.
type Register = u32;
/// The first of them (`NFT_REG32_00`).
const FIRST: Register = 8;
/// A register of sixteen bytes, which is what interface names are compared in.
const WIDE: Register = 1;
/// The verdict's register.
const VERDICT: Register = 0;

/// Keys of `meta`.
pub(super) mod meta {
    pub const INTERFACE_IN: u32 = 6;
    pub const INTERFACE_OUT: u32 = 7;
    pub const FAMILY: u32 = 15;
    pub const PROTOCOL: u32 = 16;
}

/// Headers of a packet.
mod header {
    pub const NETWORK: u32 = 1;
    pub const TRANSPORT: u32 = 2;
}

const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) enum Verdict {
    Drop,
    Accept,
    /// Go on in a chain, then come back.
    Jump(&'static str),
}

/// Bits of a connection's state (`ct state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) enum ConnectionState {
    New = 8,
}

/// Writes one expression.
type Expression = Box<dyn Fn(&mut Batch)>;

/// A rule that grows to the right, as `nft` prints it.
#[derive(Default)]
pub(in crate::network) struct Rule(Vec<Expression>);

impl Rule {
    /// Matches everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes its expressions.
    pub(super) fn write(&self, list: &mut Batch) {
        self.0.iter().for_each(|expression| expression(list));
    }

    fn then(mut self, name: &'static str, body: impl Fn(&mut Batch) + 'static) -> Self {
        self.0.push(Box::new(move |list| {
            list.nested(1, |expression| {
                expression.text(1, name);
                expression.nested(2, &body);
            });
        }));
        self
    }

    fn load_meta(self, key: u32, to: Register) -> Self {
        self.then("meta", move |meta| {
            meta.number_be(2, key);
            meta.number_be(1, to);
        })
    }

    fn load_payload(self, base: u32, offset: u32, length: u32, to: Register) -> Self {
        self.then("payload", move |payload| {
            payload.number_be(1, to);
            payload.number_be(2, base);
            payload.number_be(3, offset);
            payload.number_be(4, length);
        })
    }

    fn mask(self, register: Register, mask: Vec<u8>) -> Self {
        self.then("bitwise", move |bits| {
            bits.number_be(1, register);
            bits.number_be(2, register);
            bits.number_be(3, mask.len() as u32);
            bits.nested(4, |value| value.attribute(1, &mask));
            bits.nested(5, |value| value.attribute(1, &vec![0; mask.len()]));
        })
    }

    fn compare(self, how: u32, register: Register, value: Vec<u8>) -> Self {
        self.then("cmp", move |compare| {
            compare.number_be(1, register);
            compare.number_be(2, how);
            compare.nested(3, |data| data.attribute(1, &value));
        })
    }

    fn interface(self, key: u32, name: &str) -> Self {
        let mut padded = name.as_bytes().to_vec();
        padded.resize(16, 0);
        self.load_meta(key, WIDE).compare(EQUAL, WIDE, padded)
    }

    /// `iifname NAME`
    pub fn coming_by(self, name: &str) -> Self {
        self.interface(meta::INTERFACE_IN, name)
    }

    /// `oifname NAME`
    pub fn leaving_by(self, name: &str) -> Self {
        self.interface(meta::INTERFACE_OUT, name)
    }

    /// `meta nfproto ipv4` or `ipv6`
    pub fn family(self, ipv4: bool) -> Self {
        let family = if ipv4 { family::INET } else { family::INET6 };
        self.load_meta(meta::FAMILY, FIRST).compare(EQUAL, FIRST, vec![family])
    }

    /// `ip saddr NET` or `ip6 saddr NET`
    pub fn from(self, net: IpNet) -> Self {
        let offset = if net.addr().is_ipv4() { 12 } else { 8 };
        self.family(net.addr().is_ipv4()).address(offset, EQUAL, net)
    }

    /// `ip daddr NET` or `ip6 daddr NET`
    pub fn to(self, net: IpNet) -> Self {
        self.family(net.addr().is_ipv4()).destined_in_family(net)
    }

    /// `ip daddr != NET` or `ip6 daddr != NET`
    pub fn not_to(self, net: IpNet) -> Self {
        self.family(net.addr().is_ipv4()).address(destination(net), DIFFERENT, net)
    }

    /// `ip daddr NET` in a table of one family, where the family is known.
    pub fn destined_in_family(self, net: IpNet) -> Self {
        self.address(destination(net), EQUAL, net)
    }

    fn address(self, offset: u32, how: u32, net: IpNet) -> Self {
        let (network, mask) = (bytes(net.network()), bytes(net.netmask()));
        self.load_payload(header::NETWORK, offset, network.len() as u32, FIRST)
            .mask(FIRST, mask)
            .compare(how, FIRST, network)
    }

    /// `fib daddr type local`: to an address of this host
    pub fn for_this_host(self) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const BY_DESTINATION: u32 = 2;
        const LOCAL: u32 = 2;
        self.then("fib", |fib| {
            fib.number_be(1, FIRST);
            fib.number_be(2, ADDRESS_TYPE);
            fib.number_be(3, BY_DESTINATION);
        })
        .compare(EQUAL, FIRST, LOCAL.to_ne_bytes().to_vec())
    }

    /// `ct status dnat` (or not)
    pub fn redirected(self, is: bool) -> Self {
        const STATUS: u32 = 2;
        const DESTINATION_CHANGED: u32 = 32;
        self.connection(STATUS, DESTINATION_CHANGED, is)
    }

    /// `ct state STATE`
    pub fn state(self, state: ConnectionState) -> Self {
        const STATE: u32 = 0;
        self.connection(STATE, state as u32, true)
    }

    fn connection(self, key: u32, bits: u32, is: bool) -> Self {
        let how = if is { DIFFERENT } else { EQUAL };
        self.then("ct", move |ct| {
            ct.number_be(2, key);
            ct.number_be(1, FIRST);
        })
        .mask(FIRST, bits.to_ne_bytes().to_vec())
        .compare(how, FIRST, vec![0; 4])
    }

    /// `dnat ip to [ip daddr .] meta l4proto . th dport map @MAP`
    pub fn redirect_by(self, map: &'static str, ipv4: bool, by_address: bool) -> Self {
        let (offset, length) = if ipv4 { (16, 4) } else { (24, 16) };
        let words = length / 4;
        let (rule, after) = match by_address {
            true => (self.family(ipv4).load_payload(header::NETWORK, offset, length, FIRST), FIRST + words),
            false => (self.family(ipv4), FIRST),
        };
        rule.load_meta(meta::PROTOCOL, after)
            .load_payload(header::TRANSPORT, 2, 2, after + 1)
            .then("lookup", move |lookup| {
                lookup.text(1, map);
                lookup.number_be(2, FIRST);
                lookup.number_be(3, FIRST);
            })
            .then("nat", move |nat| {
                const DESTINATION: u32 = 1;
                nat.number_be(1, DESTINATION);
                nat.number_be(2, u32::from(if ipv4 { family::INET } else { family::INET6 }));
                nat.number_be(3, FIRST);
                nat.number_be(5, FIRST + words);
            })
    }

    /// `masquerade`
    pub fn masquerade(self) -> Self {
        self.then("masq", |_| {})
    }

    /// `counter`
    pub fn count(self) -> Self {
        self.then("counter", |counter| {
            counter.attribute(1, &0u64.to_be_bytes());
            counter.attribute(2, &0u64.to_be_bytes());
        })
    }

    /// The verdict.
    pub fn verdict(self, verdict: Verdict) -> Self {
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3i32 as u32, Some(chain)),
        };
        self.then("immediate", move |immediate| {
            immediate.number_be(1, VERDICT);
            immediate.nested(2, |data| {
                data.nested(2, |verdict| {
                    verdict.number_be(1, code);
                    if let Some(chain) = chain {
                        verdict.text(2, chain);
                    }
                });
            });
        })
    }
}

/// Where a packet's header has its destination.
fn destination(net: IpNet) -> u32 {
    if net.addr().is_ipv4() { 16 } else { 24 }
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}
