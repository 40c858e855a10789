//! More allocations than the kernel lets a bridge have ports, or its table of neighbours have entries.

use longshore_core::network::{NetworkPlan, Networks};

use super::{
    crowd, ends,
    world::{World, ip, reached, serve},
};

/// Of which a bridge of ours has 253.
const ALLOCATIONS: u16 = 1_100;

#[test]
fn allocations_beyond_one_bridge_all_answer_and_leave_nothing() {
    longshore_linux::limits::raise_open_files().unwrap();
    let world = World::new();
    let networks = world.networks();
    let plans = crowd::plans(ALLOCATIONS);
    let made = world.on_machine(async || crowd::create(&networks, &plans).await);
    let (first, last) = (&made[0], &made[usize::from(ALLOCATIONS) - 1]);
    let shown = [&first.gateway, &last.address, &last.gateway].map(|text| text.as_deref().unwrap());
    assert_eq!(shown, ["10.77.0.1", "10.77.4.89", "10.77.4.1"]);
    let wiring = world.on_machine(async || networks.wiring(&plans[plans.len() - 1].alloc).await).unwrap();
    assert_eq!(wiring.bridge, Some(format!("{}4", world.bridge)));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    crowd::serve(&runtime, &plans);
    let asked = 4 * plans.len();
    assert_eq!(crowd::answering(&world, &plans), asked, "of two ports each, over TCP and UDP");
    // From bridge to bridge, by address and by port, both families.
    serve(&last.id, "[::]:90");
    let (four, six) = (last.address.clone().unwrap(), last.address_ipv6.clone().unwrap());
    serve(&world.outside, "[::]:4000");
    for address in [format!("{four}:90"), format!("[{six}]:90")] {
        reached(&first.id, &address);
        reached(&world.machine, &address);
    }
    assert_eq!(reached(&last.id, "192.0.2.2:4000"), "192.0.2.1");

    // Another agent takes over: everybody keeps what they have.
    drop(networks);
    let networks = world.networks();
    let known = plans.iter().zip(&made);
    let known: Vec<_> =
        known.map(|(plan, network)| NetworkPlan { before: Some(network.clone()), ..plan.clone() }).collect();
    let again = world.on_machine(async || networks.reconcile(&known).await);
    assert_eq!(again.into_iter().map(Result::unwrap).collect::<Vec<_>>(), made);
    assert_eq!(crowd::answering(&world, &plans), asked);
    assert_eq!(crowd::counted(&world, &plans), [plans.len(), plans.len(), 2 * asked], "both families");

    drop(runtime);
    world.on_machine(async || crowd::destroy(&networks, &plans).await);
    assert_eq!(crowd::counted(&world, &plans), [0, 0, 0]);
    ends(&world, networks, &[]);
    let bridges = ip(&["-n", &world.machine, "-o", "link", "show", "type", "bridge"]);
    assert_eq!(bridges, "");
}
