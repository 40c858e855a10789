//! Beside other people's firewalls.

use longshore_core::network::Networks;

use super::{
    ends,
    world::{World, alloc_id, plan, reached, serve, shut},
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
    // Docker starts anew and flushes its chain.
    world.run(&["iptables", "-F", "DOCKER-USER"]);
    shut(&world.outside, "192.0.2.1:20080");
    let told = world.on_machine(async || networks.repair().await).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    reached(&world.outside, "192.0.2.1:20080");
    ends(&world, networks, &[&alloc]);
    assert_eq!(world.run(&["iptables", "-S", "DOCKER-USER"]), "-N DOCKER-USER\n");
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
        world.run(&command.split(' ').collect::<Vec<_>>());
    }
    reached(&world.outside, "192.0.2.1:20080");
    ends(&world, networks, &[&alloc]);
}
