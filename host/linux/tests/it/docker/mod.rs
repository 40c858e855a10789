//! The Docker backend against a real Docker Engine, checked from outside by `docker`.

mod create;
pub mod daemon;
mod exec;
mod faults;
mod images;
mod life;
mod logs;
mod memory;
mod owner;
mod registry;
mod restart;
mod tcp;

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use longshore_core::{
    caller::{AllocId, Caller, DriverName, TaskDirs, TaskId, TaskScope},
    container::{ContainerNetwork, ContainerSpec, Containers},
    policy::Policy,
    workload::{Limits, LogLimits, OutputChunks, OutputStream},
};
use longshore_linux::engine::docker::{AuthSources, Dangling, Docker, DockerConfig, ImageGc, PullLimits};
use serde_json::Value;

/// An agent of its own on an engine, with an image and one task. All it made is removed with it.
pub struct Scene {
    pub docker: Docker,
    pub agent: String,
    pub image: String,
    pub caller: Caller,
    pub scratch: tempfile::TempDir,
    pub endpoint: String,
}

impl Scene {
    pub fn new() -> Self {
        Self::at("unix:///var/run/docker.sock", Policy::default())
    }

    pub fn with_policy(policy: Policy) -> Self {
        Self::at("unix:///var/run/docker.sock", policy)
    }

    pub fn at(endpoint: &str, policy: Policy) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let agent = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let scratch = tempfile::tempdir().unwrap();
        let image = format!("longshore-test/busybox:{agent}");
        import_busybox(endpoint, scratch.path(), &image);
        let caller = Caller { driver: DriverName("docker".into()), task: Some(scope(scratch.path(), &agent, "web")) };
        let docker = backend(endpoint, &agent, policy);
        Self { docker, agent, image, caller, scratch, endpoint: endpoint.into() }
    }

    /// Another agent process with the same state.
    pub fn restarted(&self) -> Docker {
        backend(&self.endpoint, &self.agent, Policy::default())
    }

    /// A container that runs a shell script.
    pub fn shell(&self, script: &str) -> ContainerSpec {
        ContainerSpec {
            name: format!("web-{}", self.agent),
            image: self.image.clone(),
            entrypoint: vec![],
            command: vec!["/bin/sh".into(), "-c".into(), script.into()],
            env: vec![],
            working_dir: None,
            user: None,
            hostname: None,
            labels: vec![],
            mounts: vec![],
            network: ContainerNetwork::None,
            ports: vec![],
            limits: Limits::default(),
            engine_options: None,
        }
    }

    /// Creates and starts a container that runs a shell script.
    pub async fn run(&self, script: &str) -> String {
        let id = self.docker.create(&self.caller, &self.shell(script)).await.unwrap();
        self.docker.start(&self.caller, &id).await.unwrap();
        id
    }

    pub fn scope(&self) -> &TaskScope {
        self.caller.task.as_ref().unwrap()
    }

    /// A caller of the same driver for another task.
    pub fn other_task(&self, alloc: &str, task: &str) -> Caller {
        Caller { task: Some(scope(self.scratch.path(), alloc, task)), ..self.caller.clone() }
    }

    pub fn cli(&self, arguments: &[&str]) -> String {
        cli(&self.endpoint, arguments)
    }

    /// What `docker inspect` says, by path (`/HostConfig/Memory`).
    pub fn inspect(&self, id: &str, path: &str) -> Value {
        let said: Value = serde_json::from_str(&self.cli(&["inspect", id])).unwrap();
        said[0].pointer(path).unwrap_or_else(|| panic!("no {path}")).clone()
    }

    pub fn exists(&self, id: &str) -> bool {
        !self.cli(&["ps", "-aq", "--filter", &format!("id={id}")]).is_empty()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let label = format!("label=longshore.agent={}", self.agent);
        let run = |arguments: &[&str]| Command::new("docker").args(["-H", &self.endpoint]).args(arguments).output();
        let found =
            run(&["ps", "-aq", "--filter", &label]).map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        for id in found.unwrap_or_default().split_whitespace() {
            let _ = run(&["rm", "-fv", id]);
        }
        let _ = run(&["rmi", "-f", &self.image]);
    }
}

fn backend(endpoint: &str, agent: &str, policy: Policy) -> Docker {
    Docker::new(config(endpoint, agent, policy))
}

/// What an agent that was told nothing has.
pub fn config(endpoint: &str, agent: &str, policy: Policy) -> DockerConfig {
    DockerConfig {
        endpoint: Some(endpoint.into()),
        tls: None,
        agent: agent.into(),
        policies: BTreeMap::from([(DriverName("docker".into()), policy)]),
        auth: AuthSources::default(),
        pull_limits: PullLimits::default(),
        image_gc: ImageGc::default(),
        dangling: Dangling::default(),
        disable_log_collection: false,
    }
}

pub fn scope(dir: &Path, alloc: &str, task: &str) -> TaskScope {
    let (alloc_dir, task_dir) = (dir.join(alloc).join("alloc"), dir.join(alloc).join(task));
    let dirs = TaskDirs {
        local: task_dir.join("local"),
        secrets: task_dir.join("secrets"),
        logs: alloc_dir.join("logs"),
        alloc: alloc_dir,
        task: task_dir,
    };
    for made in [&dirs.local, &dirs.secrets, &dirs.logs] {
        std::fs::create_dir_all(made).unwrap();
    }
    TaskScope {
        id: TaskId { alloc: AllocId(alloc.into()), task: task.into() },
        dirs,
        ports: vec![],
        logs: LogLimits::default(),
        network_namespace: None,
    }
}

pub fn cli(endpoint: &str, arguments: &[&str]) -> String {
    let out =
        Command::new("docker").args(["-H", endpoint]).args(arguments).output().expect("the `docker` client is needed");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "docker {arguments:?}: {said} (these tests need a running Docker Engine)");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// An image of Debian's static busybox and nothing else.
fn import_busybox(endpoint: &str, scratch: &Path, image: &str) {
    let bin = scratch.join("image/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy("/bin/busybox", bin.join("busybox")).expect("install Debian's `busybox-static`");
    let applets = Command::new("/bin/busybox").arg("--list").output().unwrap().stdout;
    for applet in String::from_utf8(applets).unwrap().lines().filter(|applet| *applet != "busybox") {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
    }
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(scratch.join("image"))
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let imported = Command::new("docker")
        .args(["-H", endpoint, "import", "--change", "ENV PATH=/bin", "-", image])
        .stdin(tar.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(tar.wait().unwrap().success());
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
}

/// Reads output until a predicate on what was read so far of stdout holds, or to its end.
pub async fn read_output(chunks: &mut OutputChunks, mut enough: impl FnMut(&str) -> bool) -> (String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.unwrap();
        if chunk.stream == OutputStream::Stdout { &mut stdout } else { &mut stderr }.extend_from_slice(&chunk.data);
        if enough(std::str::from_utf8(&stdout).unwrap()) {
            break;
        }
    }
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Waits for something that comes true soon; fails the test when it does not.
pub async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
