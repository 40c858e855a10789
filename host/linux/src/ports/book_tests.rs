//! Properties of the book, with real sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A range no other test of this crate uses.
const RANGE: RangeInclusive<u16> = 23_100..=23_111;
const RESERVED: RangeInclusive<u16> = 23_104..=23_105;

fn book(rest: Duration) -> Book {
    Book::new(PortSettings {
        dynamic: RANGE,
        reserved: vec![RESERVED],
        host_ip: std::net::Ipv4Addr::LOCALHOST.into(),
        host_networks: BTreeMap::new(),
        rest,
    })
}

#[derive(Clone, Debug)]
enum Step {
    Dynamic { alloc: u8, label: u8, protocol: Protocol },
    Static { alloc: u8, label: u8, number: u16, protocol: Protocol },
    Pair { alloc: u8, label: u8 },
    LetGo { alloc: u8 },
    Reclaim { alloc: u8 },
    Release { alloc: u8, label: Option<u8> },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (alloc, label) = (0..4u8, 0..4u8);
    let protocol = || prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Both)];
    let number = 23_098..=23_113u16;
    let step = prop_oneof![
        3 => (alloc.clone(), label.clone(), protocol())
            .prop_map(|(alloc, label, protocol)| Step::Dynamic { alloc, label, protocol }),
        3 => (alloc.clone(), label.clone(), number, protocol())
            .prop_map(|(alloc, label, number, protocol)| Step::Static { alloc, label, number, protocol }),
        1 => (alloc.clone(), label.clone()).prop_map(|(alloc, label)| Step::Pair { alloc, label }),
        1 => alloc.clone().prop_map(|alloc| Step::LetGo { alloc }),
        1 => alloc.clone().prop_map(|alloc| Step::Reclaim { alloc }),
        2 => (alloc, proptest::option::of(label)).prop_map(|(alloc, label)| Step::Release { alloc, label }),
    ];
    proptest::collection::vec(step, 1..40)
}

fn id(alloc: u8) -> AllocId {
    AllocId(format!("alloc-{alloc}"))
}

fn request(label: u8, static_port: Option<u16>, protocol: Protocol) -> PortRequest {
    PortRequest { label: label.to_string(), static_port, protocol, ..PortRequest::default() }
}

fn take(book: &mut Book, step: &Step) {
    match step.clone() {
        Step::Dynamic { alloc, label, protocol } => {
            let known = book.entry(&id(alloc), &label.to_string()).is_some();
            if let (Ok(ports), false) = (book.reserve(&id(alloc), &[request(label, None, protocol)]), known) {
                assert!(RANGE.contains(&ports[0].host_port) && !RESERVED.contains(&ports[0].host_port));
            }
        }
        Step::Static { alloc, label, number, protocol } => {
            if let Ok(ports) = book.reserve(&id(alloc), &[request(label, Some(number), protocol)]) {
                assert_eq!(ports[0].host_port, number);
                assert!(!RESERVED.contains(&number));
            }
        }
        Step::Pair { alloc, label } => {
            let before = book.ports(&id(alloc));
            let refused = request(label + 1, Some(*RESERVED.start()), Protocol::Both);
            assert!(book.reserve(&id(alloc), &[request(label, None, Protocol::Both), refused]).is_err());
            assert_eq!(book.ports(&id(alloc)), before, "all or none");
        }
        Step::LetGo { alloc } => drop(book.let_go(&id(alloc))),
        Step::Reclaim { alloc } => book.reclaim(&id(alloc)),
        Step::Release { alloc, label } => {
            book.release(&id(alloc), label.map(|label| label.to_string()).as_deref());
        }
    }
}

/// Every number and transport has one holder at most, and the index says the same as the entries.
fn check(book: &Book) {
    let mut held = BTreeSet::new();
    for (alloc, entries) in &book.allocs {
        for entry in entries {
            for transport in transports(&entry.port.protocol) {
                let key = (entry.port.host_port, *transport as usize);
                assert!(held.insert(key), "{key:?} has two holders");
                assert_eq!(book.numbers[&key.0][key.1].as_ref(), Some(alloc));
            }
        }
    }
    let indexed: usize = book.numbers.values().map(|owners| owners.iter().flatten().count()).sum();
    assert_eq!(indexed, held.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_holder_and_everything_comes_back(steps in steps()) {
        let mut book = book(Duration::ZERO);
        for step in &steps {
            take(&mut book, step);
            check(&book);
        }
        (0..4).for_each(|alloc| book.release(&id(alloc), None));
        prop_assert!(book.numbers.is_empty() && book.allocs.is_empty());
        // All of the range can be had again, each number once.
        let all: Vec<_> = (0..10).map(|label| request(label, None, Protocol::Both)).collect();
        let ports = book.reserve(&id(0), &all).unwrap();
        prop_assert_eq!(ports.iter().map(|port| port.host_port).collect::<BTreeSet<_>>().len(), 10);
        let full = matches!(
            book.reserve(&id(1), &[request(0, None, Protocol::Tcp)]),
            Err(Refusal::Known(HostError::Limit(_)))
        );
        prop_assert!(full);
    }
}
