//! What a driver can do to its allocation's network through the contract.

use std::sync::Arc;

use longshore_core::{
    caller::{AllocId, Caller, DriverName},
    error::HostError,
    network::Networks,
    port::{PortRequest, Ports},
};
use longshore_linux::{
    network::KernelNetworks,
    ports::{PortBook, PortSettings},
};

use super::{
    ends,
    world::{World, alloc_id, plan, reached, serve, shut},
};
use crate::support::scope;

/// A driver that acts for a task of an allocation.
fn caller(alloc: &str) -> Caller {
    let scope = scope(std::path::Path::new("/nowhere"), alloc, "web");
    Caller { driver: DriverName("custom".into()), task: Some(scope) }
}

#[test]
fn a_driver_maps_ports_it_reserved_and_sees_only_its_own() {
    let world = World::new();
    let settings =
        PortSettings { dynamic: 21_000..=21_099, host_ip: world.settings.host_ip, ..PortSettings::default() };
    let ports = world.on_machine(async || Arc::new(PortBook::new(settings)));
    let networks = KernelNetworks::new(world.settings.clone(), None, Some(ports.clone()));
    let (alloc, other) = (alloc_id(), alloc_id());
    let made = world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    let others = world.create(&networks, &plan(&other, &[]));
    serve(&alloc, "[::]:8080");
    let driver = caller(&alloc);
    let current = world.on_machine(async || networks.current(&driver).await).unwrap();
    assert_eq!(current.as_ref(), Some(&made));

    let request = PortRequest { label: "extra".into(), ..PortRequest::default() };
    let port = &world.on_machine(async || ports.reserve(&AllocId(alloc.clone()), &[request]).await).unwrap()[0];
    let address = made.address.clone().unwrap();
    let map = |caller: &Caller, label: &str, address: &str| {
        world.on_machine(async || networks.map_port(caller, label, address, 8080).await)
    };
    assert!(matches!(map(&driver, "nothing", &address), Err(HostError::NotFound(_))));
    assert!(matches!(map(&driver, "extra", others.address.as_deref().unwrap()), Err(HostError::Denied(_))));
    assert!(matches!(map(&caller(&other), "extra", others.address.as_deref().unwrap()), Err(HostError::NotFound(_))));
    let from_outside = format!("192.0.2.1:{}", port.host_port);
    shut(&world.outside, &from_outside);
    map(&driver, "extra", &address).unwrap();
    map(&driver, "extra", &address).unwrap();
    reached(&world.outside, &from_outside);
    // What a driver mapped stays when the agent makes sure of the network.
    world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    reached(&world.outside, &from_outside);
    for _ in 0..2 {
        world.on_machine(async || networks.unmap_port(&driver, "extra").await).unwrap();
    }
    shut(&world.outside, &from_outside);
    ends(&world, networks, &[&alloc, &other]);
}

#[test]
fn what_is_detached_is_no_longer_shown() {
    let world = World::new();
    let networks = world.networks();
    let alloc = alloc_id();
    let made = world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    serve(&alloc, "[::]:80");
    reached(&world.outside, "192.0.2.1:20080");
    let driver = caller(&alloc);
    for _ in 0..2 {
        world.on_machine(async || networks.detach(&driver).await).unwrap();
    }
    let current = world.on_machine(async || networks.current(&driver).await).unwrap().unwrap();
    assert_eq!((current.address, current.interface_name, current.ports), (None, None, vec![]));
    assert_eq!(world.ports_of_bridge(), Vec::<String>::new());
    shut(&world.outside, "192.0.2.1:20080");
    // Attaching needs an engine to ask for the container.
    let attached = world.on_machine(async || networks.attach_container(&driver, "x").await);
    assert!(matches!(attached, Err(HostError::Unavailable(_))), "{attached:?}");
    // The agent makes it again, whole.
    let again = world.create(&networks, &plan(&alloc, &[(20_080, 80)]));
    assert_eq!(again.ports, made.ports);
    reached(&world.outside, "192.0.2.1:20080");
    assert_eq!(world.on_machine(async || networks.current(&driver).await), Ok(Some(again)));
    ends(&world, networks, &[&alloc]);
}

#[test]
fn without_a_network_there_is_nothing_to_do() {
    let world = World::new();
    let networks = world.networks();
    let driver = caller(&alloc_id());
    assert_eq!(world.on_machine(async || networks.current(&driver).await), Ok(None));
    assert_eq!(world.on_machine(async || networks.detach(&driver).await), Ok(()));
    assert_eq!(world.on_machine(async || networks.unmap_port(&driver, "x").await), Ok(()));
    let mapped = world.on_machine(async || networks.map_port(&driver, "x", "10.77.0.2", 80).await);
    assert!(matches!(mapped, Err(HostError::Invalid(_))), "{mapped:?}");
    let nobody = Caller::driver(&DriverName("custom".into()));
    assert!(matches!(world.on_machine(async || networks.current(&nobody).await), Err(HostError::Invalid(_))));
    let unknown = AllocId("../x".into());
    assert!(matches!(world.on_machine(async || networks.destroy(&unknown).await), Err(HostError::Invalid(_))));
}
