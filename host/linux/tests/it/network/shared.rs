//! What networks share: taken away by others, removed with the last of them, asked little of when many go.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use longshore_core::{
    caller::AllocId,
    network::{NetworkPlan, Networks},
};
use longshore_linux::network::KernelNetworks;

use crate::support::until;

use super::{
    crowd, ends,
    world::{World, alloc_id, ip, plan, reached, serve, shut},
};

/// Whether the machine has a link of this name.
fn has_link(world: &World, name: &str) -> bool {
    ip(&["-n", &world.machine, "-o", "link"]).contains(&format!(" {name}: "))
}

#[test]
fn a_bridge_that_was_removed_is_made_anew() {
    let world = World::new();
    let networks = world.networks();
    let (first, second, third) = (alloc_id(), alloc_id(), alloc_id());
    let made = world.create(&networks, &plan(&first, &[(20_080, 80)]));
    serve(&first, "[::]:80");
    serve(&world.outside, "[::]:4000");
    // One on the second bridge, which the first one's subnet comprises.
    let before = longshore_core::network::Network { address: Some("10.77.1.9".into()), ..made.clone() };
    world.create(&networks, &NetworkPlan { before: Some(before), ..plan(&second, &[(20_081, 80)]) });
    serve(&second, "[::]:80");
    let bridge = world.bridge.as_str();
    let on_machine = |arguments: &[&str]| ip(&[&["-n", &world.machine], arguments].concat());
    let repaired = || world.on_machine(async || networks.repair().await);
    for damage in [&["link", "delete", bridge][..], &["addr", "flush", "dev", bridge]] {
        on_machine(damage);
        shut(&world.outside, "192.0.2.1:20080");
        let told = format!("bridge {bridge} was not as it should be and was restored");
        assert_eq!(repaired(), Ok(vec![told]), "{damage:?}");
        for address in ["192.0.2.1:20080", "[2001:db8::1]:20080", "192.0.2.1:20081"] {
            reached(&world.outside, address);
        }
        reached(&first, "192.0.2.2:4000");
        reached(&first, "192.0.2.1:20081");
        assert_eq!(repaired(), Ok(vec![]), "{damage:?}");
    }
    // Who makes a network finds out himself, should nobody have looked.
    on_machine(&["link", "delete", bridge]);
    world.create(&networks, &plan(&third, &[(20_082, 80)]));
    serve(&third, "[::]:80");
    reached(&world.outside, "192.0.2.1:20080");
    reached(&world.outside, "192.0.2.1:20082");

    // Somebody else has the name now: nothing of his is touched, and everybody is told.
    on_machine(&["link", "delete", bridge]);
    on_machine(&["link", "add", bridge, "type", "veth", "peer", "name", "other0"]);
    let refused = world.on_machine(async || networks.ready("bridge").await).unwrap_err();
    assert!(refused.to_string().contains("is taken by a veth"), "{refused}");
    assert_eq!(repaired(), Err(refused.clone()));
    let obstacles = world.on_machine(async || networks.obstacles().await);
    assert!(refused.to_string().contains(&obstacles[0].problem), "{obstacles:?}");
    on_machine(&["link", "delete", bridge]);
    repaired().unwrap();
    reached(&world.outside, "192.0.2.1:20080");
    ends(&world, networks, &[&first, &second, &third]);
    for name in [bridge.to_owned(), format!("{bridge}1")] {
        assert!(!has_link(&world, &name), "{name}");
    }
}

#[test]
fn what_is_shared_goes_with_the_last() {
    let world = World::new();
    let networks = world.networks();
    let lock = format!("/run/longshore/{}.lock", world.bridge);
    let (alloc, alone) = (alloc_id(), alloc_id());
    let retire = |networks: &KernelNetworks| world.on_machine(async || networks.retire().await).unwrap();
    let is_there = || {
        let tables = world.run(&["nft", "list", "tables"]).contains("longshore");
        let all = [tables, has_link(&world, &world.bridge), Path::new(&lock).exists()];
        assert!(all.iter().all(|one| *one == tables), "{all:?}");
        tables
    };
    let destroy = |networks: &KernelNetworks, alloc: &str| {
        world.on_machine(async || networks.destroy(&AllocId(alloc.into())).await).unwrap();
    };
    retire(&networks);
    assert!(!is_there());
    // It is made again as often as it is needed.
    for _ in 0..2 {
        world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
        serve(&alloc, "[::]:80");
        retire(&networks);
        assert!(is_there(), "an allocation needs it");
        reached(&world.outside, "192.0.2.1:20080");
        destroy(&networks, &alloc);
        ip(&["-n", &world.machine, "link", "add", "guest", "master", &world.bridge, "type", "veth"]);
        retire(&networks);
        assert!(is_there(), "somebody else has a port of it");
        ip(&["-n", &world.machine, "link", "delete", "guest"]);
        world.create(&networks, &NetworkPlan { mode: "none".into(), ..plan(&alone, &[]) });
        retire(&networks);
        assert!(!is_there(), "nobody needs it");
        destroy(&networks, &alone);
    }
    // An agent that was killed left them, and another does not need them.
    world.create(&networks, &plan(&alloc, &[]));
    destroy(&networks, &alloc);
    drop(networks);
    ip(&["-n", &world.machine, "link", "delete", &world.bridge]);
    let networks = world.networks();
    until("the lock is free", || world.on_machine(async || networks.ready("bridge").await).is_ok());
    retire(&networks);
    assert!(!is_there());
    // Somebody removed all of it already.
    world.create(&networks, &plan(&alloc, &[]));
    destroy(&networks, &alloc);
    ip(&["-n", &world.machine, "link", "delete", &world.bridge]);
    world.run(&["nft", "flush", "ruleset"]);
    retire(&networks);
    assert!(!is_there());
}

/// Counts our transactions on the machine's tables while something is done.
fn transactions(world: &World, work: impl FnOnce()) -> usize {
    let mut monitor = Command::new("ip");
    monitor.args(["netns", "exec", &world.machine, "nft", "monitor"]).stdout(Stdio::piped());
    let mut monitor = monitor.spawn().unwrap();
    let (lines, seen) = (BufReader::new(monitor.stdout.take().unwrap()).lines(), Mutex::new(Vec::new()));
    let has_told = |mark: &str| seen.lock().unwrap().iter().any(|line: &String| line.contains(mark));
    thread::scope(|scope| {
        scope.spawn(|| lines.map_while(Result::ok).for_each(|line| seen.lock().unwrap().push(line)));
        until("it listens", || {
            world.run(&["nft", "add table inet begun; delete table inet begun"]);
            has_told("begun")
        });
        work();
        world.run(&["nft", "add table inet over"]);
        until("it has told all", || has_told("over"));
        monitor.kill().unwrap();
        monitor.wait().unwrap();
    });
    let seen = seen.into_inner().unwrap();
    seen.iter().filter(|line| line.contains("new generation") && !line.ends_with("(nft)")).count()
}

#[test]
fn those_that_go_with_others_of_another_mode_go_together() {
    let world = World::new();
    let networks = world.networks();
    let mode = |number: u16| if number.is_multiple_of(3) { "none" } else { "bridge" };
    let plans: Vec<_> = (0..30_u16)
        .map(|number| {
            let ports = [(20_000 + number, 80)];
            NetworkPlan { mode: mode(number).into(), ..plan(&alloc_id(), &ports) }
        })
        .collect();
    world.on_machine(async || crowd::create(&networks, &plans).await);
    let seen = transactions(&world, || world.on_machine(async || crowd::destroy(&networks, &plans).await));
    // Those who come while the first are being removed go with the next.
    assert!((1..=6).contains(&seen), "{seen} transactions for {} networks", plans.len());
    ends(&world, networks, &plans.iter().map(|plan| plan.alloc.0.as_str()).collect::<Vec<_>>());
}
