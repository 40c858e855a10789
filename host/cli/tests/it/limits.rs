//! Limits of tasks as the kernel has them: read from its own files, for version 1 of control groups or version 2.

use std::fs;

use crate::{
    docker::Image,
    harness::{Station, eventually, processes_with, run},
};

/// A file of a controller by its name in version 1 and in version 2, and what is to be in it there.
struct Limit(&'static str, [&'static str; 2], [&'static str; 2]);

/// A task of 100 MHz, and 64 MiB of which 32 are its own. Weights of version 2 are 1 for each 26 shares.
const USUAL: [Limit; 4] = [
    Limit("memory", ["memory.limit_in_bytes", "memory.max"], ["67108864", "67108864"]),
    Limit("memory", ["memory.soft_limit_in_bytes", "memory.low"], ["33554432", "33554432"]),
    // Memory and swap together, and swap alone.
    Limit("memory", ["memory.memsw.limit_in_bytes", "memory.swap.max"], ["67108864", "0"]),
    Limit("cpu", ["cpu.shares", "cpu.weight"], ["100", "4"]),
];

/// The directory of a process's group for a controller, and whether it is of version 2.
fn group(pid: u32, controller: &str) -> (String, bool) {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    // `<number>:<controllers>:<path>`; without controllers it is version 2.
    let path = |wanted: &str| {
        let parts = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        parts.into_iter().find(|(names, _)| names.split(',').any(|name| name == wanted)).map(|(_, path)| path)
    };
    match path(controller) {
        Some(path) => (format!("/sys/fs/cgroup/{controller}{path}"), false),
        None => (format!("/sys/fs/cgroup{}", path("").unwrap()), true),
    }
}

/// Asserts that the kernel holds a process to some limits. Machines that do not count swap have no limit of it.
#[track_caller]
fn expect(pid: u32, limits: &[Limit]) {
    for Limit(controller, files, expected) in limits {
        let (directory, unified) = group(pid, controller);
        let (file, expected) = if unified { (files[1], expected[1]) } else { (files[0], expected[0]) };
        match fs::read_to_string(format!("{directory}/{file}")) {
            Err(_) if file.contains("sw") => {}
            said => assert_eq!(
                said.unwrap_or_else(|error| panic!("{directory}/{file}: {error}")).trim(),
                expected,
                "{file}"
            ),
        }
    }
}

fn job(driver: &str, config: &str, script: &str) -> String {
    format!(
        r#"
job "limits" {{
  group "g" {{
    task "t" {{
      driver = "{driver}"
      config {{
        command = "/bin/sh"
        args    = ["-c", "{script}"]
        {config}
      }}
      resources {{
        cpu        = 100
        memory     = 32
        memory_max = 64
      }}
      kill_signal = "SIGKILL"
    }}
  }}
}}
"#
    )
}

#[test]
fn the_kernel_holds_a_container_to_its_limits() {
    let image = Image::make("limits");
    let station = Station::start();
    let config = format!(
        "image = {:?}\n        pids_limit = 7\n        cpu_hard_limit = true\n        cpu_cfs_period = 50000",
        image.0
    );
    let alloc = station.run_job("limits", &job("docker", &config, "exec busybox sleep 600"));
    let pid = run("docker", &["inspect", "-f", "{{.State.Pid}}", &format!("t-{alloc}")]).ok().trim().parse().unwrap();
    expect(pid, &USUAL);
    let pids = [Limit("pids", ["pids.max", "pids.max"], ["7", "7"])];
    expect(pid, &pids);
    let quota = run("docker", &["inspect", "-f", "{{.HostConfig.CpuQuota}}", &format!("t-{alloc}")]).ok();
    let (directory, unified) = group(pid, "cpu");
    let said = if unified {
        fs::read_to_string(format!("{directory}/cpu.max")).unwrap()
    } else {
        let read = |file: &str| fs::read_to_string(format!("{directory}/cpu.cfs_{file}_us")).unwrap();
        format!("{} {}", read("quota").trim(), read("period"))
    };
    assert_eq!(said.trim(), format!("{} 50000", quota.trim()));
    station.cli(&["job", "stop", "limits"]).ok();
    eventually("its control group goes", || (!fs::exists(&directory).unwrap()).then_some(()));
}

#[test]
fn the_kernel_holds_a_process_kept_apart_to_its_limits() {
    let station = Station::with("", &[]);
    let script = "setsid sleep 600 & exec sleep 601";
    let alloc = station.run_job("limits", &job("exec", "", script));
    let sleeps = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    let both = eventually("the task and its child sleep", || {
        let found: Vec<_> =
            processes_with(&format!("NOMAD_ALLOC_ID={alloc}")).into_iter().filter(|pid| sleeps(pid)).collect();
        (found.len() == 2).then_some(found)
    });
    for pid in &both {
        expect(*pid, &USUAL);
    }
    let (directory, _) = group(both[0], "memory");
    station.cli(&["job", "stop", "limits"]).ok();
    // The child had left the task's session, and could not leave its group.
    assert_eq!(processes_with(&alloc), Vec::<u32>::new());
    eventually("its control group goes", || (!fs::exists(&directory).unwrap()).then_some(()));
}
