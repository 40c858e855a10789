//! An engine over TCP: as it is, and behind TLS, where a private `dockerd` wants to see a certificate of an authority of
//! the test's own.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use longshore_core::{
    container::Containers,
    error::HostError,
    exec::{ExecEvent, ExecRequest},
    policy::Policy,
    workload::OutputPosition,
};
use longshore_linux::engine::docker::{Docker, TlsFiles};

use super::{Scene, config, daemon::Daemon, read_output};

/// Where the engine listens, in its own network.
const PORT: &str = "2376";

/// An authority, and whom it vouches for.
struct Authority(tempfile::TempDir);

impl Authority {
    fn new() -> Self {
        let own = Self(tempfile::tempdir().unwrap());
        let subject = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority"];
        own.openssl(&[&subject[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
        own
    }

    /// A certificate and its key, `<name>.pem` and `<name>.key`.
    fn vouch(&self, name: &str) {
        let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        fs::write(self.file("names"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n").unwrap();
        let subject = format!("/CN={name}");
        self.openssl(&["req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject, "-keyout", &key, "-out", &request]);
        let signs = ["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        self.openssl(&[&signs[..], &["-days", "2", "-extfile", "names", "-out", &certificate]].concat());
    }

    fn openssl(&self, arguments: &[&str]) {
        let made = Command::new("openssl").args(arguments).current_dir(self.0.path()).output();
        let made = made.expect("install Debian's `openssl`");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }
}

/// A port of this network whose clients are let through: bytes as they are.
fn door(pass: impl Fn(TcpStream) + Copy + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || pass(client.unwrap()));
        }
    });
    address
}

/// To the machine's engine.
fn pass(client: TcpStream) {
    let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
    let (mut input, mut output) = (engine.try_clone().unwrap(), engine.try_clone().unwrap());
    let mut reader = client.try_clone().unwrap();
    let up = thread::spawn(move || {
        relay(&mut reader, &mut input);
        let _ = input.shutdown(Shutdown::Write);
    });
    let mut writer = client;
    relay(&mut output, &mut writer);
    let _ = writer.shutdown(Shutdown::Both);
    let _ = up.join();
}

/// To the engine's port in its own network.
fn pass_inside(client: TcpStream, pid: u32) {
    let inside = Command::new("nsenter")
        .args(["-t", &pid.to_string(), "-n", "busybox", "nc", "127.0.0.1", PORT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut inside = inside.expect("`nsenter` and `busybox` are needed");
    let (mut input, mut output) = (inside.stdin.take().unwrap(), inside.stdout.take().unwrap());
    let mut reader = client.try_clone().unwrap();
    let up = thread::spawn(move || relay(&mut reader, &mut input));
    let mut writer = client;
    relay(&mut output, &mut writer);
    let _ = writer.shutdown(Shutdown::Both);
    let _ = up.join();
    let _ = inside.kill();
    let _ = inside.wait();
}

/// Piece by piece: between a pipe and a socket `io::copy` has the kernel move bytes, which waits for more of them.
fn relay(from: &mut impl Read, to: &mut impl Write) {
    let mut piece = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..read]).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

fn backend(scene: &Scene, address: &str, ca: &Path, client: Option<(PathBuf, PathBuf)>) -> Docker {
    let mut settings = config(&format!("tcp://{address}"), &scene.agent, Policy::default());
    settings.tls = Some(TlsFiles { ca: ca.into(), client });
    Docker::new(settings)
}

/// Runs a container to its end.
async fn lives(scene: &Scene, docker: &Docker) {
    // Calls, output and commands each have connections of their own kind.
    let id = docker.create(&scene.caller, &scene.shell("echo hello; exec sleep 600")).await.unwrap();
    docker.start(&scene.caller, &id).await.unwrap();
    let mut output = docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
    assert_eq!(read_output(&mut output, |said| said.contains('\n')).await.0, "hello\n");
    let request = ExecRequest { command: ["sh", "-c", "exit 7"].map(String::from).into(), ..ExecRequest::default() };
    let session = docker.prepare_exec(&scene.caller, &id, &request).await.unwrap();
    let mut stream = docker.attach_exec(&scene.caller, &session).await.unwrap();
    let ended = stream.output.next().await.unwrap();
    assert!(matches!(&ended, Some(ExecEvent::Exited(status)) if status.exit_code == 7), "{ended:?}");
    assert_eq!(scene.inspect(&id, "/State/Running"), true);
    docker.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_lives_on_an_engine_over_tcp() {
    let scene = Scene::new();
    let address = door(pass);
    let docker = Docker::new(config(&format!("tcp://{address}"), &scene.agent, Policy::default()));
    lives(&scene, &docker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_lives_on_an_engine_behind_tls() {
    let authority = Authority::new();
    ["engine", "agent"].iter().for_each(|name| authority.vouch(name));
    let (ca, certificate, key) = (authority.text("ca.pem"), authority.text("engine.pem"), authority.text("engine.key"));
    let listens = format!("tcp://127.0.0.1:{PORT}");
    let mut daemon =
        Daemon::new(&["-H", &listens, "--tlsverify", "--tlscacert", &ca, "--tlscert", &certificate, "--tlskey", &key]);
    daemon.start();
    let scene = Scene::at(&daemon.endpoint(), Policy::default());
    let pid = daemon.pid();
    let address = door(move |client| pass_inside(client, pid));
    let own = || Some((authority.file("agent.pem"), authority.file("agent.key")));
    let docker = backend(&scene, &address, &authority.file("ca.pem"), own());

    lives(&scene, &docker).await;

    // Who shows nothing is not spoken to, nor is who is vouched for by somebody else.
    let other = Authority::new();
    other.vouch("agent");
    let foreign = || Some((other.file("agent.pem"), other.file("agent.key")));
    for (what, docker) in [
        ("no certificate", backend(&scene, &address, &authority.file("ca.pem"), None)),
        ("a foreign one", backend(&scene, &address, &authority.file("ca.pem"), foreign())),
        ("a foreign engine", backend(&scene, &address, &other.file("ca.pem"), own())),
    ] {
        let error = docker.list(&scene.caller).await.unwrap_err();
        assert!(matches!(&error, HostError::Unavailable(said) if said.contains(&address)), "{what}: {error:?}");
    }
    let missing = backend(&scene, &address, &authority.file("none.pem"), None);
    let error = missing.list(&scene.caller).await.unwrap_err();
    assert!(matches!(&error, HostError::Invalid(said) if said.contains("none.pem")), "{error:?}");
}
