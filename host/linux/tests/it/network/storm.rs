//! Agents killed at any moment: whatever one was about to do, the next leaves nothing of it.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv6Addr, TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use longshore_core::{
    network::{NetworkPlan, Networks},
    port::{PortRequest, Ports, Protocol},
};
use longshore_linux::{
    network::KernelNetworks,
    ports::{PortBook, PortSettings},
};

use super::world::{World, plan, within};

/// Tells the victim which bridge is its.
const VICTIM: &str = "LONGSHORE_STORM_BRIDGE";
/// Tells it which of the networks its journal says shall be there, as bits.
const KNOWN: &str = "LONGSHORE_STORM_KNOWN";
/// What it says when it has taken over what the one before it left.
const READY: &str = "taken over";
/// How often the victim is killed.
const KILLS: u32 = 200;
/// Networks that are made and removed all the time.
const NETWORKS: u16 = 4;

fn alloc(bridge: &str, number: u16) -> String {
    let digits: String = bridge.chars().filter(char::is_ascii_digit).collect();
    // A whole id: nothing else is unpinned for a network that is nobody's.
    format!("{:0>8}-{number:04x}-4000-8000-000000000000", &digits[digits.len().saturating_sub(8)..])
}

/// Takes over what its journal knows, says so, and when it is told to go on makes and removes networks until it is
/// killed. Started by the test below in a process of its own; alone it does nothing.
#[test]
fn victim() {
    let Ok(bridge) = env::var(VICTIM) else { return };
    let networks = KernelNetworks::new(World::settings(&bridge), None, None);
    let settings = PortSettings { host_ip: World::settings(&bridge).host_ip, ..PortSettings::default() };
    let ports = PortBook::new(settings);
    let known: u16 = env::var(KNOWN).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let plans: Vec<_> = (0..NETWORKS).map(|number| wanted(&bridge, number)).collect();
        let kept = (0..NETWORKS).zip(&plans).filter(|(number, _)| is_known(known, *number));
        let journal: Vec<_> = kept.map(|(_, plan)| plan.clone()).collect();
        for plan in &journal {
            for result in ports.restore(&plan.alloc, &plan.ports).await {
                result.unwrap();
            }
        }
        for result in networks.reconcile(&journal).await {
            result.unwrap();
        }
        // The journal knows of the others that they have ended.
        for plan in plans.iter().filter(|plan| !journal.contains(plan)) {
            networks.destroy(&plan.alloc).await.unwrap();
        }
        println!("{READY}");
        io::stdin().read_line(&mut String::new()).unwrap();
        loop {
            for plan in &plans {
                networks.destroy(&plan.alloc).await.unwrap();
                ports.release(&plan.alloc, None).await.unwrap();
                ports.reserve(&plan.alloc, &requests(plan)).await.unwrap();
                networks.create(plan).await.unwrap();
            }
        }
    });
}

fn wanted(bridge: &str, number: u16) -> NetworkPlan {
    plan(&alloc(bridge, number), &[(22_000 + number, 80), (22_100 + number, 81)])
}

fn requests(plan: &NetworkPlan) -> Vec<PortRequest> {
    let request = |port: &longshore_core::port::Port| PortRequest {
        label: port.label.clone(),
        static_port: Some(port.host_port),
        to: Some(port.task_port),
        protocol: Protocol::Both,
        ..PortRequest::default()
    };
    plan.ports.iter().map(request).collect()
}

fn is_known(known: u16, number: u16) -> bool {
    known >> number & 1 == 1
}

/// Starts a victim whose journal knows some of the networks.
fn start(world: &World, known: u16) -> Child {
    let program = env::current_exe().unwrap();
    within(&world.machine, || {
        let mut command = Command::new(&program);
        command.args(["--exact", "network::storm::victim", "--nocapture"]);
        command.env(VICTIM, &world.bridge).env(KNOWN, known.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    })
}

fn kill(mut victim: Child) {
    assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself");
    victim.kill().unwrap();
    victim.wait().unwrap();
}

/// Waits until the victim has taken over.
fn taken_over(victim: &mut Child) {
    let mut lines = BufReader::new(victim.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(READY)), "the victim ended by itself");
}

/// Exactly the known ones have their ports, for which another process asks here, their namespace and their link.
#[track_caller]
fn only_known_are_there(world: &World, known: u16) {
    for number in 0..NETWORKS {
        let plan = wanted(&world.bridge, number);
        for port in plan.ports.iter().map(|port| port.host_port) {
            let held = within(&world.machine, || {
                let any = (Ipv6Addr::UNSPECIFIED, port);
                [TcpListener::bind(any).is_err(), UdpSocket::bind(any).is_err()]
            });
            assert_eq!(held, [is_known(known, number); 2], "port {port} of allocation {number}, TCP and UDP");
        }
        let pinned = Path::new("/run/netns").join(&plan.alloc.0).exists();
        assert_eq!(pinned, is_known(known, number), "the namespace of allocation {number}");
    }
    assert_eq!(world.ports_of_bridge().len(), known.count_ones() as usize);
    let table = world.table();
    for number in 0..NETWORKS {
        let mapped = table.matches(&format!("comment \"{}\"", alloc(&world.bridge, number))).count();
        // Two ports, two protocols, two families.
        assert_eq!(mapped, if is_known(known, number) { 8 } else { 0 }, "{table}");
    }
}

#[test]
fn nothing_is_left_of_agents_that_were_killed() {
    let world = World::new();
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for round in 0..KILLS {
        let known = random(1 << NETWORKS) as u16;
        if round % 4 == 0 {
            // This one may not come to the end of taking over.
            let victim = start(&world, known);
            thread::sleep(Duration::from_micros(2_000 + random(40_000)));
            kill(victim);
        }
        let mut victim = start(&world, known);
        taken_over(&mut victim);
        only_known_are_there(&world, known);
        victim.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        thread::sleep(Duration::from_micros(random(60_000)));
        kill(victim);
    }
    assert!(!world.ports_of_bridge().is_empty(), "the victims have made networks");
    let mut last = start(&world, 1);
    taken_over(&mut last);
    only_known_are_there(&world, 1);
    kill(last);
    let networks = KernelNetworks::new(World::settings(&world.bridge), None, None);
    world.on_machine(async || networks.reconcile(&[]).await);
    only_known_are_there(&world, 0);
    super::ends(&world, networks, &[]);
}
