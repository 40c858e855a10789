//! A machine and an outside host, each a network namespace of the test's own.
//!
//! ```text
//! outside 192.0.2.2 ── up0 ── 192.0.2.1 machine ── bridge ── allocations
//! ```

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use longshore_core::{
    caller::AllocId,
    network::{Holder, Network, NetworkPlan, Networks},
    port::{Port, Protocol},
};
use longshore_linux::network::{KernelNetworks, NetworkSettings};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long a connection may take that is to come about.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one is waited for that is not.
const IMPATIENCE: Duration = Duration::from_millis(700);

/// The namespaces. Dropped, they and all in them are gone.
pub struct World {
    pub machine: String,
    pub outside: String,
    pub bridge: String,
    pub settings: NetworkSettings,
}

impl World {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (machine, outside) = (format!("lsm-{unique}"), format!("lso-{unique}"));
        for namespace in [&machine, &outside] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        ip(&["link", "add", "up0", "netns", &machine, "type", "veth", "peer", "name", "up0", "netns", &outside]);
        for (namespace, end) in [(&machine, "1"), (&outside, "2")] {
            ip(&["-n", namespace, "addr", "add", &format!("192.0.2.{end}/24"), "dev", "up0"]);
            ip(&["-n", namespace, "addr", "add", &format!("2001:db8::{end}/64"), "dev", "up0", "nodad"]);
            ip(&["-n", namespace, "link", "set", "up0", "up"]);
        }
        ip(&["-n", &machine, "route", "add", "default", "via", "192.0.2.2"]);
        ip(&["-n", &machine, "route", "add", "default", "via", "2001:db8::2"]);
        // An outside host that tries to reach allocations by their own addresses.
        ip(&["-n", &outside, "route", "add", "10.77.0.0/16", "via", "192.0.2.1"]);
        ip(&["-n", &outside, "route", "add", "fd77::/64", "via", "2001:db8::1"]);
        let bridge = format!("ls{unique}");
        let settings = Self::settings(&bridge);
        Self { machine, outside, bridge, settings }
    }

    /// Settings of an agent on a machine.
    pub fn settings(bridge: &str) -> NetworkSettings {
        NetworkSettings {
            bridge: bridge.into(),
            subnet: "10.77.0.0/20".parse().unwrap(),
            subnet_ipv6: Some("fd77::/64".parse().unwrap()),
            host_ip: "192.0.2.1".parse().unwrap(),
            ..NetworkSettings::default()
        }
    }

    /// Networks as an agent on the machine has them.
    pub fn networks(&self) -> KernelNetworks {
        KernelNetworks::new(self.settings.clone(), None, None)
    }

    /// Runs something on the machine.
    pub fn on_machine<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        within(&self.machine, || {
            // Its blocking threads are born in this namespace.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        })
    }

    /// Makes a network.
    pub fn create(&self, networks: &KernelNetworks, plan: &NetworkPlan) -> Network {
        self.on_machine(async || networks.create(plan).await).unwrap()
    }

    /// Runs a command on the machine.
    pub fn run(&self, command: &[&str]) -> String {
        run_in(&self.machine, command)
    }

    /// Runs a command on the outside host.
    pub fn run_outside(&self, command: &[&str]) -> String {
        run_in(&self.outside, command)
    }

    /// Names of the bridge's ports, as `ip` sees them.
    pub fn ports_of_bridge(&self) -> Vec<String> {
        let said = ip(&["-n", &self.machine, "-o", "link", "show", "master", &self.bridge]);
        let name = |line: &str| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned());
        said.lines().filter_map(name).collect()
    }

    /// Our table, as `nft` sees it.
    pub fn table(&self) -> String {
        self.run(&["nft", "list", "table", "inet", &format!("longshore_{}", self.bridge)])
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in [&self.machine, &self.outside] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).status();
        }
        let _ = std::fs::remove_file(format!("/run/longshore/{}.lock", self.bridge));
    }
}

/// A plan of a network with ports `(host, task)`.
pub fn plan(alloc: &str, ports: &[(u16, u16)]) -> NetworkPlan {
    let port = |(host_port, task_port): &(u16, u16)| Port {
        label: format!("p{host_port}"),
        host_ip: "192.0.2.1".into(),
        host_port: *host_port,
        task_port: *task_port,
        protocol: Protocol::Both,
        is_named: false,
    };
    NetworkPlan {
        alloc: AllocId(alloc.into()),
        mode: "bridge".into(),
        hostname: None,
        added: Vec::new(),
        ports: ports.iter().map(port).collect(),
        holder: Holder::Pinned,
        namespace_path: None,
        before: None,
        cni_args: BTreeMap::new(),
    }
}

/// An id that no other test has.
pub fn alloc_id() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{:08x}-{:04x}-4000-8000-000000000000", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs something in a namespace, on a thread of its own.
pub fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn run_in(namespace: &str, command: &[&str]) -> String {
    let output = Command::new("ip").args(["netns", "exec", namespace]).args(command).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

pub fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("the tests need `ip` (iproute2)");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Servers in a namespace that tell everybody who they seem to be: TCP and UDP on one address.
pub fn serve(namespace: &str, address: &str) {
    let (tcp, udp) = within(namespace, || (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap()));
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let peer = stream.peer_addr().map(|peer| peer.ip().to_canonical().to_string());
            let _ = stream.write_all(peer.unwrap_or_default().as_bytes());
        }
    });
    thread::spawn(move || {
        while let Ok((_, peer)) = udp.recv_from(&mut [0; 16]) {
            let _ = udp.send_to(peer.ip().to_canonical().to_string().as_bytes(), peer);
        }
    });
}

/// What a server tells a caller in a namespace over TCP; none if it is not reached.
pub fn ask(namespace: &str, address: &str, patience: Duration) -> Option<String> {
    let address: SocketAddr = address.parse().unwrap();
    within(namespace, || {
        let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).ok().map(|_| said)
    })
}

/// The same over UDP.
pub fn ask_udp(namespace: &str, address: &str, patience: Duration) -> Option<String> {
    let address: SocketAddr = address.parse().unwrap();
    within(namespace, || {
        let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(own).unwrap();
        socket.connect(address).ok()?;
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send(b"?").ok()?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })
}

/// Both transports reach a server; answers who it saw.
#[track_caller]
pub fn reached(namespace: &str, address: &str) -> String {
    let tcp = ask(namespace, address, PATIENCE).unwrap_or_else(|| panic!("{address} is not reached from {namespace}"));
    let udp = ask_udp(namespace, address, PATIENCE);
    assert_eq!(udp.as_deref(), Some(tcp.as_str()), "{address} over UDP from {namespace}");
    tcp
}

/// Neither transport reaches it.
#[track_caller]
pub fn shut(namespace: &str, address: &str) {
    assert_eq!(ask(namespace, address, IMPATIENCE), None, "{address} is reached from {namespace}");
    assert_eq!(ask_udp(namespace, address, IMPATIENCE), None, "{address} is reached from {namespace} over UDP");
}
