//! Whole processors for tasks: given once, seen by the task, by the kernel and by the engine.

use std::fs;

use serde_json::Value;

use crate::{
    docker::Image,
    harness::{Station, eventually, run},
};

fn job(name: &str, driver: &str, config: &str, cores: usize) -> String {
    format!(
        "job {name:?} {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = {driver:?}\n      config {{\n        {config}\n      \
         }}\n      resources {{\n        cores = {cores}\n        memory = 64\n      }}\n      kill_signal = \"SIGKILL\"\n    \
         }}\n  }}\n}}\n"
    )
}

const SHELL: &str = "command = \"/bin/sh\"\n        args = [\"-c\", \"echo $NOMAD_CPU_CORES; exec sleep 600\"]";

fn reserved(station: &Station, alloc: &str) -> Value {
    station.get(&format!("/v1/allocation/{alloc}"))["AllocatedResources"]["Tasks"]["t"]["Cpu"]["ReservedCores"].clone()
}

/// What the task was told.
fn told(station: &Station, alloc: &str) -> String {
    eventually("it has spoken", || {
        let out = station.cli(&["alloc", "logs", &alloc[..8]]).ok();
        out.strip_suffix('\n').map(str::to_owned)
    })
}

#[test]
fn a_core_belongs_to_one_task_at_a_time() {
    let station = Station::start();
    let nodes = station.get("/v1/nodes");
    let node = station.get(&format!("/v1/node/{}", nodes[0]["ID"].as_str().unwrap()));
    let all: Vec<u64> = serde_json::from_value(node["NodeResources"]["Cpu"]["ReservableCpuCores"].clone()).unwrap();
    // A second tool's count.
    assert_eq!(all.len().to_string(), run("nproc", &[]).ok().trim());

    let first = station.run_job("first", &job("first", "exec", SHELL, all.len() - 1));
    let own: Vec<u64> = serde_json::from_value(reserved(&station, &first)).unwrap();
    assert_eq!(own, all[..all.len() - 1]);
    let second = station.run_job("second", &job("second", "raw_exec", SHELL, 1));
    assert_eq!(reserved(&station, &second), serde_json::json!([all[all.len() - 1]]));
    assert_eq!(told(&station, &second), all[all.len() - 1].to_string());

    let said = station.cli(&["job", "run", &station.job("third", &job("third", "raw_exec", SHELL, 1))]);
    assert!(said.code != 0 && said.err.contains("Dimension \"cores\" exhausted"), "{}", said.err);

    // The kernel's own word, for a process that was told so.
    let list = told(&station, &first);
    let pids = crate::harness::processes_with(&format!("NOMAD_ALLOC_ID={first}")).into_iter();
    let sleeps = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    let status = fs::read_to_string(format!("/proc/{}/status", pids.clone().find(sleeps).unwrap())).unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    assert_eq!(allowed, list);

    // What ends gives its core back; a new version takes over the old one's.
    station.cli(&["job", "stop", "second"]).ok();
    station.run_job("third", &job("third", "raw_exec", SHELL, 1));
    let changed = job("third", "raw_exec", SHELL, 1).replace("memory = 64", "memory = 65");
    let alloc = station.run_job("third", &changed);
    assert_eq!(told(&station, &alloc), all[all.len() - 1].to_string());
}

#[test]
fn a_container_is_pinned_and_a_restarted_agent_remembers() {
    let image = Image::make("cores");
    let mut station = Station::start();
    let config = format!("image = {:?}\n        {SHELL}", image.0);
    let alloc = station.run_job("pinned", &job("pinned", "docker", &config, 1));
    let core = told(&station, &alloc);
    let name = format!("t-{alloc}");
    assert_eq!(run("docker", &["inspect", "-f", "{{.HostConfig.CpusetCpus}}", &name]).ok().trim(), core);
    station.kill();
    station.launch();
    let nodes: usize = run("nproc", &[]).ok().trim().parse().unwrap();
    let said = station.cli(&["job", "run", &station.job("all", &job("all", "raw_exec", SHELL, nodes))]);
    assert!(said.err.contains("Dimension \"cores\" exhausted"), "{}", said.err);
}

/// Processors of a list such as `0,2-3`.
fn expand(list: &str) -> Vec<u32> {
    let ranges = list.trim().split(',').map(|part| part.split_once('-').unwrap_or((part, part)));
    ranges.flat_map(|(first, last)| first.parse().unwrap()..=last.parse().unwrap()).collect()
}

/// Where the kernel lets a process run.
fn allowed(pid: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    expand(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap())
}

#[test]
fn tasks_without_cores_are_kept_off_those_of_others() {
    let image = Image::make("shared-cores");
    let mut station = Station::with("client {\n  reservable_cores = \"1\"\n}\n", &["--dev"]);
    let all = allowed("self");
    let others: Vec<u32> = all.iter().copied().filter(|cpu| *cpu != 1).collect();
    let sharing = |name: &str, driver: &str, config: &str| {
        let text = job(name, driver, config, 0).replace("cores = 0", "cpu = 50");
        station.run_job(name, &text)
    };
    let contained = sharing("contained", "docker", &format!("image = {:?}\n        {SHELL}", image.0));
    let free = sharing("free", "raw_exec", SHELL);
    let container = format!("t-{contained}");
    let pid = run("docker", &["inspect", "-f", "{{.State.Pid}}", &container]).ok().trim().to_owned();
    let sleeps = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n");
    let process = crate::harness::processes_with(&format!("NOMAD_ALLOC_ID={free}")).into_iter().find(sleeps);
    let process = process.unwrap().to_string();
    let are_on = |cpus: &[u32]| {
        eventually("both were moved", || (allowed(&pid) == cpus && allowed(&process) == cpus).then_some(()));
    };
    are_on(&all);

    let pinned = station.run_job("pinned", &job("pinned", "raw_exec", SHELL, 1));
    assert_eq!(told(&station, &pinned), "1");
    are_on(&others);
    let list = run("docker", &["inspect", "-f", "{{.HostConfig.CpusetCpus}}", &container]).ok();
    assert_eq!(expand(&list), others);
    let said = station.cli(&["job", "run", &station.job("more", &job("more", "raw_exec", SHELL, 1))]);
    assert!(said.err.contains("of the 1 of this machine 0 were free"), "{}", said.err);

    // An agent that comes when the core is free again moves them back.
    station.cli(&["job", "stop", "pinned"]).ok();
    station.kill();
    station.launch();
    are_on(&all);

    let wrong = Station::prepare("reservable_cores = \"0-9999\"\n", &[]).agent_command().output().unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && said.contains("reservable_cores: processor"), "{said}");
}
