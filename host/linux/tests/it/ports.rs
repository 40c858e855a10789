//! Ports against real listeners.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    time::Duration,
};

use longshore_core::{
    caller::AllocId,
    error::HostError,
    port::{Port, PortRequest, Ports, Protocol},
};
use longshore_linux::ports::{HostNetwork, PortBook, PortSettings};

use crate::support::{other_part, part, until};

fn book() -> PortBook {
    PortBook::new(PortSettings {
        reserved: vec![22..=22, 24_000..=24_099],
        host_ip: Ipv4Addr::LOCALHOST.into(),
        host_networks: [("public".to_string(), public())].into(),
        ..PortSettings::default()
    })
}

/// An address with a number of its own that is kept free.
fn public() -> HostNetwork {
    HostNetwork { address: Ipv4Addr::new(127, 0, 0, 9).into(), reserved: vec![24_200..=24_200] }
}

fn alloc(name: &str) -> AllocId {
    AllocId(name.into())
}

fn dynamic(label: &str) -> PortRequest {
    PortRequest { label: label.into(), ..PortRequest::default() }
}

fn fixed(label: &str, number: u16) -> PortRequest {
    PortRequest { static_port: Some(number), ..dynamic(label) }
}

/// A number nobody has.
fn free_number() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn bind(address: &str, number: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(format!("{address}:{number}"))
}

#[tokio::test]
async fn nobody_else_can_have_a_held_port() {
    let book = book();
    let ports = book.reserve(&alloc("a"), &[dynamic("http")]).await.unwrap();
    let number = ports[0].host_port;
    assert!((20_000..=32_000).contains(&number));
    assert_eq!((ports[0].host_ip.as_str(), ports[0].task_port), ("127.0.0.1", number));
    for address in ["127.0.0.1", "0.0.0.0", "[::]", "[::1]"] {
        // Rust's listeners allow reuse of addresses, as most servers do.
        let error = bind(address, number).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{address}");
        assert!(UdpSocket::bind(format!("{address}:{number}")).is_err(), "{address} udp");
    }
    assert_eq!(book.reserve(&alloc("a"), &[dynamic("http")]).await.unwrap(), ports, "idempotent by label");

    book.yield_to_task(&alloc("a")).await.unwrap();
    // A program that another test starts has our sockets until it is that program.
    let mut task = None;
    until("the task can bind", || {
        task = bind("0.0.0.0", number).ok();
        task.is_some()
    });
    book.reclaim(&alloc("a")).await.unwrap();
    assert_eq!(book.reserved(&alloc("a")).await.unwrap(), ports);
    drop(task);
    book.reclaim(&alloc("a")).await.unwrap();
    assert!(bind("127.0.0.1", number).is_err());

    book.release(&alloc("a"), Some("http")).await.unwrap();
    book.release(&alloc("a"), None).await.unwrap();
    until("everybody can bind", || bind("127.0.0.1", number).is_ok());
}

/// The kernel leads nobody from ::1 to an allocation, so that is copied; for everybody else the port stays held.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_port_answers_on_loopback() {
    let book = book();
    let public = PortRequest { host_network: Some("public".into()), ..dynamic("public") };
    let udp = PortRequest { protocol: Protocol::Udp, ..dynamic("udp") };
    let ports = book.reserve(&alloc("a"), &[dynamic("http"), public, udp]).await.unwrap();
    let number = ports[0].host_port;
    let servers = ["one", "two"].map(|name| {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in server.incoming().flatten() {
                let _ = stream.write_all(name.as_bytes());
                // Open until the other side has had enough.
                std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        address
    });
    let said = |number: u16| {
        let mut stream = TcpStream::connect(format!("[::1]:{number}")).ok()?;
        let mut said = [0; 3];
        stream.read_exact(&mut said).ok()?;
        Some((String::from_utf8_lossy(&said).into_owned(), stream))
    };
    let led = async |label: &str, to| book.lead_loopback(&alloc("a"), label, to).await.unwrap();
    assert!(said(number).is_none());
    for label in ["http", "public", "udp", "nothing"] {
        led(label, Some(servers[0])).await;
        led(label, Some(servers[0])).await;
    }
    let (first, mut open) = said(number).unwrap();
    assert_eq!(first, "one");
    assert!(ports[1..].iter().all(|port| said(port.host_port).is_none()), "these do not answer everywhere, or not TCP");
    for address in ["127.0.0.1", "0.0.0.0", "[::]", "[::1]"] {
        assert_eq!(bind(address, number).unwrap_err().kind(), std::io::ErrorKind::AddrInUse, "{address}");
    }
    assert!(TcpStream::connect(("127.0.0.1", number)).is_err(), "on ::1 only");

    led("http", Some(servers[1])).await;
    assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0, "connections to the first are closed");
    assert_eq!(said(number).unwrap().0, "two");
    led("http", None).await;
    assert!(said(number).is_none());

    // Given back while somebody is connected, the number can be had again at once.
    led("http", Some(servers[0])).await;
    let open = said(number).unwrap();
    book.release(&alloc("a"), None).await.unwrap();
    let again = book.reserve(&alloc("b"), &[fixed("http", number)]).await;
    assert!(again.is_ok(), "{again:?}");
    drop(open);
}

/// The same of datagrams, each sender's apart from the others'.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_port_answers_datagrams_on_loopback() {
    let book = book();
    let udp = PortRequest { protocol: Protocol::Udp, ..dynamic("udp") };
    let tcp = PortRequest { protocol: Protocol::Tcp, ..dynamic("tcp") };
    let public = PortRequest { host_network: Some("public".into()), ..dynamic("public") };
    let ports = book.reserve(&alloc("a"), &[dynamic("both"), udp, tcp, public]).await.unwrap();
    let [both, udp, tcp, public] = [0, 1, 2, 3].map(|number: usize| ports[number].host_port);
    // Answers what it heard and its own name.
    let servers = ["one", "two"].map(|name| {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut heard = vec![0; 65_535];
            while let Ok((length, from)) = server.recv_from(&mut heard) {
                let _ = server.send_to(&[&heard[..length], name.as_bytes()].concat(), from);
            }
        });
        address
    });
    let sender = || {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    };
    let ask = |socket: &UdpSocket, number: u16, what: &[u8]| {
        socket.send_to(what, ("::1", number)).unwrap();
        let mut said = vec![0; 65_535];
        let (length, from) = socket.recv_from(&mut said).unwrap();
        assert_eq!(from.port(), number);
        said.truncate(length);
        said
    };
    let led = async |label: &str, to| book.lead_loopback(&alloc("a"), label, to).await.unwrap();
    for label in ["both", "udp", "tcp", "public"] {
        led(label, Some(servers[0])).await;
    }
    let (first, second) = (sender(), sender());
    for number in [both, udp, both] {
        assert_eq!(ask(&first, number, b"a"), b"aone");
        assert_eq!(ask(&second, number, b"b"), b"bone");
    }
    let long = vec![7; 20_000];
    assert_eq!(ask(&first, both, &long), [&long[..], b"one"].concat());
    assert_eq!(ask(&first, both, b""), b"one", "an empty one is one too");
    // More senders than are kept in mind at a time.
    let many: Vec<_> = (0..300).map(|_| sender()).collect();
    for socket in &many {
        assert_eq!(ask(socket, both, b"c"), b"cone");
    }
    assert_eq!(ask(&first, both, b"a"), b"aone", "whoever was forgotten is known again");
    for address in ["127.0.0.1", "0.0.0.0", "[::]", "[::1]"] {
        let taken = UdpSocket::bind((address.trim_matches(['[', ']']), both));
        assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AddrInUse, "{address}");
    }
    for silent in [tcp, public] {
        let socket = sender();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        // A port that nobody has is refused, which is an answer of another kind.
        let _ = socket.send_to(b"?", ("::1", silent));
        assert!(socket.recv(&mut [0; 8]).is_err(), "not UDP, or not everywhere");
    }

    led("both", Some(servers[1])).await;
    assert_eq!(ask(&first, both, b"a"), b"atwo", "also those who were led to the first");
    led("both", None).await;
    first.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    first.send_to(b"?", ("::1", both)).unwrap();
    assert!(first.recv(&mut [0; 8]).is_err());
    led("both", Some(servers[0])).await;
    book.release(&alloc("a"), None).await.unwrap();
    let again = book.reserve(&alloc("b"), &[fixed("http", both)]).await;
    assert!(again.is_ok(), "{again:?}");
}

/// A task that runs asks for one more port, through its driver: it can bind that at once.
#[tokio::test]
async fn a_port_reserved_by_a_running_task_is_its_to_bind() {
    let book = book();
    book.reserve(&alloc("a"), &[dynamic("http")]).await.unwrap();
    book.yield_to_task(&alloc("a")).await.unwrap();
    let number = book.reserve(&alloc("a"), &[dynamic("more")]).await.unwrap()[0].host_port;
    let mut task = None;
    until("the task can bind", || {
        task = bind("0.0.0.0", number).ok();
        task.is_some()
    });
    assert!(book.reserve(&alloc("b"), &[fixed("theirs", number)]).await.is_err());
    drop(task);
    book.reclaim(&alloc("a")).await.unwrap();
    assert!(bind("0.0.0.0", number).is_err(), "held again");
}

/// Another process that listens, and is told its number on standard input.
struct Listener(Child, u16);

impl Listener {
    fn start(alloc: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = other_part("ports::names_who_is_in_the_way", dir.path());
        if let Some(alloc) = alloc {
            command.env("NOMAD_ALLOC_ID", alloc);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let file = dir.path().join("port");
        until("the other process listens", || file.exists());
        Self(child, std::fs::read_to_string(file).unwrap().parse().unwrap())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn names_who_is_in_the_way() {
    if let Some(dir) = part() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port().to_string();
        std::fs::write(dir.join("port.new"), number).unwrap();
        std::fs::rename(dir.join("port.new"), dir.join("port")).unwrap();
        // Until the test is over, however it ends.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let other = Listener::start(None);
    let book = book();
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", other.0.id())).unwrap();
    let named = format!("in use by {} (pid {})", comm.trim(), other.0.id());
    let error = book.reserve(&alloc("a"), &[dynamic("x"), fixed("http", other.1)]).await.unwrap_err();
    assert!(matches!(&error, HostError::Conflict(text) if text.contains(&named)), "{error}, not {named}");
    assert_eq!(book.reserved(&alloc("a")).await.unwrap(), [], "all or none");

    let number = free_number();
    book.reserve(&alloc("a"), &[fixed("http", number)]).await.unwrap();
    for (request, expected) in [
        (fixed("web", number), "is reserved by allocation a (\"http\")"),
        (fixed("ssh", 22), "reserved_ports"),
        (fixed("zero", 0), "is no port"),
        (
            PortRequest { host_network: Some("private".into()), ..dynamic("p") },
            "no addresses available for \"private\"",
        ),
    ] {
        let error = book.reserve(&alloc("b"), &[request]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    }
    let public = PortRequest { host_network: Some("public".into()), to: Some(80), ..dynamic("p") };
    let ports = book.reserve(&alloc("b"), &[public]).await.unwrap();
    assert_eq!((ports[0].host_ip.as_str(), ports[0].task_port), ("127.0.0.9", 80));
    let error = book.reserve(&alloc("b"), &[fixed("p", 9)]).await.unwrap_err();
    assert!(matches!(error, HostError::Conflict(_)), "{error}");
}

#[tokio::test]
async fn a_restart_takes_back_what_is_free_and_tells_foreigners_from_tasks() {
    let port = |label: &str, number| Port {
        label: label.into(),
        host_ip: "127.0.0.1".into(),
        host_port: number,
        task_port: number,
        protocol: Protocol::Both,
        is_named: false,
    };
    let (foreign, own) = (Listener::start(None), Listener::start(Some("a")));
    let free = free_number();
    let book = book();
    let ports = [port("free", free), port("own", own.1), port("foreign", foreign.1)];
    let restored = book.restore(&alloc("a"), &ports).await;
    assert!(restored[0].is_ok() && restored[1].is_ok(), "{restored:?}");
    assert!(matches!(&restored[2], Err(HostError::Conflict(text)) if text.contains("was taken by")), "{restored:?}");
    assert!(bind("127.0.0.1", free).is_err());
    let other = book.restore(&alloc("b"), &[port("x", own.1)]).await;
    assert!(matches!(&other[0], Err(HostError::Conflict(text)) if text.contains("allocation a")), "{other:?}");

    let error = book.yield_to_task(&alloc("a")).await.unwrap_err();
    assert!(matches!(&error, HostError::Conflict(text) if text.contains(&foreign.1.to_string())), "{error}");
    drop(foreign);
    book.reclaim(&alloc("a")).await.unwrap();
    book.yield_to_task(&alloc("a")).await.unwrap();
}

#[tokio::test]
async fn lingering_connections_do_not_block_a_static_port() {
    let number = free_number();
    let server = bind("127.0.0.1", number).unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", number)).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    accepted.write_all(b"bye").unwrap();
    // The side that closes first lingers: the server's.
    drop((accepted, server));
    client.read_to_end(&mut Vec::new()).unwrap();
    drop(client);
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let lingering = format!(":{number:04X} ");
    assert!(table.lines().any(|line| line.contains(&lingering) && line.contains(" 06 ")), "nothing lingers");
    let book = book();
    book.reserve(&alloc("a"), &[fixed("http", number)]).await.unwrap();
    assert!(bind("127.0.0.1", number).is_err(), "held all the same");
}

#[tokio::test]
async fn released_ports_rest() {
    let settings = |rest| PortSettings { dynamic: 24_200..=24_203, rest, ..PortSettings::default() };
    let book = PortBook::new(settings(Duration::from_secs(3600)));
    let mut seen = Vec::new();
    for round in 0..4 {
        let ports = book.reserve(&alloc("a"), &[dynamic("x")]).await.unwrap();
        assert!(!seen.contains(&ports[0].host_port), "round {round}: {} has not rested", ports[0].host_port);
        seen.push(ports[0].host_port);
        book.release(&alloc("a"), None).await.unwrap();
    }
    assert!(book.reserve(&alloc("a"), &[dynamic("x")]).await.is_ok(), "tired is better than none");
}

#[test]
fn the_default_address_is_one_of_this_machine() {
    let ip = longshore_linux::ports::default_host_ip();
    TcpListener::bind((ip, 0)).unwrap();
    let output = Command::new("ip").args(["-o", "addr"]).output().expect("`ip` (Debian: iproute2)");
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!(" {ip}/")));
}

#[tokio::test]
async fn a_host_network_keeps_numbers_of_its_own_free() {
    let book = book();
    let on = |network: &str| PortRequest { host_network: Some(network.into()), ..fixed("p", 24_200) };
    let refused = book.reserve(&alloc("a"), &[on("public")]).await.unwrap_err().to_string();
    assert!(refused.contains("port 24200 (\"p\") is kept free"), "{refused}");
    let given = book.reserve(&alloc("a"), &[on("default")]).await.unwrap();
    assert_eq!(given[0].host_ip, "127.0.0.1");
    assert_eq!(book.host_ip(&on("public")).as_deref(), Ok("127.0.0.9"));
    let unknown = book.host_ip(&on("publik")).unwrap_err().to_string();
    assert!(unknown.contains("no addresses available for \"publik\" network"), "{unknown}");
    assert!(book.kept_free().contains(&(24_200..=24_200)));
}
