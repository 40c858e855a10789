//! A Docker Engine of a test's own, which it may stop and start. The tests of the program have it too.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `dockerd` with directories and a socket of its own. Dropped, it is gone.
pub struct Daemon {
    dir: tempfile::TempDir,
    child: Option<Child>,
    /// What puts it into its network namespace.
    place: Vec<String>,
    /// Further arguments of its command line.
    arguments: Vec<String>,
}

impl Daemon {
    /// An engine that makes no networks, in a namespace of its own: without a bridge, a `dockerd` removes the `docker0`
    /// it finds.
    pub fn new(arguments: &[&str]) -> Self {
        let plain = ["--bridge=none", "--iptables=false", "--ip-forward=false"];
        Self::at(&["unshare", "--net"], &[&plain, arguments].concat())
    }

    /// An engine as it is installed, with bridge and firewall, in a network namespace that is there.
    #[allow(dead_code, reason = "not every test program needs it")]
    pub fn within(namespace: &str) -> Self {
        Self::at(&["nsenter", &format!("--net=/run/netns/{namespace}")], &[])
    }

    fn at(place: &[&str], arguments: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        // A short path: a socket's may not exceed 107 bytes.
        let dir = tempfile::Builder::new().prefix("dockerd-").tempdir_in("/tmp").unwrap();
        Self { dir, child: None, place: owned(place), arguments: owned(arguments) }
    }

    /// A process in the engine's network.
    #[allow(dead_code, reason = "not every test program needs it")]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts it and waits until it answers.
    pub fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = Command::new(&self.place[0])
            .args(&self.place[1..])
            .args(["sh", "-c", "ip link set lo up; exec dockerd \"$@\"", "sh"])
            .args(&self.arguments)
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .args(["-H", &self.endpoint(), "--storage-driver=vfs"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`unshare`, `nsenter` and `dockerd` are needed");
        self.child = Some(child);
        let (endpoint, end) = (self.endpoint(), Instant::now() + PATIENCE);
        while !Command::new("docker").args(["-H", &endpoint, "version"]).output().unwrap().status.success() {
            let said = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < end, "the private engine does not answer: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as an operator does (`TERM`: its containers end too, unless it was started with `--live-restore`).
    pub fn stop(&mut self) {
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
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
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
