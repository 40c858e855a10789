//! Engines that are away or go away: a private `dockerd` on a socket of its own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use longshore_core::{
    caller::{Caller, DriverName},
    container::Containers,
    error::HostError,
    policy::Policy,
    workload::OutputPosition,
};
use serde_json::json;

use super::{Scene, backend, read_output, until};

/// A Docker Engine that is this test's own.
pub struct Daemon {
    dir: tempfile::TempDir,
    child: Option<Child>,
    /// Further arguments of its command line.
    arguments: Vec<String>,
}

impl Daemon {
    pub fn new(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { dir: tempfile::tempdir().unwrap(), child: None, arguments }
    }

    /// A process in the engine's network.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        // In a network namespace of its own: without a bridge, a `dockerd` removes the `docker0` it finds.
        let child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up; exec dockerd \"$@\"", "sh"])
            .args(&self.arguments)
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .args([
                "-H",
                &self.endpoint(),
                "--bridge=none",
                "--iptables=false",
                "--ip-forward=false",
                "--storage-driver=vfs",
            ])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`unshare` and `dockerd` are needed");
        self.child = Some(child);
        let endpoint = self.endpoint();
        let answers = || Command::new("docker").args(["-H", &endpoint, "version"]).output().unwrap().status.success();
        until("the private engine answers", answers).await;
    }

    /// Ends it as an operator does (`TERM`: its containers end, too).
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let _ = child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        for mounted in ["exec", "data"] {
            let path = self.path(mounted);
            let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
            let below = mounts
                .lines()
                .filter_map(|line| line.split(' ').nth(1))
                .filter(|at| at.starts_with(&*path.to_string_lossy()));
            for at in below.collect::<Vec<_>>().into_iter().rev() {
                let _ = Command::new("umount").args(["-l", at]).status();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_and_logs_outlive_the_engine() {
    let mut daemon = Daemon::new(&[]);
    daemon.start().await;
    let scene = Scene::at(&daemon.endpoint(), Policy::default());
    let mut spec = scene.shell("trap 'echo bye; exit 8' TERM; echo hello; while :; do sleep 0.05; done");
    spec.engine_options = json!({"StopTimeout": 20}).as_object().cloned();
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    scene.docker.start(&scene.caller, &id).await.unwrap();
    let mut output = scene.docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
    let (said, _) = read_output(&mut output, |said| said.contains('\n')).await;
    assert_eq!(said, "hello\n");
    let (waited, rest, ()) =
        tokio::join!(scene.docker.wait(&scene.caller, &id), read_output(&mut output, |_| false), async {
            tokio::task::block_in_place(|| daemon.stop());
            let away = scene.docker.inspect(&scene.caller, &id).await.unwrap_err();
            assert!(matches!(away, HostError::Unavailable(_)), "{away}");
            daemon.start().await;
        });
    assert_eq!(waited.unwrap().exit_code, 8);
    assert_eq!(rest.0, "bye\n", "each line once");
    // The same backend goes on with the new engine.
    let again = scene.docker.create(&scene.caller, &scene.shell("exit 0")).await.unwrap();
    scene.docker.start(&scene.caller, &again).await.unwrap();
    assert!(scene.docker.wait(&scene.caller, &again).await.unwrap().success());
    drop(scene);
}

fn driver() -> Caller {
    Caller::driver(&DriverName("docker".into()))
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("docker.sock");
    let docker = backend(socket.to_str().unwrap(), "nobody", Policy::default());
    let check = async |why: &str| {
        let said = docker.engine(&driver()).await.unwrap_err();
        let HostError::Unavailable(text) = &said else { panic!("{why}: {said:?}") };
        let expected = format!("Docker Engine at {} does not answer: ", socket.display());
        assert!(text.starts_with(&expected) && text.ends_with("; start it or set docker.endpoint"), "{why}: {text}");
    };
    check("no socket").await;
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    check("a socket nobody listens on").await;
    let tls = backend("https://127.0.0.1:2376", "nobody", Policy::default());
    let said = tls.engine(&driver()).await.unwrap_err();
    assert!(matches!(&said, HostError::Invalid(text) if text.contains("docker.tls.ca")), "{said}");
}

#[tokio::test]
async fn the_engine_tells_of_itself() {
    let scene = Scene::new();
    let engine = scene.docker.engine(&driver()).await.unwrap();
    let said: serde_json::Value =
        serde_json::from_str(&scene.cli(&["version", "--format", "{{json .Server}}"])).unwrap();
    assert_eq!((engine.name.as_str(), engine.version.as_str()), ("docker", said["Version"].as_str().unwrap()));
    assert_eq!((engine.os.as_str(), engine.api_version.as_str()), ("linux", said["ApiVersion"].as_str().unwrap()));
    assert!(engine.runtimes.contains(&"runc".to_owned()), "{:?}", engine.runtimes);
    assert!(engine.bridge_ip.is_some());
}
