//! An engine that fails: between the backend and the real one stands a socket that lets one call fail, each in turn.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use longshore_core::{
    container::Containers,
    error::{HostError, Result},
    exec::{ExecEvent, ExecRequest},
    image::{Images, PullOptions},
    workload::RunState,
};
use longshore_linux::engine::docker::Docker;

use super::{
    Scene, backend,
    registry::{Registry, Told},
};

const ENGINE: &str = "/var/run/docker.sock";

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The engine never hears of it.
    Silence,
    /// The engine answers that something went wrong inside it.
    Inside,
    /// The engine does it, and its answer is lost.
    LostAnswer,
}

const FAULTS: [Fault; 3] = [Fault::Silence, Fault::Inside, Fault::LostAnswer];

/// A socket whose connection of one number fails, and those of all later numbers too if `for_good`.
struct Proxy {
    socket: PathBuf,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    fn new(dir: &Path, fault: Fault, fails: usize, for_good: bool) -> Self {
        let socket = dir.join(format!("{fault:?}-{fails}-{for_good}.sock"));
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let failing = number == fails || (for_good && number > fails);
                let client = client.unwrap();
                thread::spawn(move || if failing { fail(client, fault) } else { forward(client) });
            }
        });
        Self { socket, connections }
    }

    /// The same agent, speaking to the engine through this.
    fn backend(&self, scene: &Scene) -> Docker {
        let endpoint = format!("unix://{}", self.socket.display());
        backend(&endpoint, &scene.agent, longshore_core::policy::Policy::default())
    }

    fn was_reached(&self, number: usize) -> bool {
        self.connections.load(Ordering::SeqCst) > number
    }
}

fn fail(mut client: UnixStream, fault: Fault) {
    let mut request = vec![0; 64 << 10];
    match fault {
        Fault::Silence => {}
        Fault::Inside => {
            let _ = client.read(&mut request);
            let body = r#"{"message":"out of luck"}"#;
            let _ = write!(
                client,
                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
        }
        Fault::LostAnswer => {
            let mut engine = UnixStream::connect(ENGINE).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
            let up = thread::spawn(move || std::io::copy(&mut from, &mut to));
            let _ = engine.read(&mut [0; 1]);
            let _ = (client.shutdown(Shutdown::Both), engine.shutdown(Shutdown::Both));
            let _ = up.join();
        }
    }
}

fn forward(client: UnixStream) {
    let Ok(engine) = UnixStream::connect(ENGINE) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    let up = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (engine, client);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = up.join();
}

/// What an agent does with a task's container.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Create,
    Start,
    Signal,
    Exec,
    Stop,
    StopBySignal,
    Remove,
    Engine,
    Inspect,
    List,
    Usage,
    Confine,
    Wait,
    Find,
    Load,
    Pull,
}

const OPERATIONS: [Operation; 16] = [
    Operation::Create,
    Operation::Start,
    Operation::Signal,
    Operation::Exec,
    Operation::Stop,
    Operation::StopBySignal,
    Operation::Remove,
    Operation::Engine,
    Operation::Inspect,
    Operation::List,
    Operation::Usage,
    Operation::Confine,
    Operation::Wait,
    Operation::Find,
    Operation::Load,
    Operation::Pull,
];

impl Operation {
    async fn perform(self, scene: &Scene, docker: &Docker, id: &str) -> Result<()> {
        let caller = &scene.caller;
        match self {
            Self::Create => docker.create(caller, &scene.shell("exec sleep 600")).await.map(drop),
            Self::Start => docker.start(caller, id).await,
            Self::Signal => docker.signal(caller, id, "SIGWINCH").await,
            Self::Exec => exec(scene, docker, id).await,
            Self::Stop => docker.stop(caller, id, None, 0).await,
            Self::StopBySignal => docker.stop(caller, id, Some("SIGKILL"), 5_000).await,
            Self::Remove => docker.remove(caller, id).await,
            Self::Engine => docker.engine(caller).await.map(drop),
            Self::Inspect => docker.inspect(caller, id).await.map(|seen| assert_eq!(seen.state, RunState::Running)),
            Self::List => docker.list(caller).await.map(|own| assert_eq!(own[0].id, id)),
            Self::Usage => docker.usage(caller, id).await.map(drop),
            Self::Confine => docker.confine(caller, id, &[0]).await,
            Self::Wait => docker.wait(caller, id).await.map(|status| assert_eq!(status.exit_code, 3)),
            Self::Find => docker.find(caller, &scene.image).await.map(|found| assert!(found.is_some())),
            Self::Load => docker.load(caller, "local/image.tar").await.map(drop),
            // The prepared "container" is the image to fetch.
            Self::Pull => docker.pull(caller, id, &PullOptions::default(), &Told::default()).await.map(drop),
        }
    }

    /// The container (or image) it is about, made by an engine that is well.
    async fn prepare(self, scene: &Scene, registry: &Registry) -> String {
        match self {
            Self::Create | Self::Engine | Self::Find => String::new(),
            Self::Pull => {
                registry.forget_image();
                registry.image()
            }
            Self::Load => {
                let archive = scene.scope().dirs.local.join("image.tar");
                scene.cli(&["save", "-o", archive.to_str().unwrap(), &scene.image]);
                String::new()
            }
            Self::Wait => scene.run("exit 3").await,
            Self::Start => scene.docker.create(&scene.caller, &scene.shell("exec sleep 600")).await.unwrap(),
            _ => scene.run("exec sleep 600").await,
        }
    }
}

async fn exec(scene: &Scene, docker: &Docker, id: &str) -> Result<()> {
    let request = ExecRequest { command: vec!["echo".into(), "hi".into()], ..ExecRequest::default() };
    let session = docker.prepare_exec(&scene.caller, id, &request).await?;
    let mut stream = docker.attach_exec(&scene.caller, &session).await?;
    loop {
        match stream.output.next().await? {
            Some(ExecEvent::Exited(status)) if status.success() => return Ok(()),
            Some(ExecEvent::Output(_)) => {}
            other => return Err(HostError::Unavailable(format!("the command ended with {other:?}"))),
        }
    }
}

/// The engine's own words, in one line, with what would help.
fn check(error: &HostError, what: &str) {
    assert!(error.is_transient(), "{what}: {error:?}");
    let said = error.to_string();
    assert!(!said.contains('\n') && said.len() > 20, "{what}: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_every_operation_fails_once() {
    let (scene, registry) = (Scene::new(), Registry::start(false, false).await);
    for (operation, fault) in OPERATIONS.into_iter().flat_map(|operation| FAULTS.map(|fault| (operation, fault))) {
        for number in 0.. {
            let what = format!("{operation:?}, call {number}: {fault:?}");
            let id = operation.prepare(&scene, &registry).await;
            let proxy = Proxy::new(scene.scratch.path(), fault, number, false);
            let outcome = operation.perform(&scene, &proxy.backend(&scene), &id).await;
            if let Err(error) = &outcome {
                check(error, &what);
                // What may be tried again goes well then.
                operation
                    .perform(&scene, &scene.restarted(), &id)
                    .await
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            let own = scene.docker.list(&scene.caller).await.unwrap();
            assert!(own.len() <= 1, "{what}: {own:?}");
            for left in own {
                scene.docker.remove(&scene.caller, &left.id).await.unwrap();
            }
            if !proxy.was_reached(number) {
                assert!(outcome.is_ok(), "{what}: {outcome:?}");
                assert!(number > 0, "{operation:?} made no call");
                break;
            }
        }
    }
    let label = format!("label=longshore.agent={}", scene.agent);
    assert_eq!(scene.cli(&["ps", "-aq", "--filter", &label]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_on_failing_may_be_asked_again_later() {
    let (scene, registry) = (Scene::new(), Registry::start(false, false).await);
    // (operation, the first call that fails: the one before asks whose the container is, how often it is made). Five
    // times, as in Nomad; a pull is what the restart policy is for.
    let table = [
        (Operation::Create, 0, 5),
        (Operation::Start, 1, 5),
        (Operation::Inspect, 1, 5),
        (Operation::Find, 0, 5),
        (Operation::Pull, 0, 1),
    ];
    for (operation, first, tries) in table {
        let id = operation.prepare(&scene, &registry).await;
        let proxy = Proxy::new(scene.scratch.path(), Fault::Inside, first, true);
        let error = operation.perform(&scene, &proxy.backend(&scene), &id).await.unwrap_err();
        assert!(matches!(&error, HostError::Unavailable(said) if said.contains("out of luck")), "{error:?}");
        assert_eq!(proxy.connections.load(Ordering::SeqCst), first + tries, "{operation:?}");
        operation.perform(&scene, &scene.restarted(), &id).await.unwrap();
        for left in scene.docker.list(&scene.caller).await.unwrap() {
            scene.docker.remove(&scene.caller, &left.id).await.unwrap();
        }
    }
}
