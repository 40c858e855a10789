//! A Docker task in a network of its group's own, whose pause container is there before it.

use super::{
    Row, by_hand,
    tasks::{self, EACH, PATIENCE},
};
use crate::agent::{Agent, fetch};
use crate::failure::{Doing, Failure, Outcome};
use crate::run::pause;
use crate::setup::engine::Engine;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The bridge of the agent that is measured.
const BRIDGE: &str = "lsbench";
/// Pause containers it keeps ready.
const SPARES: usize = 2;

/// Start and memory.
pub fn rows(program: &Path, engine: &Engine) -> Outcome<Vec<Row>> {
    let config = format!(
        "network {{\n  bridge_network_name = {BRIDGE:?}\n  bridge_network_subnet = \"10.212.0.0/24\"\n  \
         spare_pause_containers = {SPARES}\n}}\n"
    );
    let mut agent = Agent::start(program, "bench-bridge", &config)?;
    // They are kept from the first such group on.
    tasks::submitted(&mut agent, &job(tasks::free_port()?))?;
    let ours = |port| {
        ready(&agent_id(&agent)?, engine)?;
        tasks::submitted(&mut agent, &job(port))
    };
    let (bridge, by_hand) = tasks::pairs(ours, |port| run_by_hand(engine, port))?;
    let spares = ready(&agent_id(&agent)?, engine)?;
    let memory: Outcome<Vec<u64>> = spares.iter().map(|id| memory(engine, id)).collect();
    let most = memory?.into_iter().max().unwrap_or_default();
    Ok(vec![
        Row::times("Docker task in mode bridge, submit → port answers", bridge, "`docker run -p`", by_hand, "≤ 0.5×"),
        Row::alone("pause container kept ready, proportional set size", format!("{most} KiB"), "≤ 1 MiB"),
    ])
}

fn job(port: u16) -> Value {
    let mut job = tasks::docker_job(port);
    job["Job"]["TaskGroups"][0]["Networks"][0]["Mode"] = "bridge".into();
    job
}

/// What `docker run -p` asks of the engine, until the port answers.
fn run_by_hand(engine: &Engine, port: u16) -> Outcome<Duration> {
    let create = json!({
        "Image": tasks::IMAGE,
        "Cmd": ["httpd", "-f", "-p", "80", "-h", "/www"],
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": port.to_string()}]},
            "Memory": 64 << 20,
            "CpuShares": 100,
        },
    });
    let begun = Instant::now();
    let id = by_hand::start(engine, &create)?;
    let answered = fetch(&tasks::at(port), EACH, PATIENCE);
    let time = begun.elapsed();
    by_hand::remove(engine, &id)?;
    answered.map(|_| time)
}

fn agent_id(agent: &Agent) -> Outcome<String> {
    let nodes = agent.json("/v1/nodes")?;
    nodes[0]["ID"].as_str().map(str::to_owned).ok_or_else(|| Failure::new("the agent names no node"))
}

/// Waits until all that are kept ready are, and nothing else of the agent runs; answers their ids.
fn ready(agent: &str, engine: &Engine) -> Outcome<Vec<String>> {
    let filters = json!({"label": [format!("longshore.agent={agent}")]}).to_string();
    let path = format!("/containers/json?filters={}", filters.replace('"', "%22"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let running = by_hand::call(engine, "GET", &path, &[])?;
        let ids: Vec<_> =
            running.as_array().into_iter().flatten().filter_map(|one| Some(one["Id"].as_str()?.to_owned())).collect();
        if ids.len() == SPARES {
            return Ok(ids);
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!("{} containers are ready, not {SPARES}, after {PATIENCE:?}", ids.len())));
        }
        pause(Duration::from_millis(20))?;
    }
}

/// What a container's first process keeps in memory, KiB. The engine's shim beside it is the engine's own.
fn memory(engine: &Engine, id: &str) -> Outcome<u64> {
    let seen = by_hand::call(engine, "GET", &format!("/containers/{id}/json"), &[])?;
    let path = format!("/proc/{}/smaps_rollup", seen["State"]["Pid"]);
    let text = fs::read_to_string(&path).doing(|| format!("cannot read {path}"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.ok_or_else(|| Failure::new(format!("{path} has no Pss")))
}
