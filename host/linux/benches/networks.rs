//! Networks of allocations: how long one takes, against the plugins that Nomad runs and against a bare namespace; with
//! many others there; and how thousands fare.
//!
//! `cargo xtask bench` runs it and reads its lines: a name, then a number of nanoseconds or of things. It needs root,
//! `ip`, `nft` and CNI's plugins, and starts itself anew in namespaces of its own, so that it touches nothing of the
//! machine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "whoever measures is told by a panic")]

use std::{
    env, fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, exit},
    thread,
    time::{Duration, Instant},
};

use longshore_core::network::{NetworkPlan, Networks};
use longshore_linux::network::{CniSettings, KernelNetworks};
use rustix::{
    mount::{UnmountFlags, mount_bind, unmount},
    thread::UnshareFlags,
};
use tokio::runtime::Runtime;

// A machine and its outside, and many allocations, as the tests have them.
#[path = "../tests/it/network"]
mod network {
    pub mod crowd;
    #[allow(dead_code, reason = "the tests need more of it")]
    pub mod world;
}
use network::{
    crowd,
    world::{World, within},
};

/// The program's.
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Set where nothing of the machine is in reach.
const APART: &str = "LONGSHORE_BENCH_APART";
/// Networks measured of each kind.
const ROUNDS: usize = 21;
/// Networks of the plugins' measured.
const CHAINS: usize = 11;
/// Allocations that are "many" for one more.
const MANY: u16 = 500;
/// Connections measured through each port.
const CONNECTIONS: usize = 401;
/// Allocations of a machine that is full, and the part of them that are added against the clock.
const CROWD: u16 = 4_000;
const BULK: usize = 400;
/// What the last measurement left to the kernel to clean up is gone by then, and the next namespace is made ahead, as
/// it is for an agent whose jobs do not come all at once. How long those take that do is `bulk`.
const CALM: Duration = Duration::from_millis(60);

/// What Nomad has its plugins do.
const CHAIN: &str = r#"{"cniVersion": "0.4.0", "name": "chain", "plugins": [
    {"type": "loopback"},
    {"type": "bridge", "bridge": "chain", "ipMasq": true, "isGateway": true, "forceAddress": true, "hairpinMode": true,
     "ipam": {"type": "host-local", "dataDir": "/run/ipam", "ranges": [[{"subnet": "10.78.0.0/20"}]],
              "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "firewall", "backend": "iptables", "iptablesAdminChainName": "NOMAD-ADMIN"},
    {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}
]}"#;

fn main() {
    if env::var_os(APART).is_none() {
        exit(go_apart());
    }
    longshore_linux::limits::raise_open_files().unwrap();
    fs::create_dir_all("/run/cni").unwrap();
    fs::write("/run/cni/chain.conflist", CHAIN).unwrap();
    few_and_many();
    full();
}

/// Starts this program in network and mount namespaces of its own.
fn go_apart() -> i32 {
    let script = "mount -t tmpfs none /run && exec \"$0\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", script]).arg(env::current_exe().unwrap()).env(APART, "1");
    command.status().expect("unshare (util-linux)").code().unwrap_or(1)
}

fn tell(name: &str, value: impl std::fmt::Display) {
    println!("{name} {value}");
}

fn tell_median(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    tell(name, times[times.len() / 2].as_nanos());
}

fn world() -> World {
    let mut world = World::new();
    world.settings.subnet_ipv6 = None;
    world.settings.cni =
        CniSettings { config_dir: "/run/cni".into(), path: vec!["/usr/lib/cni".into()], ..CniSettings::default() };
    world
}

/// The time of one network.
fn added(world: &World, networks: &KernelNetworks, plan: &NetworkPlan) -> Duration {
    thread::sleep(CALM);
    world.on_machine(async || {
        // An agent's threads are there already.
        networks.repair().await.unwrap();
        let begun = Instant::now();
        networks.create(plan).await.unwrap();
        begun.elapsed()
    })
}

/// One network among none and among many, and a connection through the first port and through the thousandth.
fn few_and_many() {
    let world = world();
    let networks = world.networks();
    let plans = crowd::plans(MANY + ROUNDS as u16);
    let (few, many) = plans.split_at(ROUNDS);
    // The first one makes bridge and table.
    world.create(&networks, &many[0]);
    let (mut bare, mut native, mut chain) = (Vec::new(), Vec::new(), Vec::new());
    for (round, plan) in few.iter().enumerate() {
        native.push(added(&world, &networks, plan));
        bare.push(bare_namespace());
        if round < CHAINS {
            let plan = NetworkPlan { mode: "cni/chain".into(), ..many[round + 1].clone() };
            chain.push(added(&world, &networks, &plan));
        }
    }
    tell_median("bare", bare);
    tell_median("add", native);
    tell_median("chain", chain);
    world.on_machine(async || crowd::destroy(&networks, &plans[..ROUNDS + CHAINS + 1]).await);
    world.on_machine(async || crowd::create(&networks, many).await);
    tell_median("add_among_many", few.iter().map(|plan| added(&world, &networks, plan)).collect());

    let runtime = Runtime::new().unwrap();
    crowd::serve(&runtime, &plans);
    let ports = [&many[0].ports[0], &many[many.len() - 1].ports[1]];
    let [first, last] = connected(&world, ports.map(|port| SocketAddr::new(world.settings.host_ip, port.host_port)));
    tell_median("connect_first", first);
    tell_median("connect_thousandth", last);
    drop(runtime);
    world.on_machine(async || crowd::destroy(&networks, &plans).await);
    world.on_machine(async || networks.retire().await).unwrap();
}

/// What a namespace costs without anything in it: made, pinned, let go.
fn bare_namespace() -> Duration {
    thread::sleep(CALM);
    let pin = Path::new("/run/netns/bare");
    fs::File::create(pin).unwrap();
    let begun = Instant::now();
    let thread = thread::spawn(move || {
        unshare_network();
        mount_bind("/proc/thread-self/ns/net", pin).unwrap();
    });
    thread.join().unwrap();
    unmount(pin, UnmountFlags::DETACH).unwrap();
    begun.elapsed()
}

#[allow(unsafe_code, reason = "other flags of the call could take a thread's descriptors away")]
fn unshare_network() {
    // SAFETY: only the network namespace of this thread changes, and it ends at once.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
}

/// Times of connections from outside to two ports, in turn.
fn connected(world: &World, to: [SocketAddr; 2]) -> [Vec<Duration>; 2] {
    within(&world.outside, || {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..CONNECTIONS {
            for (times, address) in times.iter_mut().zip(to) {
                let begun = Instant::now();
                let stream = TcpStream::connect(address).unwrap();
                times.push(begun.elapsed());
                drop(stream);
            }
        }
        times
    })
}

/// A full machine: everybody is made, answers, and goes without a trace.
fn full() {
    let world = world();
    let networks = world.networks();
    let plans = crowd::plans(CROWD);
    let begun = Instant::now();
    world.on_machine(async || crowd::create(&networks, &plans[..BULK]).await);
    tell("bulk", begun.elapsed().as_nanos());
    world.on_machine(async || crowd::create(&networks, &plans[BULK..]).await);
    tell("crowd_added", begun.elapsed().as_nanos());
    let runtime = Runtime::new().unwrap();
    crowd::serve(&runtime, &plans);
    let begun = Instant::now();
    tell("crowd_answering", crowd::answering(&world, &plans));
    tell("crowd_asked", begun.elapsed().as_nanos());
    drop(runtime);
    let begun = Instant::now();
    world.on_machine(async || crowd::destroy(&networks, &plans).await);
    tell("crowd_removed", begun.elapsed().as_nanos());
    tell("crowd_left", crowd::counted(&world, &plans).iter().sum::<usize>());
    world.on_machine(async || networks.retire().await).unwrap();
}
