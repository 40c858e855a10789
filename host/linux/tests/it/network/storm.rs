//! Agents killed at any moment: whatever one was about to do, the next leaves nothing of it.

use std::{
    env,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use longshore_core::{caller::AllocId, network::Networks};
use longshore_linux::network::KernelNetworks;

use super::world::{World, plan, within};

/// Tells the victim which bridge is its.
const VICTIM: &str = "LONGSHORE_STORM_BRIDGE";
/// How often the victim is killed.
const KILLS: u32 = 200;
/// Networks that are made and removed all the time.
const NETWORKS: u16 = 4;

fn alloc(bridge: &str, number: u16) -> String {
    let digits: String = bridge.chars().filter(char::is_ascii_digit).collect();
    // A whole id: nothing else is unpinned for a network that is nobody's.
    format!("{:0>8}-{number:04x}-4000-8000-000000000000", &digits[digits.len().saturating_sub(8)..])
}

/// Makes and removes networks until it is killed. Started by the test below in a process of its own; alone it does
/// nothing.
#[test]
fn victim() {
    let Ok(bridge) = env::var(VICTIM) else { return };
    let networks = KernelNetworks::new(World::settings(&bridge), None, None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // What the one before left is taken up again, as the journal would have it.
        let plans: Vec<_> = (0..NETWORKS).map(|number| wanted(&bridge, number)).collect();
        for result in networks.reconcile(&plans).await {
            result.unwrap();
        }
        loop {
            for plan in &plans {
                networks.destroy(&plan.alloc).await.unwrap();
                networks.create(plan).await.unwrap();
            }
        }
    });
}

fn wanted(bridge: &str, number: u16) -> longshore_core::network::NetworkPlan {
    plan(&alloc(bridge, number), &[(22_000 + number, 80), (22_100 + number, 81)])
}

#[test]
fn nothing_is_left_of_agents_that_were_killed() {
    let world = World::new();
    let program = env::current_exe().unwrap();
    let mut seed = 7_u64;
    for kill in 0..KILLS {
        let mut victim = within(&world.machine, || {
            let mut command = Command::new(&program);
            command.args(["--exact", "network::storm::victim", "--nocapture"]).env(VICTIM, &world.bridge);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        });
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_micros(5_000 + (seed >> 33) % 60_000));
        assert!(victim.try_wait().unwrap().is_none(), "victim {kill} ended by itself");
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    assert!(!world.ports_of_bridge().is_empty(), "the victims have made networks");
    let networks = KernelNetworks::new(World::settings(&world.bridge), None, None);
    // One is known to the journal, the others are nobody's.
    let kept = wanted(&world.bridge, 0);
    let results = world.on_machine(async || networks.reconcile(std::slice::from_ref(&kept)).await);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(world.ports_of_bridge().len(), 1);
    let table = world.table();
    let mapped = table.matches(&format!("comment \"{}\"", kept.alloc)).count();
    assert_eq!(mapped, table.matches("comment ").count(), "{table}");
    let pins = |number| std::path::Path::new("/run/netns").join(alloc(&world.bridge, number)).exists();
    assert!(pins(0) && !(1..NETWORKS).any(pins));
    world.on_machine(async || networks.destroy(&AllocId(alloc(&world.bridge, 0))).await).unwrap();
    super::ends(&world, networks, &[]);
}
