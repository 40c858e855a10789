//! Jobs of the `exec` driver: what the task sees, and what of it is seen from outside.

use std::fs;

use crate::{
    harness::{Station, eventually, lives, processes_with, run},
    network::Net,
};

/// A job of one task that runs a script.
fn job(script: &str, group: &str, task: &str) -> String {
    format!(
        r#"
job "apart" {{
  type = "batch"
  group "g" {{
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    {group}
    task "t" {{
      driver = "exec"
      config {{
        command = "sh"
        args    = ["-c", "{script}", "sh", "${{NOMAD_TASK_DIR}}/x"]
      }}
      # The first process of a namespace does not heed a signal it has no handler for.
      kill_signal = "SIGKILL"
      {task}
    }}
  }}
}}
"#
    )
}

/// The host's number of an allocation's process.
fn pid(alloc: &str) -> u32 {
    let sleeps = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    eventually("the task sleeps", || processes_with(&format!("NOMAD_ALLOC_ID={alloc}")).into_iter().find(sleeps))
}

#[test]
fn a_task_is_alone_in_a_root_of_its_own() {
    let station = Station::with("", &[]);
    let script = "echo $1 $NOMAD_TASK_DIR $NOMAD_SECRETS_DIR $NOMAD_ALLOC_DIR $$; id -un; echo kept > /local/f; \
                  echo shared > /alloc/data/f; touch /alloc/logs/f; ls -d /home /root /var; exec sleep 600";
    let alloc = station.run_job("apart", &job(script, "", "resources {\n        memory = 64\n      }"));
    let pid = pid(&alloc);
    let out = station.cli(&["alloc", "logs", &alloc[..8]]).ok();
    assert_eq!(out, "/local/x /local /secrets /alloc 1\nnobody\n");
    let err = station.cli(&["alloc", "logs", "--stderr", &alloc[..8]]).ok();
    for path in ["/home", "/root", "/var", "/alloc/logs/f"] {
        assert!(err.contains(path), "{path} is not refused: {err}");
    }
    let dir = station.path("data/allocs").join(&alloc);
    assert_eq!(fs::read_to_string(dir.join("t/local/f")).unwrap(), "kept\n");
    assert_eq!(fs::read_to_string(dir.join("alloc/data/f")).unwrap(), "shared\n");

    // From outside: another root, other namespaces, few capabilities, its limits, and inside nothing but itself.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // audit_write, kill, mknod, net_bind_service, sys_chroot.
    assert_eq!((field("CapEff:"), field("CapBnd:")), ("0000000028040420".into(), "0000000028040420".into()));
    assert_eq!((field("NoNewPrivs:"), field("Uid:").split('\t').next().unwrap()), ("1".into(), "65534"));
    let seen = run("nsenter", &["-t", &pid.to_string(), "-m", "-p", "ls", "/", "/proc"]).ok();
    assert!(!seen.lines().any(|name| ["home", "root", "var"].contains(&name)), "{seen}");
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let memory = groups.lines().find_map(|line| line.split_once(":memory:")).map(|(_, group)| group.to_owned());
    if let Some(group) = memory {
        let limit = fs::read_to_string(format!("/sys/fs/cgroup/memory{group}/memory.limit_in_bytes")).unwrap();
        assert_eq!(limit.trim(), (64 << 20).to_string());
    }

    let said = station.cli(&["alloc", "exec", &alloc[..8], "sh", "-c", "id -un; cat /proc/1/comm; ls /"]).ok();
    assert!(said.starts_with("nobody\nsleep\n") && !said.contains("home"), "{said}");
    station.cli(&["job", "stop", "apart"]).ok();
    assert!(!lives(pid));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&alloc), "{mounts}");
}

#[test]
fn a_task_in_a_bridge_group_has_the_groups_network_only() {
    let net = Net::start(60);
    let station = &net.station;
    let group = "network {\n      mode = \"bridge\"\n      port \"http\" { to = 8080 }\n    }";
    let script = "cat /proc/net/dev; exec sleep 600";
    let alloc = station.run_job("apart", &job(script, group, ""));
    let pid = pid(&alloc);
    let out = station.cli(&["alloc", "logs", &alloc[..8]]).ok();
    let mut devices: Vec<_> =
        out.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
    devices.sort();
    assert_eq!(devices, ["eth0", "lo"]);
    let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_ne!(link(&pid.to_string()), link("self"));
    let address =
        station.get(&format!("/v1/allocation/{alloc}"))["NetworkStatus"]["Address"].as_str().unwrap().to_owned();
    let seen = run("nsenter", &["-t", &pid.to_string(), "-n", "ip", "-o", "addr", "show", "eth0"]).ok();
    assert!(seen.contains(&format!("inet {address}/")), "{address}: {seen}");
    let hosts = station.cli(&["alloc", "exec", &alloc[..8], "cat", "/etc/hosts"]).ok();
    assert!(hosts.contains(&address), "{hosts}");
    station.cli(&["job", "stop", "apart"]).ok();
}

#[test]
fn what_the_policy_does_not_allow_is_refused_with_its_remedy() {
    let station = Station::with("", &[]);
    for (task, config, words) in [
        ("user = \"root\"", "", "add \"root\" to `allow_users`"),
        ("", "cap_add = [\"sys_admin\"]", "driver does not allow the following capabilities: sys_admin"),
        ("", "pid_mode = \"shared\"", "private"),
    ] {
        let text = job("true", "", task).replace("command = \"sh\"", &format!("command = \"sh\"\n        {config}"));
        let said = station.cli(&["job", "run", &station.job("apart", &text)]).refused(2);
        assert!(said.contains(words), "{words}: {said}");
    }
    let text = job("true", "", "").replace("command = \"sh\"", "command = \"nope\"");
    station.cli(&["job", "run", "--detach", &station.job("apart", &text)]).ok();
    let alloc = station.allocation("apart");
    let state = station.until_task(&alloc, "t", "it failed", |state| state["Failed"] == true);
    assert!(state["Events"].to_string().contains("is not in the task's root directory"), "{state}");
    station.cli(&["job", "stop", "--purge", "apart"]).ok();
}

#[test]
fn an_operator_may_allow_root_and_more_of_the_host() {
    let config = "driver \"exec\" {\n  policy {\n    allow_users = [\"root\"]\n  }\n}\n";
    let station = Station::with(config, &[]);
    let script = "id -un; grep CapEff /proc/self/status; echo x > /proc/sys/kernel/core_pattern";
    let text = job(script, "", "user = \"root\"");
    station.cli(&["job", "run", "--detach", &station.job("apart", &text)]).ok();
    let alloc = station.allocation("apart");
    station.until_task(&alloc, "t", "it ended", |state| state["State"] == "dead");
    let out = station.cli(&["alloc", "logs", &alloc[..8]]).ok();
    // What Docker leaves root, without net_raw.
    assert_eq!(out, "root\nCapEff:\t00000000a80405fb\n");
    let err = station.cli(&["alloc", "logs", "--stderr", &alloc[..8]]).ok();
    assert!(err.contains("Read-only file system"), "{err}");
}
