//! The docker driver's component as driver `podman`, on a Podman of the test's own, checked with `podman`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::harness::{Ran, Station, eventually, run, terminate};

/// Podman of Debian 12 on a machine with mixed cgroups: its usual runtime and limits do not start there.
const SETTINGS: &str = r#"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
"#;

/// A Podman with storage of its own, in a network namespace of its own.
struct Podman {
    dir: tempfile::TempDir,
    service: Child,
}

impl Podman {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ls-pod-").tempdir_in("/tmp").unwrap();
        fs::write(dir.path().join("containers.conf"), SETTINGS).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up; exec podman \"$@\"", "podman"]);
        command.args(Self::storage(dir.path()));
        command.args(["system", "service", "--time=0", &Self::endpoint(dir.path())]);
        command.env("CONTAINERS_CONF", dir.path().join("containers.conf"));
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let podman = Self { service: spawned.expect("`unshare` is needed"), dir };
        let socket = podman.dir.path().join("podman.sock");
        eventually("Debian's `podman` answers", || std::os::unix::net::UnixStream::connect(&socket).ok());
        podman
    }

    fn storage(dir: &Path) -> [String; 6] {
        let path = |name: &str| dir.join(name).display().to_string();
        let [root, run] = [path("root"), path("run")];
        ["--root".into(), root, "--runroot".into(), run, "--storage-driver".into(), "vfs".into()]
    }

    fn endpoint(dir: &Path) -> String {
        format!("unix://{}", dir.join("podman.sock").display())
    }

    fn cli(&self, arguments: &[&str]) -> Ran {
        let settings = format!("CONTAINERS_CONF={}", self.dir.path().join("containers.conf").display());
        let storage = Self::storage(self.dir.path());
        let mut all = vec![settings.as_str(), "podman"];
        all.extend(storage.iter().map(String::as_str));
        all.extend(arguments);
        run("env", &all)
    }

    /// An image of Debian's static busybox.
    fn import(&self, name: &str) {
        let tree = self.dir.path().join("image");
        for folder in ["bin", "tmp", "etc"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", tree.join("bin/busybox")).expect("Debian's busybox-static is needed");
        std::os::unix::fs::symlink("busybox", tree.join("bin/sh")).unwrap();
        let archive: PathBuf = self.dir.path().join("image.tar");
        run("tar", &["-C", tree.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]).ok();
        self.cli(&["import", archive.to_str().unwrap(), name]).ok();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.cli(&["rm", "-fa"]);
        self.cli(&["rmi", "-fa"]);
        terminate(&self.service);
        let _ = self.service.wait();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = |at: &&str| at.starts_with(&*self.dir.path().to_string_lossy());
        let paths: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(below).collect();
        for path in paths.into_iter().rev() {
            run("umount", &["-l", path]);
        }
    }
}

#[test]
fn a_job_runs_on_podman() {
    let podman = Podman::start();
    podman.import("localhost/longshore-it:1");
    let engine = format!(
        "driver \"podman\" {{\n  engine {{\n    endpoint = \"{}\"\n  }}\n}}\n",
        Podman::endpoint(podman.dir.path())
    );
    let station = Station::with(&engine, &["--dev"]);
    let job = r#"
job "pod" {
  group "g" {
    task "t" {
      driver = "podman"
      config {
        image   = "localhost/longshore-it:1"
        command = "sh"
        args    = ["-c", "trap 'exit 0' TERM; echo up; echo err >&2; while :; do busybox sleep 0.1; done"]
        labels {
          team = "x"
        }
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
"#;
    let alloc = station.run_job("pod", job);
    let short = &alloc[..8];
    let container = podman.cli(&["ps", "-q"]).ok().trim().to_owned();
    let format = "{{.Name}} {{.HostConfig.Memory}} {{.HostConfig.CpuShares}} {{index .Config.Labels \"team\"}}";
    let said = podman.cli(&["inspect", "--type", "container", "--format", format, &container]).ok();
    assert_eq!(said.trim(), format!("t-{alloc} 33554432 50 x"));
    eventually("its output", || (station.cli(&["alloc", "logs", short]).ok() == "up\n").then_some(()));
    assert_eq!(station.cli(&["alloc", "logs", "--stderr", short]).ok(), "err\n");
    let ran = station.cli(&["alloc", "exec", short, "sh", "-c", "echo out; echo bad >&2; exit 5"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.trim()), (5, "out\n", "bad"));
    let node = station.get("/v1/nodes")[0]["ID"].as_str().unwrap().to_owned();
    let attributes = station.get(&format!("/v1/node/{node}"))["Attributes"].clone();
    assert_eq!(attributes["driver.podman"], "1", "{attributes}");
    station.cli(&["job", "stop", "pod"]).ok();
    eventually("its container is removed", || podman.cli(&["ps", "-aq"]).ok().trim().is_empty().then_some(()));
}
