//! Many allocations at once, all serving, all asked.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream};
use longshore_core::network::{Network, NetworkPlan, Networks};
use longshore_linux::network::KernelNetworks;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net,
    runtime::Runtime,
};

use super::world::{World, plan, within};

/// The address of the machine, as the outside host knows it.
const MACHINE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The first mapped port.
const FIRST: u16 = 20_000;
/// The tasks' ports.
const PORTS: [u16; 2] = [80, 81];
/// How many are asked at the same time.
const AT_ONCE: usize = 500;
/// How long one may take to answer, with all the others.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plans of allocations with two ports each, TCP and UDP.
pub fn plans(count: u16) -> Vec<NetworkPlan> {
    let one = |number: u16| {
        // Of no other test's kind: those begin with the process alone.
        let id = format!("c{:07x}-{number:04x}-4000-8000-000000000000", std::process::id());
        plan(&id, &PORTS.map(|port| (mapped(number, port), port)))
    };
    (0..count).map(one).collect()
}

/// The host's port that leads to a port of an allocation.
pub fn mapped(number: u16, port: u16) -> u16 {
    FIRST + 2 * number + (port - PORTS[0])
}

/// Makes networks, one after the other.
pub async fn create(networks: &KernelNetworks, plans: &[NetworkPlan]) -> Vec<Network> {
    let mut made = Vec::new();
    for plan in plans {
        made.push(networks.create(plan).await.unwrap());
    }
    made
}

/// Removes networks, all at the same time.
pub async fn destroy(networks: &KernelNetworks, plans: &[NetworkPlan]) {
    for result in join_all(plans.iter().map(|plan| networks.destroy(&plan.alloc))).await {
        result.unwrap();
    }
}

/// Servers in each allocation, on each of its ports, that tell which they are.
pub fn serve(runtime: &Runtime, plans: &[NetworkPlan]) {
    let _inside = runtime.enter();
    for (plan, number) in plans.iter().zip(0..) {
        let bound = within(&plan.alloc.0, || {
            PORTS.map(|port| (TcpListener::bind(("::", port)).unwrap(), UdpSocket::bind(("::", port)).unwrap()))
        });
        for ((tcp, udp), port) in bound.into_iter().zip(PORTS) {
            tcp.set_nonblocking(true).unwrap();
            udp.set_nonblocking(true).unwrap();
            let (tcp, udp) = (net::TcpListener::from_std(tcp).unwrap(), net::UdpSocket::from_std(udp).unwrap());
            let name = mapped(number, port).to_be_bytes();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = tcp.accept().await {
                    let _ = stream.write_all(&name).await;
                }
            });
            tokio::spawn(async move {
                while let Ok((_, peer)) = udp.recv_from(&mut [0; 8]).await {
                    let _ = udp.send_to(&name, peer).await;
                }
            });
        }
    }
}

/// Asks every mapped port from outside, over TCP and UDP, many at the same time; answers how many said what they
/// should.
pub fn answering(world: &World, plans: &[NetworkPlan]) -> usize {
    let ports: Vec<u16> = plans.iter().flat_map(|plan| &plan.ports).map(|port| port.host_port).collect();
    within(&world.outside, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let asked = ports.into_iter().map(|port| async move {
                let tcp = tokio::time::timeout(PATIENCE, ask_tcp((MACHINE, port).into())).await;
                let udp = tokio::time::timeout(PATIENCE, ask_udp((MACHINE, port).into())).await;
                let right = |said: Option<u16>| usize::from(said == Some(port));
                right(tcp.ok().flatten()) + right(udp.ok().flatten())
            });
            stream::iter(asked).buffer_unordered(AT_ONCE).fold(0, async |sum, right| sum + right).await
        })
    })
}

async fn ask_tcp(address: SocketAddr) -> Option<u16> {
    net::TcpStream::connect(address).await.ok()?.read_u16().await.ok()
}

async fn ask_udp(address: SocketAddr) -> Option<u16> {
    let socket = net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect(address).await.ok()?;
    socket.send(b"?").await.ok()?;
    let mut said = [0; 2];
    socket.recv(&mut said).await.ok()?;
    Some(u16::from_be_bytes(said))
}

/// How many links, namespaces and elements of maps there are on a machine, as `ip` and `nft` see them.
pub fn counted(world: &World, plans: &[NetworkPlan]) -> [usize; 3] {
    let links = super::world::ip(&["-n", &world.machine, "-o", "link", "show", "type", "veth"]);
    let links = links.lines().filter(|line| line.contains(": lv")).count();
    let pinned = |plan: &&NetworkPlan| std::path::Path::new("/run/netns").join(&plan.alloc.0).exists();
    let elements = world.table().matches("comment ").count();
    [links, plans.iter().filter(pinned).count(), elements]
}
