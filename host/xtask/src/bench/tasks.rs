//! From submitting a job to its port's first answer, against the same made by hand.

use super::{
    Row,
    by_hand::{self, Twin},
    median,
};
use crate::agent::{Agent, fetch};
use crate::failure::{Doing, Outcome};
use crate::http::Endpoint;
use crate::run::{Run, pause};
use crate::setup::engine::Engine;
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// The image of every Docker task here.
pub const IMAGE: &str = "longshore-bench:local";

/// Turns of each pair.
const ROUNDS: usize = 15;

/// Before each turn of either side: what the last container left to the kernel to clean up would be counted for the one
/// whose turn it is.
pub const CALM: Duration = Duration::from_millis(300);

pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long one request may take.
pub const EACH: Duration = Duration::from_millis(30);

/// The Docker and the native task.
pub fn rows(workspace: &Workspace, program: &Path, engine: &Engine) -> Outcome<Vec<Row>> {
    let mut agent = Agent::start(program, "bench", "driver \"raw_exec\" {\n  enabled = true\n}\n")?;
    let site = workspace.scratch("bench-site")?;
    fs::write(site.join("index.html"), "hello\n").doing(|| "cannot write the page".into())?;
    let twin = Twin::of(workspace, &mut agent, engine, &docker_job(free_port()?))?;
    let by_hand = |port| engine_by_hand(engine, &twin, port);
    let docker = pairs(|port| submitted(&mut agent, &docker_job(port)), by_hand)?;
    let by_hand = |port| process_by_hand(&site, port);
    let native = pairs(|port| submitted(&mut agent, &native_job(&site, port)), by_hand)?;
    let more = native.0.saturating_sub(native.1);
    Ok(vec![
        Row::times("Docker task, submit → port answers", docker.0, "same Engine calls", docker.1, "≤ 1.05×"),
        Row {
            ratio: format!("+{:.1} ms", more.as_secs_f64() * 1e3),
            ..Row::times("`raw_exec` task, submit → port answers", native.0, "by hand", native.1, "≤ +10 ms")
        },
    ])
}

/// Both sides in turn, so that the machine's mood falls on both; medians.
pub fn pairs(
    mut ours: impl FnMut(u16) -> Outcome<Duration>,
    mut peer: impl FnMut(u16) -> Outcome<Duration>,
) -> Outcome<(Duration, Duration)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        pause(CALM)?;
        a.push(ours(free_port()?)?);
        pause(CALM)?;
        b.push(peer(free_port()?)?);
    }
    Ok((median(a), median(b)))
}

pub fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").doing(|| "no free port".into())?;
    Ok(listener.local_addr().doing(|| "no free port".into())?.port())
}

pub fn submitted(agent: &mut Agent, job: &Value) -> Outcome<Duration> {
    let begun = Instant::now();
    agent.submit(job)?;
    // Nobody asks before it runs, as by hand: a packet for an address that nobody has yet makes the kernel wait a second
    // before it looks for it again.
    agent.until("/v1/job/bench/allocations", "the task runs", |all| all[0]["ClientStatus"] == "running")?;
    // A published port is reached at the machine's address, not at 127.0.0.1.
    fetch(&agent.address("bench")?, EACH, PATIENCE)?;
    let time = begun.elapsed();
    agent.stop_job("bench")?;
    Ok(time)
}

fn engine_by_hand(engine: &Engine, twin: &Twin, port: u16) -> Outcome<Duration> {
    let twin = twin.publishing(port);
    let begun = Instant::now();
    let id = twin.start(engine)?;
    let answered = fetch(&at(port), EACH, PATIENCE);
    let time = begun.elapsed();
    by_hand::remove(engine, &id)?;
    answered.map(|_| time)
}

fn process_by_hand(site: &Path, port: u16) -> Outcome<Duration> {
    let begun = Instant::now();
    let arguments =
        ["httpd".to_owned(), "-f".into(), "-p".into(), port.to_string(), "-h".into(), site.display().to_string()];
    let process = Run::new("/bin/busybox").args(&arguments).background(&site.with_extension("log"))?;
    fetch(&at(port), EACH, PATIENCE)?;
    let time = begun.elapsed();
    drop(process);
    Ok(time)
}

pub fn at(port: u16) -> Endpoint {
    Endpoint::Tcp(format!("127.0.0.1:{port}"))
}

pub fn docker_job(port: u16) -> Value {
    let config =
        json!({"image": IMAGE, "command": "httpd", "args": ["-f", "-p", "80", "-h", "/www"], "ports": ["http"]});
    job("docker", &config, json!([{"Label": "http", "Value": port, "To": 80}]), 1)
}

fn native_job(site: &Path, port: u16) -> Value {
    let config = json!({"command": "/bin/busybox", "args": ["httpd", "-f", "-p", port.to_string(), "-h", site]});
    job("raw_exec", &config, json!([{"Label": "http", "Value": port}]), 1)
}

/// A job named `bench`, as the API takes it.
pub fn job(driver: &str, config: &Value, static_ports: Value, count: u32) -> Value {
    json!({"Job": {
        "ID": "bench",
        "Name": "bench",
        "Type": "service",
        "Datacenters": ["*"],
        "TaskGroups": [{
            "Name": "bench",
            "Count": count,
            "Networks": [{"ReservedPorts": static_ports}],
            "Tasks": [{
                "Name": "task",
                "Driver": driver,
                "Config": config,
                "Resources": {"CPU": 100, "MemoryMB": 64},
            }],
        }],
    }})
}
