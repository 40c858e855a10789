//! Memory that runs out, with an engine that says so in its state, and with one that does not.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    thread,
};

use longshore_core::{
    container::Containers,
    policy::Policy,
    workload::{ExitStatus, Limits},
};

use super::{Scene, backend};

const ENGINE: &str = "/var/run/docker.sock";
const SAID: &[u8] = br#""OOMKilled":true"#;
const UNSAID: &[u8] = br#""OOMKilled":null"#;

/// Starts a container that takes more memory than it may have.
async fn greedy(scene: &Scene) -> String {
    let mut spec = scene.shell("x=$(cat /dev/zero | tr '\\0' 'x')");
    spec.limits = Limits { memory_mib: 16, ..Limits::default() };
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    scene.docker.start(&scene.caller, &id).await.unwrap();
    id
}

fn is_out_of_memory(status: &ExitStatus) -> bool {
    assert_eq!(status.exit_code, 137, "{status:?}");
    assert_eq!(status.message.as_deref() == Some("OOM Killed"), status.oom_killed, "{status:?}");
    status.oom_killed
}

#[tokio::test]
async fn too_much_memory_is_told() {
    let scene = Scene::new();
    let id = greedy(&scene).await;
    let status = scene.docker.wait(&scene.caller, &id).await.unwrap();
    assert!(is_out_of_memory(&status), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_heard_of_the_end_first_is_not_alone_believed() {
    let scene = Scene::new();
    let socket = scene.scratch.path().join("forgetful.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || listener.incoming().for_each(|client| forget(client.unwrap(), false)));
    let mute = scene.scratch.path().join("mute.sock");
    let listener = UnixListener::bind(&mute).unwrap();
    thread::spawn(move || listener.incoming().for_each(|client| forget(client.unwrap(), true)));
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = format!("tcp://{}", port.local_addr().unwrap());
    thread::spawn(move || port.incoming().for_each(|client| forget(client.unwrap(), false)));
    let behind = |endpoint: &str| backend(endpoint, &scene.agent, Policy::default());
    let near = format!("unix://{}", socket.display());

    // Whoever shares the kernel with the engine asks its count, or, when all is over, its log. To others the engine's
    // event tells, also later.
    let table = [
        ("count", behind(&near), false),
        ("log", behind(&format!("unix://{}", mute.display())), true),
        ("event", behind(&far), false),
        ("event before", behind(&far), true),
    ];
    for (case, docker, first_ends) in table {
        let id = greedy(&scene).await;
        if first_ends {
            scene.cli(&["wait", &id]);
        }
        let status = docker.wait(&scene.caller, &id).await.unwrap();
        assert!(is_out_of_memory(&status), "{case}: {status:?}");
        scene.docker.remove(&scene.caller, &id).await.unwrap();
    }
    assert_eq!(scene.cli(&["ps", "-aq", "--filter", &format!("label=longshore.agent={}", scene.agent)]), "");
}

#[tokio::test]
async fn who_was_killed_by_somebody_did_not_run_out_of_memory() {
    let scene = Scene::new();
    let id = scene.run("exec sleep 600").await;
    scene.cli(&["kill", &id]);
    let status = scene.docker.wait(&scene.caller, &id).await.unwrap();
    assert!(!is_out_of_memory(&status));
    assert_eq!(status.message.as_deref(), Some("Docker container exited with non-zero exit code: 137"));
}

/// What both kinds of socket do.
trait Client: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> Self;
    fn end(&self);
}

impl Client for UnixStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Client for TcpStream {
    fn twin(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// Carries one connection to the engine and back, but for what the engine says of memory. A mute engine has no events.
fn forget(mut client: impl Client, mute: bool) {
    let mut request = vec![0; 64 << 10];
    let Ok(length) = client.read(&mut request) else { return };
    if mute && request.starts_with(b"GET /") && request[..length].windows(8).any(|bytes| bytes == b"/events?") {
        return;
    }
    let mut engine = UnixStream::connect(ENGINE).unwrap();
    engine.write_all(&request[..length]).unwrap();
    let (mut from, mut to) = (client.twin(), engine.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = engine.read(&mut buffer) {
            while let Some(at) = buffer[..length].windows(SAID.len()).position(|bytes| bytes == SAID) {
                buffer[at..][..UNSAID.len()].copy_from_slice(UNSAID);
            }
            if client.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        client.end();
    });
}
