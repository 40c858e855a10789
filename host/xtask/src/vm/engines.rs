//! Docker and Podman on a machine with nothing but version 2 of control groups, where a privileged container may run:
//! what their containers are held to, how they end, what is measured of them.

use super::{Files, Machine, PATIENCE, Running, Size};
use crate::agent;
use crate::failure::{Doing, Failure, Outcome};
use crate::setup::find_program;
use crate::workspace::Workspace;
use serde_json::Value;

/// One processor for who has none of its own, and one for a task of each engine.
const SIZE: Size = Size { processors: 3, memory_mib: 4096, disk_mib: 512 };

/// The engines' programs, and what Debian calls the package each is in.
const PROGRAMS: &[(&str, &str)] = &[
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("docker-init", "docker.io"),
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("podman", "podman"),
    ("conmon", "conmon"),
];

/// The agent's configuration: privileged containers are refused. Each driver's component is compiled in the machine,
/// which takes seconds, so those that run nothing here are left out.
const REFUSING: &str = r#"
client {
  reservable_cores = "1-2"
}
driver "exec" {
  enabled = false
}
driver "java" {
  enabled = false
}
driver "wasm" {
  enabled = false
}
driver "podman" {
  engine {
    endpoint = "unix:///run/podman.sock"
  }
}
"#;

/// What is added to it.
const ALLOWING: &str = r#"
driver "docker" {
  policy {
    allow_privileged = true
  }
}
"#;

const CONTAINERS_CONF: &str = r#"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
conmon_path = ["/bin/conmon"]
[engine.runtimes]
runc = ["/bin/runc"]
"#;

const STORAGE_CONF: &str = r#"
[storage]
driver = "overlay"
graphroot = "/data/podman"
runroot = "/run/podman"
"#;

/// The same job for each engine.
const JOBS: &[(&str, &str)] = &[
    ("shared", include_str!("engines/shared.nomad.hcl")),
    ("pinned", include_str!("engines/pinned.nomad.hcl")),
    ("hungry", include_str!("engines/hungry.nomad.hcl")),
];

const ENGINES: [(&str, &str); 2] = [("docker", "busybox:1"), ("podman", "localhost/busybox:1")];

/// What `engines/shared.nomad.hcl` is held to beside its quota: 64 MiB of which 48 are its own, no swap, 500 MHz, which
/// are a weight of 19.
const LIMITS: &str = "67108864 50331648 0 19";

/// Boots once and reads what `engines/scenario.sh` tells.
pub fn check(workspace: &Workspace) -> Outcome {
    let machine = Machine::build(workspace, "engines", &files(workspace)?, SIZE)?;
    let mut running = machine.boot("engines")?;
    running.expect("REFUSED", "2 allow_privileged")?;
    let mhz = running.wait_for("MHZ", PATIENCE)?;
    let mhz: u64 = mhz.parse().doing(|| format!("`{mhz}` is no number of MHz"))?;
    let processors = u64::from(SIZE.processors);
    let quota = 500 * 100_000 / mhz * processors;
    for (engine, _) in ENGINES {
        running.expect(&format!("LIMITS {engine}"), &format!("{LIMITS} {quota} 100000"))?;
    }
    println!("    containers of both engines have their limits");
    running.wait_for("MOVED", PATIENCE)?;
    for (core, (engine, _)) in (1..).zip(ENGINES) {
        // A processor's MHz, in the kernel's other measure.
        let weight = 1 + (mhz / processors - 2) * 9999 / 262_142;
        running.expect(&format!("PINNED {engine}"), &format!("{core} {weight}"))?;
    }
    println!("    tasks without a core of their own were moved off those of others, and back");
    for (engine, _) in ENGINES {
        is_measured(engine, &running.wait_for(&format!("STATS {engine}"), PATIENCE)?)?;
        running.expect(&format!("OOM {engine}"), "Exit Message: \"OOM Killed\"")?;
    }
    println!("    containers are measured, and memory that ran out is told");
    is_privileged(&mut running)?;
    println!("    a privileged container has the machine");
    running.wait_for("EMPTY", PATIENCE)?;
    running.cut_power();
    Ok(())
}

fn files(workspace: &Workspace) -> Outcome<Files> {
    let mut programs = vec![(agent::build(workspace)?, "longshore")];
    for (name, package) in PROGRAMS {
        let found = find_program(name);
        programs.push((found.ok_or_else(|| Failure::new(format!("no {name}: apt-get install {package}")))?, name));
    }
    let mut texts = vec![
        ("scenario.sh".to_owned(), include_str!("engines/scenario.sh").to_owned()),
        ("etc/refusing.hcl".into(), REFUSING.into()),
        ("etc/allowing.hcl".into(), format!("{REFUSING}{ALLOWING}")),
        ("etc/containers/containers.conf".into(), CONTAINERS_CONF.into()),
        ("etc/containers/storage.conf".into(), STORAGE_CONF.into()),
        ("etc/containers/policy.json".into(), r#"{"default": [{"type": "insecureAcceptAnything"}]}"#.into()),
        ("jobs/privileged.nomad.hcl".into(), include_str!("engines/privileged.nomad.hcl").into()),
    ];
    for (job, text) in JOBS {
        for (engine, image) in ENGINES {
            let text = text.replace("DRIVER", engine).replace("IMAGE", image);
            texts.push((format!("jobs/{job}-{engine}.nomad.hcl"), text));
        }
    }
    Ok(Files { programs, texts, modules: vec!["overlay"], ..Files::default() })
}

/// What is measured of a container under version 2. No engine tells the highest use of memory then, and Podman neither
/// what is swapped out nor how often the quota was used up, though it was.
fn is_measured(engine: &str, document: &str) -> Outcome {
    let usage: Value = serde_json::from_str(document).doing(|| format!("`{document}` is no document"))?;
    let usage = &usage["ResourceUsage"];
    let (memory, cpu) = (&usage["MemoryStats"], &usage["CpuStats"]);
    let some = |value: &Value| value.as_f64().is_some_and(|value| value > 0.0);
    let is_docker = engine == "docker";
    let names = [
        (memory, if is_docker { "RSS Cache Swap Usage" } else { "RSS Cache Usage" }),
        (cpu, "Throttled Periods Throttled Time Percent"),
    ];
    let named = names.iter().all(|(stats, names)| {
        let measured: Vec<&str> =
            stats["Measured"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        measured.join(" ") == *names
    });
    let real = [&memory["Usage"], &memory["RSS"], &cpu["Percent"]].into_iter().all(some);
    match named && real && (!is_docker || some(&cpu["ThrottledPeriods"])) {
        true => Ok(()),
        false => Err(Failure::new(format!("this is not what is measured of a container of {engine}: {usage}"))),
    }
}

/// It has the capabilities that the engine gives to its own privileged containers, more than to others, and may mount
/// and read the machine's disk. The agent was started again for it, and the containers there were stayed.
fn is_privileged(running: &mut Running) -> Outcome {
    let peer = running.wait_for("PEER", PATIENCE)?;
    if running.wait_for("PLAIN", PATIENCE)? == peer {
        return Err(Failure::new(format!("a container that is not privileged has {peer}")));
    }
    running.expect("PRIVILEGED", &format!("{peer} mounted 4"))?;
    running.expect("KEPT", "both")
}
