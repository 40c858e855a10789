//! Which part of a subnet is which bridge's, and which place of it whose.

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Place of the bridge itself.
const GATEWAY: u32 = 1;
/// Bits of an address that tell the places of one segment: 256, of which 253 are allocations'. A bridge may have 1023
/// ports, and each takes longer to add the more there are.
const SEGMENT_BITS: u8 = 8;

/// A subnet, and one of IPv6 beside it where there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnets {
    pub four: Ipv4Net,
    pub six: Option<Ipv6Net>,
}

impl Subnets {
    /// None if there is no room for a gateway and an allocation, or less in IPv6 than in IPv4.
    pub fn new(four: Ipv4Net, six: Option<Ipv6Net>) -> Option<Self> {
        let bits = 32 - four.prefix_len();
        let fits = six.is_none_or(|six| 128 - six.prefix_len() >= bits);
        (bits >= 2 && fits).then(|| Self { four: four.trunc(), six: six.map(|six| six.trunc()) })
    }

    /// Both.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        [Some(IpNet::from(self.four)), self.six.map(IpNet::from)].into_iter().flatten()
    }

    /// How many segments they have, each for one bridge.
    pub fn segments(&self) -> u32 {
        1 << (32 - self.four.prefix_len()).saturating_sub(SEGMENT_BITS)
    }

    /// A segment's part of them: all, if there is but one segment.
    pub fn segment(&self, number: u32) -> Self {
        if self.segments() == 1 {
            return *self;
        }
        let first = number << SEGMENT_BITS;
        let Pair { four, six } = self.at(first);
        let six = six.and_then(|six| Ipv6Net::new(six, 128 - SEGMENT_BITS).ok());
        Self { four: Ipv4Net::new(four, 32 - SEGMENT_BITS).unwrap_or(self.four), six }
    }

    /// The segment an address is in.
    pub fn segment_of(&self, address: Ipv4Addr) -> Option<u32> {
        let place = u32::from(address).checked_sub(u32::from(self.four.network()))?;
        self.four.contains(&address).then_some(place >> SEGMENT_BITS).filter(|number| *number < self.segments())
    }

    /// How many allocations have room.
    pub fn capacity(&self) -> u32 {
        self.segments().saturating_mul(Places::new(self.segment(0)).last() - GATEWAY)
    }

    /// The addresses of a place.
    fn at(&self, place: u32) -> Pair {
        let four = Ipv4Addr::from(u32::from(self.four.network()).wrapping_add(place));
        let six = self.six.map(|six| Ipv6Addr::from(u128::from(six.network()).wrapping_add(place.into())));
        Pair { four, six }
    }
}

/// The places of a segment: 0 is the network, 1 the gateway, the last one broadcast, the others allocations'. IPv6
/// has the same places, so one number gives both addresses.
#[derive(Debug)]
pub(super) struct Places {
    subnets: Subnets,
    taken: BTreeSet<u32>,
    /// The first place that was never given.
    fresh: u32,
    /// Places given back, the longest free first: packets of the last owner of one just freed may be on their way.
    freed: VecDeque<u32>,
}

impl Places {
    /// All free.
    pub fn new(subnets: Subnets) -> Self {
        Self { subnets, taken: BTreeSet::new(), fresh: GATEWAY + 1, freed: VecDeque::new() }
    }

    /// What they are places of.
    pub fn subnets(&self) -> Subnets {
        self.subnets
    }

    /// The last place that can be given.
    fn last(&self) -> u32 {
        u32::from(self.subnets.four.broadcast()) - u32::from(self.subnets.four.network()) - 1
    }

    /// Takes a free place; none if there is none.
    pub fn take(&mut self) -> Option<u32> {
        let was_given = |place: &u32| self.taken.contains(place) || self.freed.contains(place);
        let fresh = (self.fresh..=self.last()).find(|place| !was_given(place));
        self.fresh = fresh.unwrap_or(self.last()).saturating_add(1);
        let place = fresh.or_else(|| self.freed.pop_front())?;
        self.taken.insert(place);
        Some(place)
    }

    /// Takes the place of an address an allocation had before; none if it is not in the subnet or somebody's.
    pub fn take_again(&mut self, address: Ipv4Addr) -> Option<u32> {
        let place = u32::from(address).checked_sub(u32::from(self.subnets.four.network()))?;
        let free = (GATEWAY + 1..=self.last()).contains(&place) && self.taken.insert(place);
        self.freed.retain(|freed| *freed != place);
        free.then_some(place)
    }

    /// Frees a place.
    pub fn free(&mut self, place: u32) {
        if self.taken.remove(&place) {
            self.freed.push_back(place);
        }
    }

    /// The gateway's addresses.
    pub fn gateway(&self) -> Pair {
        self.at(GATEWAY)
    }

    /// The addresses of a place.
    pub fn at(&self, place: u32) -> Pair {
        self.subnets.at(place)
    }
}

/// An IPv4 address and, where there is a subnet for it, an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub four: Ipv4Addr,
    pub six: Option<Ipv6Addr>,
}

impl Pair {
    /// The hardware address that goes with it: always the same, so that neighbour entries can be written down
    /// instead of asked for. Locally administered.
    pub fn mac(&self) -> [u8; 6] {
        let [a, b, c, d] = self.four.octets();
        [0x02, 0x4e, a, b, c, d]
    }

    /// Both.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        [Some(self.four.into()), self.six.map(IpAddr::from)].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn subnets(four: &str) -> Subnets {
        Subnets::new(four.parse().unwrap(), Some("fd00::/64".parse().unwrap())).unwrap()
    }

    #[test]
    fn addresses_of_places() {
        let mut places = Places::new(subnets("172.26.64.0/22"));
        assert_eq!(places.gateway().four.to_string(), "172.26.64.1");
        let first = places.take().unwrap();
        let pair = places.at(first);
        assert_eq!((pair.four.to_string(), pair.six.unwrap().to_string()), ("172.26.64.2".into(), "fd00::2".into()));
        assert_eq!(pair.mac(), [2, 0x4e, 172, 26, 64, 2]);
        assert_eq!(places.take_again("172.26.64.2".parse().unwrap()), None, "somebody's");
        for outside in ["172.26.64.0", "172.26.64.1", "172.26.67.255", "172.26.68.4", "10.0.0.1"] {
            assert_eq!(places.take_again(outside.parse().unwrap()), None, "{outside}");
        }
        assert!(places.take_again("172.26.67.254".parse().unwrap()).is_some());
    }

    #[test]
    fn segments_of_subnets() {
        for (subnet, segments, capacity, last) in [
            ("172.26.64.0/20", 16, 4048, ["172.26.79.0/24", "fd00::f00/120"]),
            ("10.0.0.0/16", 256, 64_768, ["10.0.255.0/24", "fd00::ff00/120"]),
            ("10.0.0.0/24", 1, 253, ["10.0.0.0/24", "fd00::/64"]),
            ("10.0.0.0/30", 1, 1, ["10.0.0.0/30", "fd00::/64"]),
        ] {
            let subnets = subnets(subnet);
            assert_eq!((subnets.segments(), subnets.capacity()), (segments, capacity), "{subnet}");
            let part: Vec<_> = subnets.segment(segments - 1).iter().map(|net| net.to_string()).collect();
            assert_eq!(part, last, "{subnet}");
        }
        let subnets = subnets("172.26.64.0/20");
        for (address, segment) in [
            ("172.26.64.0", Some(0)),
            ("172.26.64.255", Some(0)),
            ("172.26.65.0", Some(1)),
            ("172.26.79.255", Some(15)),
            ("172.26.80.0", None),
            ("10.0.0.1", None),
        ] {
            assert_eq!(subnets.segment_of(address.parse().unwrap()), segment, "{address}");
        }
    }

    #[test]
    fn subnets_that_are_too_small() {
        for (four, six, fits) in [
            ("10.0.0.0/30", None, true),
            ("10.0.0.0/31", None, false),
            ("10.0.0.0/32", None, false),
            ("10.0.0.0/24", Some("fd00::/120"), true),
            ("10.0.0.0/23", Some("fd00::/120"), false),
            ("0.0.0.0/0", None, true),
        ] {
            let six: Option<&str> = six;
            let made = Subnets::new(four.parse().unwrap(), six.map(|six| six.parse().unwrap()));
            assert_eq!(made.is_some(), fits, "{four} {six:?}");
        }
    }

    proptest! {
        /// Whatever is taken and freed: nobody has another's place, none is lost, and the one freed last comes last.
        #[test]
        fn places_are_given_once(steps in proptest::collection::vec(any::<Option<u8>>(), 0..200)) {
            let mut places = Places::new(subnets("10.1.0.0/28"));
            let mut had: Vec<u32> = Vec::new();
            for step in steps {
                match step {
                    None => match places.take() {
                        Some(place) => {
                            prop_assert!((2..=14).contains(&place) && !had.contains(&place));
                            had.push(place);
                        }
                        None => prop_assert_eq!(had.len() as u32, places.subnets().capacity()),
                    },
                    Some(which) if !had.is_empty() => {
                        let place = had.swap_remove(usize::from(which) % had.len());
                        places.free(place);
                        if had.len() as u32 + 1 < places.subnets().capacity() {
                            let other = places.take().unwrap();
                            prop_assert_ne!(other, place, "freed just now, and others are free");
                            had.push(other);
                        }
                    }
                    Some(_) => {}
                }
            }
            prop_assert_eq!(had.iter().collect::<HashSet<_>>().len(), had.len());
        }
    }
}
