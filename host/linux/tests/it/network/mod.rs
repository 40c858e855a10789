//! Networks of allocations over real sockets, between namespaces, looked at by `ip`, `nft` and `iptables`.

mod cni;
mod crowd;
mod drivers;
mod faults;
mod firewall;
mod scale;
mod shared;
mod storm;
mod world;

use longshore_core::{
    caller::AllocId,
    error::HostError,
    network::{Holder, NetworkPlan, Networks},
};

use world::{World, alloc_id, ip, plan, reached, serve, shut, within};

/// Loopback, bridge, world: who reaches what of an allocation.
#[test]
fn three_scopes() {
    let world = World::new();
    let networks = world.networks();
    let (a, b) = (alloc_id(), alloc_id());
    let made = world.create(&networks, &plan(&a, &[(20_080, 8080)]));
    world.create(&networks, &plan(&b, &[]));
    assert_eq!((made.address.as_deref(), made.address_ipv6.as_deref()), (Some("10.77.0.2"), Some("fd77::2")));
    assert_eq!(made.interface_name.as_deref(), Some("eth0"));
    for server in ["[::]:8080", "[::]:9090", "127.0.0.1:7070"] {
        serve(&a, server);
    }
    let (machine, outside) = (world.machine.as_str(), world.outside.as_str());

    // A port: everybody, each way.
    assert_eq!(reached(outside, "192.0.2.1:20080"), "192.0.2.2", "callers are seen as they are");
    assert_eq!(reached(outside, "[2001:db8::1]:20080"), "2001:db8::2");
    for from in [machine, &a, &b] {
        reached(from, "192.0.2.1:20080");
        reached(from, "[2001:db8::1]:20080");
    }
    reached(machine, "127.0.0.1:20080");

    // No port: this machine.
    for from in [machine, &b] {
        reached(from, "10.77.0.2:9090");
        reached(from, "[fd77::2]:9090");
    }
    for address in ["10.77.0.2:9090", "10.77.0.2:8080", "[fd77::2]:9090", "192.0.2.1:9090"] {
        shut(outside, address);
    }

    // Loopback: itself.
    reached(&a, "127.0.0.1:7070");
    for from in [machine, &b] {
        shut(from, "10.77.0.2:7070");
    }

    let lines = world.table();
    assert!(lines.contains(&a), "nft shows whose an element is: {lines}");
    ends(&world, networks, &[&a, &b]);
}

#[test]
fn allocations_reach_the_world_as_the_host() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    world.create(&networks, &plan(&alloc, &[]));
    serve(&world.outside, "[::]:4000");
    assert_eq!(reached(&alloc, "192.0.2.2:4000"), "192.0.2.1");
    assert_eq!(reached(&alloc, "[2001:db8::2]:4000"), "2001:db8::1");
    ends(&world, networks, &[&alloc]);
}

/// To let the host call 127.0.0.1:port, packets to loopback may be routed; those of an allocation must not be.
#[test]
fn no_packet_of_an_allocation_reaches_the_hosts_loopback() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    world.create(&networks, &plan(&alloc, &[]));
    serve(&world.machine, "127.0.0.1:5353");
    // An allocation with root can make its kernel send such a packet.
    ip(&["-n", &alloc, "addr", "del", "127.0.0.1/8", "dev", "lo"]);
    ip(&["-n", &alloc, "route", "add", "127.0.0.1/32", "via", "10.77.0.1", "dev", "eth0", "src", "10.77.0.2"]);
    within(&alloc, || std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")).unwrap();
    shut(&alloc, "127.0.0.1:5353");
    // Without the guard it would arrive: the test tests something.
    let heard = within(&world.machine, || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:5354").unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        socket
    });
    world.run(&["nft", "flush", "chain", "inet", &format!("longshore_{}", world.bridge), "guard"]);
    within(&alloc, || {
        let socket = std::net::UdpSocket::bind("10.77.0.2:0").unwrap();
        socket.send_to(b"?", "127.0.0.1:5354").unwrap();
    });
    assert!(heard.recv(&mut [0; 8]).is_ok());
    ends(&world, networks, &[&alloc]);
}

/// The agent dies and another takes over: addresses stay, what nobody knows goes.
#[test]
fn a_new_agent_takes_over() {
    let world = World::new();
    let (kept, orphan) = (alloc_id(), alloc_id());
    let first = world.networks();
    // So that the kept one's address is not the first the new agent would give.
    world.create(&first, &plan(&orphan, &[(20_001, 80)]));
    let made = world.create(&first, &plan(&kept, &[(20_002, 80)]));
    serve(&kept, "[::]:80");
    drop(first);

    let second = world.networks();
    let new = alloc_id();
    let plans =
        [plan(&new, &[(20_001, 80)]), NetworkPlan { before: Some(made.clone()), ..plan(&kept, &[(20_002, 80)]) }];
    let results = world.on_machine(async || second.reconcile(&plans).await);
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results[1], made);
    assert_ne!(results[0].address, made.address);
    reached(&world.outside, "192.0.2.1:20002");
    serve(&new, "[::]:80");
    reached(&world.outside, "192.0.2.1:20001");
    assert!(!std::path::Path::new("/run/netns").join(&orphan).exists());
    assert_eq!(world.ports_of_bridge().len(), 2);
    assert!(!world.table().contains(&orphan));
    ends(&world, second, &[&kept, &new]);
}

/// Who can name a link, or add to the table, takes nobody's namespace away.
#[test]
fn what_names_no_allocation_unpins_none() {
    let world = World::new();
    let (kept, foreign) = (alloc_id(), alloc_id());
    let first = world.networks();
    let made = world.create(&first, &plan(&kept, &[]));
    drop(first);
    // Somebody else's, with an id like ours: both begin with a zero.
    ip(&["netns", "add", &foreign]);
    world.run(&["ip", "link", "add", "lv0", "type", "veth", "peer", "name", "lv0p"]);
    world.run(&["ip", "link", "set", "lv0", "master", &world.bridge]);

    let second = world.networks();
    let plans = [NetworkPlan { before: Some(made.clone()), ..plan(&kept, &[]) }];
    let results = world.on_machine(async || second.reconcile(&plans).await);
    assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [made]);
    let pins = ip(&["netns", "list"]);
    assert!(pins.contains(&kept) && pins.contains(&foreign), "{pins}");
    ip(&["netns", "delete", &foreign]);
    ends(&world, second, &[&kept]);
}

/// Making what is there changes nothing, and other ports can be mapped.
#[test]
fn creating_again_is_harmless() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    let made = world.create(&networks, &plan(&alloc, &[(20_080, 80), (20_081, 81)]));
    serve(&alloc, "[::]:80");
    let again = world.create(&networks, &plan(&alloc, &[(20_080, 80), (20_082, 80)]));
    assert_eq!(made.address, again.address);
    reached(&world.outside, "192.0.2.1:20080");
    reached(&world.outside, "192.0.2.1:20082");
    shut(&world.outside, "192.0.2.1:20081");
    ends(&world, networks, &[&alloc]);
}

/// A port's number goes to another allocation: nobody is led to the old one.
#[test]
fn a_port_changes_hands() {
    let world = World::new();
    let networks = world.networks();
    let (a, b) = (alloc_id(), alloc_id());
    world.create(&networks, &plan(&a, &[(20_080, 80)]));
    serve(&a, "[::]:80");
    let from = within(&world.outside, || std::net::UdpSocket::bind("192.0.2.2:6000").unwrap());
    from.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    from.send_to(b"?", "192.0.2.1:20080").unwrap();
    from.recv(&mut [0; 64]).unwrap();
    world.on_machine(async || networks.destroy(&AllocId(a.clone())).await).unwrap();
    world.create(&networks, &plan(&b, &[(20_080, 80)]));
    serve(&b, "[::]:80");
    // The same flow: what the kernel remembers of it would lead to nobody.
    from.send_to(b"?", "192.0.2.1:20080").unwrap();
    from.recv(&mut [0; 64]).unwrap();
    ends(&world, networks, &[&b]);
}

/// The same of many that go together: what the kernel remembers of each is forgotten.
#[test]
fn ports_of_many_change_hands() {
    let world = World::new();
    let networks = world.networks();
    let numbers = 0..6_u16;
    let plans = || numbers.clone().map(|number| plan(&alloc_id(), &[(20_080 + number, 80)])).collect::<Vec<_>>();
    let (before, after) = (plans(), plans());
    let made = |plans: &[NetworkPlan]| {
        for plan in plans {
            world.create(&networks, plan);
            serve(&plan.alloc.0, "[::]:80");
        }
    };
    made(&before);
    let from = within(&world.outside, || std::net::UdpSocket::bind("192.0.2.2:6000").unwrap());
    from.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let all_answer = || {
        for number in numbers.clone() {
            from.send_to(b"?", ("192.0.2.1", 20_080 + number)).unwrap();
            let (_, who) = from.recv_from(&mut [0; 64]).unwrap();
            assert_eq!(who.port(), 20_080 + number);
        }
    };
    all_answer();
    world.on_machine(async || crowd::destroy(&networks, &before).await);
    made(&after);
    all_answer();
    ends(&world, networks, &after.iter().map(|plan| plan.alloc.0.as_str()).collect::<Vec<_>>());
}

/// Some namespaces are made before they are asked for: each goes to one allocation, with its loopback interface up and
/// the machine's settings of the time.
#[test]
fn namespaces_made_ahead_are_like_others() {
    let world = World::new();
    let networks = world.networks();
    let allocs: Vec<_> = (0..7).map(|_| alloc_id()).collect();
    let mut seen = std::collections::BTreeSet::new();
    for alloc in &allocs {
        world.create(&networks, &plan(alloc, &[]));
        let pin = std::fs::metadata(std::path::Path::new("/run/netns").join(alloc)).unwrap();
        assert!(seen.insert(std::os::unix::fs::MetadataExt::ino(&pin)), "another's namespace");
        serve(alloc, "127.0.0.1:7070");
        reached(alloc, "127.0.0.1:7070");
        let links = ip(&["-n", alloc, "-o", "link", "show", "up"]);
        assert_eq!(links.lines().count(), 2, "{links}");
    }
    ends(&world, networks, &allocs.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A container holds the namespace; it is replaced, and the network follows it with its address.
#[test]
fn a_holder_is_replaced() {
    let world = World::new();
    let networks = world.networks();
    let (alloc, first, second) = (alloc_id(), alloc_id(), alloc_id());
    for holder in [&first, &second] {
        ip(&["netns", "add", holder]);
    }
    let held = |holder: &str| NetworkPlan {
        holder: Holder::Container(holder.into()),
        namespace_path: Some(format!("/run/netns/{holder}")),
        ..plan(&alloc, &[(20_080, 80)])
    };
    let made = world.create(&networks, &held(&first));
    serve(&first, "[::]:80");
    reached(&world.outside, "192.0.2.1:20080");
    reached(&alloc, "127.0.0.1:80");
    let moved = world.create(&networks, &held(&second));
    assert_eq!(moved.address, made.address);
    serve(&second, "[::]:80");
    reached(&world.outside, "192.0.2.1:20080");
    ends(&world, networks, &[&alloc]);
    for holder in [&first, &second] {
        ip(&["netns", "delete", holder]);
    }
}

/// A container in network mode `host` shows the machine's namespace as its own.
#[test]
fn the_machines_own_namespace_is_no_allocations() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    let held = |mode: &str| NetworkPlan {
        mode: mode.into(),
        holder: Holder::Container("evil".into()),
        namespace_path: Some(format!("/run/netns/{}", world.machine)),
        ..plan(&alloc, &[(20_080, 80)])
    };
    let links = || ip(&["-n", &world.machine, "-o", "link", "show", "type", "veth"]).lines().count();
    let before = links();
    let refused = |mode: &str| {
        let answer = world.on_machine(async || networks.create(&held(mode)).await);
        assert!(matches!(&answer, Err(HostError::Denied(why)) if why.contains("evil")), "{mode}: {answer:?}");
    };
    for mode in ["bridge", "none"] {
        refused(mode);
        assert!(!std::path::Path::new("/run/netns").join(&alloc).exists(), "{mode}");
    }
    assert_eq!(links(), before);

    // What an allocation has already stays as it is.
    world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    serve(&alloc, "[::]:80");
    refused("bridge");
    reached(&world.outside, "192.0.2.1:20080");
    reached(&alloc, "127.0.0.1:80");
    ends(&world, networks, &[&alloc]);
}

#[test]
fn mode_none_is_loopback_only() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    let made = world.create(&networks, &NetworkPlan { mode: "none".into(), ..plan(&alloc, &[]) });
    assert_eq!((made.address, made.interface_name), (None, None));
    serve(&alloc, "127.0.0.1:80");
    reached(&alloc, "127.0.0.1:80");
    let links = ip(&["-n", &alloc, "-o", "link", "show", "up"]);
    assert_eq!(links.lines().count(), 1, "{links}");
    world.on_machine(async || networks.destroy(&AllocId(alloc.clone())).await).unwrap();
    assert!(!std::path::Path::new("/run/netns").join(&alloc).exists());
}

/// Removes allocations and looks for remains, then removes the bridge.
#[track_caller]
fn ends(world: &World, networks: longshore_linux::network::KernelNetworks, allocs: &[&str]) {
    for alloc in allocs {
        world.on_machine(async || networks.destroy(&AllocId((*alloc).into())).await).unwrap();
        world.on_machine(async || networks.destroy(&AllocId((*alloc).into())).await).unwrap();
        assert!(!std::path::Path::new("/run/netns").join(alloc).exists());
    }
    assert_eq!(world.ports_of_bridge(), Vec::<String>::new());
    let table = world.table();
    assert!(!table.contains("elements"), "{table}");
    world.on_machine(async || networks.retire().await).unwrap();
    let left = world.run(&["nft", "list", "tables"]);
    assert!(!left.contains("longshore"), "{left}");
}
