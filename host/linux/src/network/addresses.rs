//! Which place of a subnet is whose.

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};

/// Place of the bridge itself.
const GATEWAY: u32 = 1;

/// The places of a subnet: 0 is the network, 1 the gateway, the last one broadcast, the others allocations'. An
/// IPv6 subnet beside it has the same places, so one number gives both addresses.
#[derive(Debug)]
pub(super) struct Places {
    subnet: Ipv4Net,
    subnet_ipv6: Option<Ipv6Net>,
    taken: BTreeSet<u32>,
    /// The first place that was never given.
    fresh: u32,
    /// Places given back, the longest free first: packets of the last owner of one just freed may be on their way.
    freed: VecDeque<u32>,
}

impl Places {
    /// All free. None if a subnet has no room for a gateway and an allocation.
    pub fn new(subnet: Ipv4Net, subnet_ipv6: Option<Ipv6Net>) -> Option<Self> {
        let places = Self { subnet, subnet_ipv6, taken: BTreeSet::new(), fresh: GATEWAY + 1, freed: VecDeque::new() };
        let fits =
            subnet_ipv6.is_none_or(|six| 128 - u32::from(six.prefix_len()) >= 32 - u32::from(subnet.prefix_len()));
        (places.last() > GATEWAY && fits).then_some(places)
    }

    /// The last place that can be given.
    fn last(&self) -> u32 {
        let size = u32::MAX.checked_shr(u32::from(self.subnet.prefix_len())).unwrap_or(0);
        size.saturating_sub(1)
    }

    /// How many allocations have room.
    pub fn capacity(&self) -> u32 {
        self.last() - GATEWAY
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
        let place = u32::from(address).checked_sub(u32::from(self.subnet.network()))?;
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
        let four = Ipv4Addr::from(u32::from(self.subnet.network()).wrapping_add(place));
        let six =
            self.subnet_ipv6.map(|subnet| Ipv6Addr::from(u128::from(subnet.network()).wrapping_add(place.into())));
        Pair { four, six }
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

    fn places(subnet: &str) -> Places {
        Places::new(subnet.parse().unwrap(), Some("fd00::/64".parse().unwrap())).unwrap()
    }

    #[test]
    fn addresses_of_places() {
        let mut places = places("172.26.64.0/20");
        assert_eq!(places.gateway().four.to_string(), "172.26.64.1");
        assert_eq!(places.capacity(), 4093);
        let first = places.take().unwrap();
        let pair = places.at(first);
        assert_eq!((pair.four.to_string(), pair.six.unwrap().to_string()), ("172.26.64.2".into(), "fd00::2".into()));
        assert_eq!(pair.mac(), [2, 0x4e, 172, 26, 64, 2]);
        assert_eq!(places.take_again("172.26.64.2".parse().unwrap()), None, "somebody's");
        for outside in ["172.26.64.0", "172.26.64.1", "172.26.79.255", "172.26.80.4", "10.0.0.1"] {
            assert_eq!(places.take_again(outside.parse().unwrap()), None, "{outside}");
        }
        assert!(places.take_again("172.26.79.254".parse().unwrap()).is_some());
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
            let made = Places::new(four.parse().unwrap(), six.map(|six| six.parse().unwrap()));
            assert_eq!(made.is_some(), fits, "{four} {six:?}");
        }
    }

    proptest! {
        /// Whatever is taken and freed: nobody has another's place, none is lost, and the one freed last comes last.
        #[test]
        fn places_are_given_once(steps in proptest::collection::vec(any::<Option<u8>>(), 0..200)) {
            let mut places = places("10.1.0.0/28");
            let mut had: Vec<u32> = Vec::new();
            for step in steps {
                match step {
                    None => match places.take() {
                        Some(place) => {
                            prop_assert!((2..=14).contains(&place) && !had.contains(&place));
                            had.push(place);
                        }
                        None => prop_assert_eq!(had.len() as u32, places.capacity()),
                    },
                    Some(which) if !had.is_empty() => {
                        let place = had.swap_remove(usize::from(which) % had.len());
                        places.free(place);
                        if had.len() as u32 + 1 < places.capacity() {
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
