//! Machines on which it cannot work, and what is said of them.

use longshore_core::{caller::AllocId, error::HostError, network::Networks};
use longshore_linux::network::{KernelNetworks, NetworkSettings};

use crate::support::until;

use super::{
    ends,
    world::{World, alloc_id, ip, plan, reached, serve},
};

fn refusal(world: &World) -> HostError {
    let networks = world.networks();
    let alloc = alloc_id();
    let error = world.on_machine(async || networks.create(&plan(&alloc, &[(20_080, 80)])).await).unwrap_err();
    assert_eq!(world.on_machine(async || networks.ready("bridge").await), Err(error.clone()), "known at submit");
    assert!(!std::path::Path::new("/run/netns").join(&alloc).exists(), "nothing is left behind");
    error
}

#[test]
fn the_bridges_name_is_taken() {
    let world = World::new();
    ip(&["-n", &world.machine, "link", "add", &world.bridge, "type", "veth", "peer", "name", "other0"]);
    let error = refusal(&world);
    assert!(matches!(&error, HostError::Conflict(text) if text.contains("taken by a veth")), "{error}");
}

#[test]
fn the_subnet_is_somebodys() {
    let world = World::new();
    ip(&["-n", &world.machine, "route", "add", "10.77.4.0/24", "via", "192.0.2.2"]);
    let error = refusal(&world);
    let expected = "subnet 10.77.0.0/20 of the bridge overlaps 10.77.4.0/24, which is reached by up0";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_bridge_belongs_to_one_agent() {
    let world = World::new();
    let (first, alloc) = (world.networks(), alloc_id());
    world.create(&first, &plan(&alloc, &[]));
    let second = world.networks();
    let error = world.on_machine(async || second.ready("bridge").await).unwrap_err();
    assert!(error.to_string().contains("belongs to another agent"), "{error}");
    drop(first);
    // A child that another test's thread has just made has the lock too, until it becomes another program.
    until("the bridge can be had", || world.on_machine(async || second.ready("bridge").await).is_ok());
    world.on_machine(async || second.reconcile(&[]).await);
    ends(&world, second, &[]);
}

/// Allocations go on while their agent does not run: nobody else gets its bridge then.
#[test]
fn a_bridge_waits_for_its_agent() {
    let world = World::new();
    let [home, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let networks_of = |owner: &tempfile::TempDir| {
        KernelNetworks::new(NetworkSettings { owner: owner.path().into(), ..world.settings.clone() }, None, None)
    };
    let (alloc, second_alloc) = (alloc_id(), alloc_id());
    let planned = plan(&alloc, &[(20_080, 80)]);
    world.create(&networks_of(&home), &planned);
    serve(&alloc, "[::]:80");

    let networks = networks_of(&other);
    let refusal = || world.on_machine(async || networks.ready("bridge").await).map_err(|error| error.to_string());
    let waits = "which does not run now";
    until("the lock is free", || refusal().is_err_and(|why| why.contains(waits)));
    assert!(refusal().unwrap_err().contains(&home.path().display().to_string()));
    assert_eq!(world.on_machine(async || networks.reconcile(&[]).await), []);
    let made = world.on_machine(async || networks.create(&plan(&second_alloc, &[])).await);
    assert!(made.unwrap_err().to_string().contains(waits));
    world.on_machine(async || networks.retire().await).unwrap();
    reached(&world.outside, "192.0.2.1:20080");

    let own = networks_of(&home);
    until("the lock is free", || world.on_machine(async || own.ready("bridge").await).is_ok());
    world.on_machine(async || own.reconcile(std::slice::from_ref(&planned)).await).pop().unwrap().unwrap();
    reached(&world.outside, "192.0.2.1:20080");
    drop(own);
    // Nobody can find them again.
    home.close().unwrap();
    until("the bridge can be had", || refusal().is_ok());
    world.on_machine(async || networks.reconcile(&[]).await);
    assert!(!std::path::Path::new("/run/netns").join(&alloc).exists());
    ends(&world, networks, &[]);
}

/// To ask whether a network could be made makes nothing.
#[test]
fn asking_leaves_no_trace() {
    let world = World::new();
    let networks = world.networks();
    assert_eq!(world.on_machine(async || networks.ready("bridge").await), Ok(()));
    assert_eq!(world.on_machine(async || networks.obstacles().await), []);
    let links = ip(&["-n", &world.machine, "-o", "link"]);
    assert!(!links.contains(&world.bridge), "{links}");
    assert_eq!(world.run(&["nft", "list", "tables"]), "");
    assert!(!std::path::Path::new(&format!("/run/longshore/{}.lock", world.bridge)).exists());
}

#[test]
fn a_subnet_can_be_full() {
    let mut world = World::new();
    world.settings.subnet = "10.77.0.0/29".parse().unwrap();
    let networks = world.networks();
    let allocs: Vec<_> = (0..5).map(|_| alloc_id()).collect();
    for alloc in &allocs {
        world.create(&networks, &plan(alloc, &[]));
    }
    let one_more = alloc_id();
    let error = world.on_machine(async || networks.create(&plan(&one_more, &[])).await).unwrap_err();
    assert!(matches!(&error, HostError::Limit(text) if text.contains("all 5 addresses")), "{error}");
    world.on_machine(async || networks.destroy(&AllocId(allocs[2].clone())).await).unwrap();
    assert_eq!(world.create(&networks, &plan(&one_more, &[])).address.as_deref(), Some("10.77.0.4"));
    ends(&world, networks, &allocs.iter().chain([&one_more]).map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn modes_that_are_not_there() {
    let world = World::new();
    let networks = world.networks();
    let ready = |mode: &'static str| world.on_machine(async || networks.ready(mode).await);
    assert_eq!((ready("host"), ready("none")), (Ok(()), Ok(())));
    assert!(matches!(ready("overlay"), Err(HostError::Unavailable(_))));
}
