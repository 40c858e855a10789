//! Our table of nf_tables: what becomes of packets from and to allocations.
//!
//! ```text
//! map ports4     { proto . port : address . port }            # any address of this host
//! map ports4_at  { address . proto . port : address . port }  # one address: a port with `host_network`
//! map ports6, ports6_at                                       # the same for IPv6
//! chain hostports    { dnat by ports4_at, by ports4, by ports6_at, by ports6 }
//! chain prerouting   { to an address of this host: jump hostports }        # from outside, from allocations
//! chain output       { to ::1: accept                                      # nothing can be redirected from there
//!                      to an address of this host: jump hostports }        # from this host
//! chain postrouting  { from SUBNET to SUBNET, redirected: masquerade       # an allocation calls a host port
//!                      from SUBNET to others: masquerade                   # an allocation calls the world
//!                      from 127.0.0.0/8 to SUBNET: masquerade }            # the host calls 127.0.0.1:port
//! chain guard        { by a BRIDGE, to 127.0.0.0/8: drop }                 # the price of the line before
//! chain forward      { by a BRIDGE: accept
//!                      to SUBNET, new, not redirected: drop }
//! ```
//! The last line is what makes three scopes of two: an address of an allocation is for this machine, a mapped port
//! for everybody. One key has one value, so a stale rule cannot shadow a new one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use longshore_core::port::{Port, Protocol};

use super::{
    addresses::{Pair, Subnets},
    nft::{ConnectionState, Element, Hook, Map, Rule, Transaction, Verdict},
};

/// Numbers of nf_tables' types, with lengths in bytes.
const ADDRESS4: (u32, u32) = (7, 4);
const ADDRESS6: (u32, u32) = (8, 16);
const PROTOCOL: (u32, u32) = (12, 1);
const SERVICE: (u32, u32) = (13, 2);

/// Letters an interface's name has at most.
const LINK_NAME: usize = 15;

/// The maps of ports.
pub(super) const MAPS: [Map; 4] = [
    Map { name: "ports4", id: 1, key: &[PROTOCOL, SERVICE], value: &[ADDRESS4, SERVICE] },
    Map { name: "ports4_at", id: 2, key: &[ADDRESS4, PROTOCOL, SERVICE], value: &[ADDRESS4, SERVICE] },
    Map { name: "ports6", id: 3, key: &[PROTOCOL, SERVICE], value: &[ADDRESS6, SERVICE] },
    Map { name: "ports6_at", id: 4, key: &[ADDRESS6, PROTOCOL, SERVICE], value: &[ADDRESS6, SERVICE] },
];

/// The chains, and where those hang that packets pass.
const CHAINS: [(&str, Option<Hook>); 6] = [
    ("hostports", None),
    ("prerouting", Some(Hook { kind: "nat", number: Hook::PREROUTING, priority: -100 })),
    ("output", Some(Hook { kind: "nat", number: Hook::OUTPUT, priority: -100 })),
    ("postrouting", Some(Hook { kind: "nat", number: Hook::POSTROUTING, priority: 100 })),
    ("guard", Some(Hook { kind: "filter", number: Hook::PREROUTING, priority: -300 })),
    ("forward", Some(Hook { kind: "filter", number: Hook::FORWARD, priority: 0 })),
];

/// Whom the rules are for.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub table: String,
    /// Name of the first bridge.
    pub bridge: String,
    pub subnets: Subnets,
    /// Names of the bridges that there are.
    pub bridges: Vec<String>,
}

impl Scope {
    /// The name of a segment's bridge: `nomad`, `nomad1`, …
    pub fn bridge_of(&self, segment: u32) -> String {
        let number = if segment == 0 { String::new() } else { segment.to_string() };
        let stem: String = self.bridge.chars().take(LINK_NAME - number.len()).collect();
        stem + &number
    }

    /// The segment whose bridge has a name: a subnet may have more of them than there are links to be looked at.
    pub fn segment_of(&self, name: &str) -> Option<u32> {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let numbers = (stem.len()..name.len()).filter_map(|start| name[start..].parse().ok()).chain([0]);
        numbers.filter(|number| *number < self.subnets.segments()).find(|number| self.bridge_of(*number) == name)
    }

    /// How many rules there are when all are.
    pub fn rule_count(&self) -> usize {
        self.rules().len()
    }

    /// Makes what is missing and writes the rules anew; what is in the maps stays.
    pub fn write(&self, transaction: &mut Transaction) {
        let table = &self.table;
        transaction.table(table);
        MAPS.iter().for_each(|map| transaction.map(table, map));
        CHAINS.iter().for_each(|(name, hook)| transaction.chain(table, name, *hook));
        CHAINS.iter().for_each(|(name, _)| transaction.flush_chain(table, name));
        for (chain, rule) in self.rules() {
            transaction.rule(table, chain, rule);
        }
    }

    fn rules(&self) -> Vec<(&'static str, Rule)> {
        let rule = Rule::new;
        let loopback = IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
        let mut rules = vec![
            ("hostports", rule().redirect_by("ports4_at", true, true)),
            ("hostports", rule().redirect_by("ports4", true, false)),
            ("hostports", rule().redirect_by("ports6_at", false, true)),
            ("hostports", rule().redirect_by("ports6", false, false)),
            ("prerouting", rule().for_this_host().verdict(Verdict::Jump("hostports"))),
            // No packet from ::1 leaves the loopback interface: connections to there are copied (`ports`).
            ("output", rule().to(IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))).verdict(Verdict::Accept)),
            ("output", rule().for_this_host().verdict(Verdict::Jump("hostports"))),
        ];
        for bridge in &self.bridges {
            rules.push(("guard", rule().coming_by(bridge).to(loopback).verdict(Verdict::Drop)));
            rules.push(("forward", rule().coming_by(bridge).verdict(Verdict::Accept)));
        }
        for subnet in self.subnets.iter() {
            rules.push(("postrouting", rule().from(subnet).to(subnet).redirected(true).masquerade()));
            rules.push(("postrouting", rule().from(subnet).not_to(subnet).masquerade()));
            if subnet.addr().is_ipv4() {
                rules.push(("postrouting", rule().from(loopback).to(subnet).masquerade()));
            }
            let unasked = rule().to(subnet).state(ConnectionState::New).redirected(false);
            rules.push(("forward", unasked.verdict(Verdict::Drop)));
        }
        rules
    }
}

/// The entries of an allocation's ports: the map's number in [`MAPS`], and the entry.
pub(super) fn entries(owner: &str, ports: &[Port], to: Pair, wildcard: IpAddr) -> Vec<(usize, Element)> {
    let mut entries = Vec::new();
    for port in ports {
        let at = port.only_at(wildcard);
        for address in to.iter() {
            let map = match (address, at) {
                (IpAddr::V4(_), None) => 0,
                (IpAddr::V4(_), Some(IpAddr::V4(_))) => 1,
                (IpAddr::V6(_), None) => 2,
                (IpAddr::V6(_), Some(IpAddr::V6(_))) => 3,
                // Published on an address of the other family.
                _ => continue,
            };
            for protocol in numbers(&port.protocol) {
                let key = joined(&[at.map(octets).unwrap_or_default(), vec![*protocol], big_endian(port.host_port)]);
                let value = joined(&[octets(address), big_endian(port.task_port)]);
                entries.push((map, Element { key, value, owner: owner.to_owned() }));
            }
        }
    }
    entries
}

/// Protocol and number on this host of an entry of the map with this number.
pub(super) fn host_port(map: usize, element: &Element) -> Option<(u8, u16)> {
    // Behind an address, if the map is by address: see `entries`.
    let place = MAPS.get(map)?.key.iter().take_while(|part| **part != PROTOCOL).map(|(_, length)| *length as usize);
    let [protocol, _, _, _, high, low, ..] = *element.key.get(place.sum()..)? else { return None };
    Some((protocol, u16::from_be_bytes([high, low])))
}

/// `IPPROTO_TCP`, `IPPROTO_UDP`.
fn numbers(protocol: &Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Tcp => &[6],
        Protocol::Udp => &[17],
        Protocol::Both => &[6, 17],
    }
}

/// Parts of a key or a value, each filled up to whole registers.
fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(part);
        all.resize(all.len().next_multiple_of(4), 0);
    }
    all
}

fn big_endian(port: u16) -> Vec<u8> {
    port.to_be_bytes().to_vec()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_ip: &str, protocol: Protocol) -> Port {
        Port {
            label: "http".into(),
            host_ip: host_ip.into(),
            host_port: 0x5000,
            task_port: 80,
            protocol,
            is_named: false,
        }
    }

    #[test]
    fn segments_have_the_names_of_their_bridges() {
        for bridge in ["nomad", "br0", "b", "fifteen-letters"] {
            let subnets = Subnets::new("10.0.0.0/8".parse().unwrap(), None).unwrap();
            let scope = Scope { table: String::new(), bridge: bridge.into(), subnets, bridges: Vec::new() };
            for number in [0, 1, 9, 10, 255, 65_535] {
                assert_eq!(scope.segment_of(&scope.bridge_of(number)), Some(number), "{bridge} {number}");
            }
            for other in ["eth0", "lo", "", "br", "nomad01", "nomad65536", "nomad99999999999"] {
                assert_eq!(scope.segment_of(other), None, "{bridge}: {other}");
            }
        }
    }

    #[test]
    fn entries_of_ports() {
        let both = Pair { four: Ipv4Addr::new(10, 0, 0, 2), six: Some("fd00::2".parse().unwrap()) };
        let four = Pair { six: None, ..both };
        let wildcard: IpAddr = "192.0.2.1".parse().unwrap();
        let maps = |port: Port, to| entries("a", &[port], to, wildcard).iter().map(|entry| entry.0).collect::<Vec<_>>();
        for (given, to, expected) in [
            (port("192.0.2.1", Protocol::Both), both, &[0, 0, 2, 2][..]),
            (port("192.0.2.1", Protocol::Tcp), four, &[0]),
            (port("192.0.2.9", Protocol::Udp), both, &[1]),
            (port("2001:db8::9", Protocol::Udp), both, &[3]),
            (port("2001:db8::9", Protocol::Udp), four, &[]),
            (port("0.0.0.0", Protocol::Tcp), four, &[0]),
            (Port { is_named: true, ..port("192.0.2.1", Protocol::Tcp) }, four, &[1]),
        ] {
            assert_eq!(maps(given.clone(), to), expected, "{given:?}");
        }
        let (_, element) = &entries("a", &[port("192.0.2.9", Protocol::Tcp)], four, wildcard)[0];
        assert_eq!(element.key, [192, 0, 2, 9, 6, 0, 0, 0, 0x50, 0, 0, 0]);
        assert_eq!(element.value, [10, 0, 0, 2, 0, 80, 0, 0]);
        for address in ["192.0.2.1", "192.0.2.9", "2001:db8::9"] {
            let (map, element) = &entries("a", &[port(address, Protocol::Udp)], both, wildcard)[0];
            assert_eq!(host_port(*map, element), Some((17, 0x5000)), "{address}");
        }
    }
}
