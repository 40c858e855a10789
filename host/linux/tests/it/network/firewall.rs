//! Beside other people's firewalls.

use std::{net::UdpSocket, time::Duration};

use longshore_core::network::Networks;

use super::{
    super::docker::daemon::Daemon,
    ends,
    world::{World, alloc_id, plan, reached, serve, shut, within},
};

/// What Docker does to a machine.
fn like_docker(world: &World) {
    for command in [
        &["-P", "FORWARD", "DROP"][..],
        &["-N", "DOCKER-USER"],
        &["-A", "DOCKER-USER", "-j", "RETURN"],
        &["-A", "FORWARD", "-j", "DOCKER-USER"],
    ] {
        world.run(&[&["iptables"], command].concat());
    }
}

#[test]
fn docker_drops_what_is_forwarded() {
    let world = World::new();
    like_docker(&world);
    let networks = world.networks();
    let alloc = alloc_id();
    world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    serve(&alloc, "[::]:80");
    serve(&world.outside, "[::]:4000");
    reached(&world.outside, "192.0.2.1:20080");
    reached(&alloc, "192.0.2.2:4000");
    let printed = world.run(&["iptables", "-S", "DOCKER-USER"]);
    let expected = format!(
        "-N DOCKER-USER\n\
         -A DOCKER-USER -d 10.77.0.0/20 -o {0} -m comment --comment \"longshore_{0}: to\" -j ACCEPT\n\
         -A DOCKER-USER -i {0} -m comment --comment \"longshore_{0}: from\" -j ACCEPT\n\
         -A DOCKER-USER -j RETURN\n",
        world.bridge
    );
    assert_eq!(printed, expected, "iptables can read all of it");
    // Looking again adds nothing.
    assert_eq!(world.on_machine(async || networks.repair().await), Ok(vec![]));
    drop(networks);
    let networks = world.networks();
    let plans = [plan(&alloc, &[(20_080, 80)])];
    world.on_machine(async || networks.reconcile(&plans).await).pop().unwrap().unwrap();
    assert_eq!(world.run(&["iptables", "-S", "DOCKER-USER"]), expected);
    // What is written down and loaded again has its comments elsewhere.
    world.run(&["sh", "-c", "iptables-save | iptables-restore"]);
    assert_eq!(world.on_machine(async || networks.repair().await), Ok(vec![]));
    assert_eq!(world.run(&["iptables", "-S", "DOCKER-USER"]), expected);
    // Docker starts anew and flushes its chain.
    world.run(&["iptables", "-F", "DOCKER-USER"]);
    shut(&world.outside, "192.0.2.1:20080");
    let told = world.on_machine(async || networks.repair().await).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    reached(&world.outside, "192.0.2.1:20080");
    world.run(&["sh", "-c", "iptables-save | iptables-restore"]);
    ends(&world, networks, &[&alloc]);
    assert_eq!(world.run(&["iptables", "-S", "DOCKER-USER"]), "-N DOCKER-USER\n");
}

/// A real engine that comes and goes beside an agent, on a machine that is all its own.
#[test]
fn rules_among_dockers_outlive_its_restarts() {
    let world = World::new();
    // An engine that has to switch forwarding on drops what it does not know.
    world.run(&["sysctl", "-qw", "net.ipv4.ip_forward=0"]);
    let mut engine = Daemon::within(&world.machine);
    engine.start();
    let networks = world.networks();
    let alloc = alloc_id();
    world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    serve(&alloc, "[::]:80");
    let own = |rules: &str| {
        let ours = rules.lines().filter(|line| line.contains("longshore")).map(str::to_owned);
        ours.collect::<Vec<_>>()
    };
    let before = own(&world.run(&["iptables", "-S", "DOCKER-USER"]));
    assert_eq!(before.len(), 2, "{before:?}");
    for restart in 1..=2 {
        engine.stop();
        engine.start();
        let rules = world.run(&["iptables", "-S"]);
        assert!(rules.contains("-P FORWARD DROP") && rules.contains("-A FORWARD -j DOCKER-USER"), "{rules}");
        assert_eq!(own(&rules), before, "after restart {restart}: {rules}");
        assert!(!rules.contains("incompatible"), "{rules}");
        assert_eq!(world.on_machine(async || networks.repair().await), Ok(vec![]));
        reached(&world.outside, "192.0.2.1:20080");
    }
    drop(engine);
    ends(&world, networks, &[&alloc]);
}

#[test]
fn a_firewall_that_was_loaded_anew_is_noticed() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    serve(&alloc, "[::]:80");
    assert_eq!(world.on_machine(async || networks.repair().await), Ok(vec![]));
    for damage in
        ["flush ruleset", "flush map inet TABLE ports4", "delete table inet TABLE", "flush chain inet TABLE prerouting"]
    {
        let damage = damage.replace("TABLE", &format!("longshore_{}", world.bridge));
        world.run(&["nft", &damage]);
        shut(&world.outside, "192.0.2.1:20080");
        let told = world.on_machine(async || networks.repair().await).unwrap();
        assert!(told[0].contains("was restored"), "{damage}: {told:?}");
        reached(&world.outside, "192.0.2.1:20080");
    }
    ends(&world, networks, &[&alloc]);
}

/// Sends from a socket and answers who the other side saw; none if nobody answered.
fn heard(socket: &UdpSocket, to: &str) -> Option<String> {
    let mut buffer = [0; 64];
    // What is left of an earlier answer, or of a refusal.
    socket.set_nonblocking(true).unwrap();
    while socket.recv(&mut buffer).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    socket.send_to(b"?", to).unwrap();
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn socket_in(namespace: &str) -> UdpSocket {
    let socket = within(namespace, || UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// A connection from one port, again and again.
fn connects_from(world: &World, port: u16, to: &str) -> bool {
    let command = format!("curl -s --http0.9 --max-time 5 --local-port {port} http://{to}/; echo code $?");
    let said = world.run_outside(&["sh", "-c", &command]);
    // The server closes before it has heard the question, which curl may take for a failure.
    let answered = said.starts_with("192.0.2.2");
    assert!(answered || said == "code 7\n", "{said}");
    answered
}

/// Flows that began while the rules were gone lead to nobody, or go out under an address that nobody answers. They are
/// the kernel's to remember until somebody makes it forget.
#[test]
fn flows_that_began_without_our_rules_are_led_again() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    serve(&alloc, "[::]:80");
    serve(&world.outside, "[::]:4000");
    // Somebody else's table, for which the kernel remembers connections also while ours is gone.
    world.run(&["nft", "add table inet other; add chain inet other seen { type filter hook prerouting priority 0; }"]);
    world.run(&["nft", "add rule inet other seen ct state new counter"]);
    let before = socket_in(&world.outside);
    assert_eq!(heard(&before, "192.0.2.1:20080").as_deref(), Some("192.0.2.2"));
    let chain = |name: &str| format!("flush chain inet TABLE {name}");
    let damages = ["delete table inet TABLE".into(), chain("prerouting"), chain("output"), chain("postrouting")];
    for (port, damage) in (6000..).zip(damages) {
        let is_gone = |chain: &str| damage.starts_with("delete") || damage.ends_with(chain);
        world.run(&["nft", &damage.replace("TABLE", &format!("longshore_{}", world.bridge))]);
        let [outside, machine, inside] = [&world.outside, &world.machine, &alloc].map(|place| socket_in(place));
        let seen_outside = || heard(&outside, "192.0.2.1:20080");
        let seen_here = || heard(&machine, "127.0.0.1:20080");
        let seen_in_the_world = || heard(&inside, "192.0.2.2:4000");
        let connects = || connects_from(&world, port, "192.0.2.1:20080");
        assert_eq!(seen_outside().is_none(), is_gone("prerouting"), "{damage}");
        assert_eq!(connects(), !is_gone("prerouting"), "{damage}");
        assert_eq!(seen_here().is_none(), is_gone("output") || is_gone("postrouting"), "{damage}");
        let own = if is_gone("postrouting") { "10.77.0.2" } else { "192.0.2.1" };
        assert_eq!(seen_in_the_world().as_deref(), Some(own), "{damage}");
        assert_eq!(world.on_machine(async || networks.repair().await).unwrap().len(), 1);
        assert_eq!(seen_outside().as_deref(), Some("192.0.2.2"), "{damage}");
        assert!(seen_here().is_some(), "{damage}");
        assert_eq!(seen_in_the_world().as_deref(), Some("192.0.2.1"), "{damage}");
        assert!(connects(), "{damage}");
        assert!(heard(&before, "192.0.2.1:20080").is_some(), "what was led goes on");
    }
    ends(&world, networks, &[&alloc]);
}

/// Senders that do not wait until there is somebody.
#[test]
fn flows_to_ports_that_nobody_had_yet_are_led() {
    let world = World::new();
    let networks = world.networks();
    let (first, one, two) = (alloc_id(), alloc_id(), alloc_id());
    // The rules are there, and with them the kernel remembers.
    world.create(&networks, &plan(&first, &[]));
    let senders = [20_080, 20_081, 20_082].map(|port| (socket_in(&world.outside), format!("192.0.2.1:{port}")));
    for (sender, to) in &senders {
        assert_eq!(heard(sender, to), None);
    }
    // The kernel is asked for the flows to one port, and for those to several, in ways of their own.
    world.create(&networks, &plan(&one, &[(20_080, 80)]));
    world.create(&networks, &plan(&two, &[(20_081, 80), (20_082, 81)]));
    serve(&one, "[::]:80");
    serve(&two, "[::]:80");
    serve(&two, "[::]:81");
    for (sender, to) in &senders {
        assert_eq!(heard(sender, to).as_deref(), Some("192.0.2.2"), "{to}");
    }
    ends(&world, networks, &[&first, &one, &two]);
}

#[test]
fn a_firewall_in_the_way_is_told_with_the_remedy() {
    let world = World::new();
    world.run(&[
        "nft",
        "add table inet mine; add chain inet mine passing { type filter hook forward priority 0; policy drop; }",
    ]);
    let networks = world.networks();
    let alloc = alloc_id();
    world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    serve(&alloc, "[::]:80");
    shut(&world.outside, "192.0.2.1:20080");
    let told = world.on_machine(async || networks.obstacles().await);
    let [obstacle] = &told[..] else { panic!("{told:?}") };
    assert!(obstacle.problem.contains("inet mine passing drops"), "{obstacle}");
    for command in obstacle.remedy.split("; ") {
        assert_eq!(world.on_machine(async || networks.obstacles().await).len(), 1, "before {command}");
        world.run(&["sh", "-c", command]);
    }
    reached(&world.outside, "192.0.2.1:20080");
    assert_eq!(world.on_machine(async || networks.obstacles().await), []);
    // What is about other interfaces, or about more than that, does not let everything pass.
    let bridge = &world.bridge;
    for rule in
        ["iifname up0 accept", "iifname BRIDGE tcp dport 80 accept", "iifname BRIDGE drop", "oifname BRIDGE accept"]
    {
        world.run(&["nft", "flush chain inet mine passing"]);
        world.run(&["nft", "add rule inet mine passing oifname", &format!("{bridge}*"), "accept"]);
        world.run(&["nft", &format!("add rule inet mine passing {}", rule.replace("BRIDGE", &format!("{bridge}*")))]);
        assert_eq!(world.on_machine(async || networks.obstacles().await).len(), 1, "{rule}");
    }
    world.run(&["nft", &format!("add rule inet mine passing iifname {bridge}* counter accept")]);
    assert_eq!(world.on_machine(async || networks.obstacles().await), []);
    ends(&world, networks, &[&alloc]);
}
