//! The docker driver's component as driver `podman`, on a Podman of the test's own, checked with `podman`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    harness::{Ran, Station, eventually, fetch, run, terminate},
    network::Net,
};

/// The image of every test.
const IMAGE: &str = "localhost/longshore-it:1";

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
        // Its monitors leave files where it was started.
        command.env("CONTAINERS_CONF", dir.path().join("containers.conf")).current_dir(dir.path());
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let podman = Self { service: spawned.expect("`unshare` is needed"), dir };
        let socket = podman.dir.path().join("podman.sock");
        eventually("Debian's `podman` answers", || std::os::unix::net::UnixStream::connect(&socket).ok());
        podman.import();
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

    /// What makes an agent speak to it, with further lines of the driver's.
    fn configuration(&self, lines: &str) -> String {
        let endpoint = Self::endpoint(self.dir.path());
        format!("driver \"podman\" {{\n  engine {{\n    endpoint = {endpoint:?}\n  }}\n{lines}}}\n")
    }

    /// What `podman inspect` says of a container.
    fn inspect(&self, name: &str, format: &str) -> String {
        self.cli(&["inspect", "--type", "container", "--format", format, name]).ok().trim().to_owned()
    }

    /// An image of Debian's static busybox.
    fn import(&self) {
        let tree = self.dir.path().join("image");
        for folder in ["bin", "tmp", "etc"] {
            fs::create_dir_all(tree.join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", tree.join("bin/busybox")).expect("Debian's busybox-static is needed");
        std::os::unix::fs::symlink("busybox", tree.join("bin/sh")).unwrap();
        let archive: PathBuf = self.dir.path().join("image.tar");
        run("tar", &["-C", tree.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]).ok();
        self.cli(&["import", archive.to_str().unwrap(), IMAGE]).ok();
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

/// A job of one container that runs a line of shell, with further lines of its group and its `config`.
fn job(script: &str, group: &str, config: &str) -> String {
    format!(
        r#"
job "pod" {{
  group "g" {{
    {group}
    task "t" {{
      driver = "podman"
      config {{
        image   = "{IMAGE}"
        command = "sh"
        args    = ["-c", "{script}"]
        {config}
      }}
      resources {{
        cpu    = 50
        memory = 32
      }}
      kill_timeout = "2s"
    }}
  }}
}}
"#
    )
}

const SLEEP: &str = "trap 'exit 0' TERM; while :; do busybox sleep 0.1; done";
const AGAIN: &str = "restart {\n attempts = 100\n interval = \"1h\"\n delay = \"1s\"\n }";

#[test]
fn a_job_runs_on_podman() {
    let podman = Podman::start();
    let station = Station::with(&podman.configuration(""), &["--dev"]);
    let speaks = format!("echo up; echo err >&2; {SLEEP}");
    let alloc = station.run_job("pod", &job(&speaks, "", "labels {\n team = \"x\"\n }"));
    let short = &alloc[..8];
    let container = podman.cli(&["ps", "-q"]).ok().trim().to_owned();
    let format = "{{.Name}} {{.HostConfig.Memory}} {{.HostConfig.CpuShares}} {{index .Config.Labels \"team\"}}";
    assert_eq!(podman.inspect(&container, format), format!("t-{alloc} 33554432 50 x"));
    eventually("its output", || (station.cli(&["alloc", "logs", short]).ok() == "up\n").then_some(()));
    assert_eq!(station.cli(&["alloc", "logs", "--stderr", short]).ok(), "err\n");
    let ran = station.cli(&["alloc", "exec", short, "sh", "-c", "echo out; echo bad >&2; exit 5"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.trim()), (5, "out\n", "bad"));
    let node = station.get("/v1/nodes")[0]["ID"].as_str().unwrap().to_owned();
    let attributes = station.get(&format!("/v1/node/{node}"))["Attributes"].clone();
    assert_eq!(attributes["driver.podman"], "1", "{attributes}");
    let gateway = podman.cli(&["network", "inspect", "podman", "--format", "{{(index .Subnets 0).Gateway}}"]).ok();
    assert_eq!(attributes["driver.podman.bridge_ip"], gateway.trim(), "{attributes}");
    assert_eq!(attributes["driver.podman.cpuset_management.disabled"], Value::Null, "{attributes}");
    station.cli(&["job", "stop", "pod"]).ok();
    eventually("its container is removed", || podman.cli(&["ps", "-aq"]).ok().trim().is_empty().then_some(()));
}

#[test]
fn a_task_on_podman_outlives_the_agent_and_is_entered_signalled_and_measured() {
    let podman = Podman::start();
    let mut station = Station::with(&podman.configuration(""), &["--dev"]);
    let script = format!("trap 'echo heard' USR1; echo up; {SLEEP}");
    let alloc = station.run_job("pod", &job(&script, "", ""));
    let (name, short) = (format!("t-{alloc}"), &alloc[..8]);
    let logs = |station: &Station| station.cli(&["alloc", "logs", short]).ok();
    eventually("its output", || (logs(&station) == "up\n").then_some(()));
    let before = podman.inspect(&name, "{{.Id}}");
    station.kill();
    station.launch();
    let state = station.until_task(&alloc, "t", "it runs", |state| state["State"] == "running");
    assert_eq!((&state["Restarts"], podman.inspect(&name, "{{.Id}}")), (&0.into(), before), "{state}");
    crate::docker_terminal::is_a_terminal(&station, &alloc);
    station.cli(&["alloc", "signal", "-s", "SIGUSR1", short]).ok();
    eventually("it heard, and no line came twice", || (logs(&station) == "up\nheard\n").then_some(()));
    let usage = station.get(&format!("/v1/client/allocation/{alloc}/stats"))["ResourceUsage"]["MemoryStats"].clone();
    assert!(usage["Usage"].as_u64().is_some_and(|bytes| bytes > 0), "{usage}");
    station.cli(&["job", "stop", "pod"]).ok();
    eventually("its container is removed", || podman.cli(&["ps", "-aq"]).ok().trim().is_empty().then_some(()));
}

/// It imports an image only under a name with its tag, and opens profiles itself.
#[test]
fn podman_holds_a_groups_network_and_opens_profiles() {
    let podman = Podman::start();
    let profile = podman.dir.path().join("profile.json");
    fs::write(
        &profile,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}"#,
    )
    .unwrap();
    let policy = "  policy {\n    allow_security_opts = [\"*\"]\n  }\n";
    let mut net = Net::configured(61, "", &podman.configuration(policy));
    net.station.launch();
    let group = "network {\n mode = \"bridge\"\n port \"http\" {\n to = 8080\n }\n }";
    let page = "busybox mkdir /tmp/x; echo served > /local/index.html; exec busybox httpd -f -p 8080 -h /local";
    let option = format!("security_opt = [\"seccomp={}\"]", profile.display());
    let alloc = net.station.run_job("pod", &job(page, group, &option));
    assert_eq!(fetch(&net.station.address(&alloc, "http")), "served\n");
    let name = format!("t-{alloc}");
    let holder = podman.cli(&["ps", "-q", "--no-trunc", "--filter", &format!("name=longshore_init_{alloc}")]).ok();
    assert_eq!(podman.inspect(&name, "{{.HostConfig.NetworkMode}}"), format!("container:{}", holder.trim()));
    assert_eq!(podman.inspect(&name, "{{.HostConfig.SecurityOpt}}"), format!("[seccomp={}]", profile.display()));
    let told = || net.station.cli(&["alloc", "logs", "--stderr", &alloc[..8]]).ok();
    eventually("the profile is heeded", || told().contains("Operation not permitted").then_some(()));
    net.ends("pod", &alloc);
    let left = || podman.cli(&["ps", "-aq", "--filter", &format!("label=longshore.alloc_id={alloc}")]).ok();
    eventually("no container is left", || left().trim().is_empty().then_some(()));
}

/// Its state never says so, and it has no event for it.
#[test]
fn memory_that_runs_out_on_podman_is_told() {
    let podman = Podman::start();
    let station = Station::with(&podman.configuration(""), &["--dev"]);
    let once = "restart {\n attempts = 0\n mode = \"fail\"\n }";
    for (case, script) in [("at once", ""), ("when the agent looks on", "busybox sleep 3; ")] {
        let hungry = format!("{script}x=12345678; while :; do x=$x$x; done");
        station.cli(&["job", "run", "--detach", &station.job("pod", &job(&hungry, once, ""))]).ok();
        let alloc = station.allocation("pod");
        let state = station.until_task(&alloc, "t", "it ends", |state| state["State"] == "dead");
        assert!(state["Events"].to_string().contains("OOM Killed"), "{case}: {state}");
        station.cli(&["job", "stop", "--purge", "pod"]).ok();
    }
}

/// Podman has one status for all errors, and other words.
#[test]
fn a_name_that_is_taken_on_podman_is_told_and_waited_for() {
    let podman = Podman::start();
    let station = Station::with(&podman.configuration(""), &["--dev"]);
    let alloc = station.run_job("pod", &job(SLEEP, AGAIN, ""));
    let name = format!("t-{alloc}");
    let first = podman.inspect(&name, "{{.Id}}");
    podman.cli(&["rm", "-f", &name]).ok();
    let foreign = eventually("the name is taken", || {
        let ran = podman.cli(&["create", "--network", "none", "--name", &name, IMAGE, "busybox", "sleep", "9"]);
        (ran.code == 0).then(|| ran.out.trim().to_owned())
    });
    let told = format!("is taken by container {}, which is not this task's", &foreign[..12]);
    station.until_task(&alloc, "t", "it is told", |state| state["Events"].to_string().contains(&told));
    podman.cli(&["rm", "-f", &name]).ok();
    let second = eventually("it has its name again", || {
        let ran = podman.cli(&["inspect", "--type", "container", "--format", "{{.State.Status}} {{.Id}}", &name]);
        ran.out.trim().strip_prefix("running ").map(str::to_owned)
    });
    assert!(second != first && second != foreign);

    let missing = job(SLEEP, "", "network_mode = \"no-such\"").replace("job \"pod\"", "job \"missing\"");
    let said = station.cli(&["job", "run", &station.job("missing", &missing)]).refused(1);
    assert!(said.contains("network not found"), "{said}");
}

/// The engine's own call for that is missing in what of Docker it speaks.
#[test]
fn tasks_on_podman_are_kept_off_cores_of_others() {
    let podman = Podman::start();
    let config = format!("client {{\n  reservable_cores = \"1\"\n}}\n{}", podman.configuration(""));
    let station = Station::with(&config, &["--dev"]);
    let alloc = station.run_job("pod", &job(SLEEP, "", ""));
    let pid = podman.inspect(&format!("t-{alloc}"), "{{.State.Pid}}");
    let is_on = |cpus: &str| {
        let line = format!("Cpus_allowed_list:\t{cpus}");
        eventually(&line, || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            status.lines().any(|other| other == line).then_some(())
        });
    };
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let all = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap();
    is_on(all);
    let pinned = job("exec busybox sleep 600", "", "").replace("job \"pod\"", "job \"pinned\"");
    let pinned = station.run_job("pinned", &pinned.replace("cpu    = 50", "cores  = 1"));
    assert_eq!(podman.inspect(&format!("t-{pinned}"), "{{.HostConfig.CpusetCpus}}"), "1");
    let (first, last) = all.split_once('-').expect("more than one processor");
    is_on(&match last {
        "1" => first.to_owned(),
        last => format!("{first},2-{last}"),
    });
    station.cli(&["job", "stop", "pinned"]).ok();
    is_on(all);
}
