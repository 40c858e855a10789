//! What the life of containers costs beyond the engine's own calls: starting them, reading their output, stopping them.

use super::{Row, median, tasks};
use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::run::{Run, pause};
use crate::setup::engine::Engine;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Output of the talkative task, bytes: as much as its log files keep.
const OUTPUT: u64 = 40_000_000;
/// Turns of each pair: of output, and of starts and stops, which are short and vary the more.
const ROUNDS: [usize; 2] = [5, 15];
const PATIENCE: Duration = Duration::from_secs(120);
/// Ends at once when it is asked to.
const POLITE: &str = "trap 'exit 0' TERM; while :; do sleep 0.01; done";

/// Each in turn with the same done by hand.
pub fn rows(program: &Path, engine: &Engine) -> Outcome<Vec<Row>> {
    let mut agent = Agent::start(program, "bench-containers", "")?;
    let [mut logs, mut starts, mut stops] = [(); 3].map(|()| (Vec::new(), Vec::new()));
    for _ in 0..ROUNDS[0] {
        logs.0.push(collected(&mut agent)?);
        logs.1.push(read_by_hand(engine)?);
    }
    for _ in 0..ROUNDS[1] {
        pause(tasks::CALM)?;
        let ours = started_and_stopped(&mut agent)?;
        pause(tasks::CALM)?;
        let by_hand = started_and_stopped_by_hand(engine)?;
        starts.0.push(ours.0);
        starts.1.push(by_hand.0);
        stops.0.push(ours.1);
        stops.1.push(by_hand.1);
    }
    Ok(vec![
        Row::times(
            "40 MB of a container's output, start → all of it read",
            median(logs.0),
            "`docker logs -f`",
            median(logs.1),
            "≤ 1×",
        ),
        Row::times("Docker task, submit → running", median(starts.0), "same Engine calls", median(starts.1), "≤ 1.05×"),
        Row::times(
            "Docker task, `job stop` → removed",
            median(stops.0),
            "same Engine calls",
            median(stops.1),
            "≤ 1.05×",
        ),
    ])
}

/// A script that says `OUTPUT` bytes in lines of 100.
fn talk() -> String {
    format!("yes {} | head -c {OUTPUT}", "x".repeat(99))
}

/// What the engine keeps of the output: all of it, or a slow reader would miss some.
fn keep_all() -> Value {
    json!({"type": "json-file", "config": {"max-size": "200m", "max-file": "1"}})
}

fn collected(agent: &mut Agent) -> Outcome<Duration> {
    let script = format!("{}; exec sleep 3600", talk());
    let config = json!({"image": tasks::IMAGE, "command": "sh", "args": ["-c", script], "logging": keep_all()});
    let begun = Instant::now();
    agent.submit(&tasks::job("docker", &config, json!([]), 1))?;
    let id = allocation(agent)?;
    until("all output is in the files", Duration::from_millis(20), || {
        let files = agent.json(&format!("/v1/client/fs/ls/{id}?path=alloc/logs"));
        let sizes =
            |files: Value| files.as_array().into_iter().flatten().filter_map(|file| file["Size"].as_u64()).sum::<u64>();
        files.is_ok_and(|files| sizes(files) >= OUTPUT)
    })?;
    let time = begun.elapsed();
    agent.stop_job("bench")?;
    Ok(time)
}

fn read_by_hand(engine: &Engine) -> Outcome<Duration> {
    let log = json!({"Type": "json-file", "Config": {"max-size": "200m", "max-file": "1"}});
    let begun = Instant::now();
    let id = start(engine, &talk(), &log)?;
    let said = Run::new("docker").args(&["logs", "-f", &id]).output()?;
    let time = begun.elapsed();
    tasks::call(engine, "DELETE", &format!("/containers/{id}?force=true&v=true"), &[])?;
    if (said.len() as u64) < OUTPUT {
        return Err(Failure::new(format!("`docker logs` gave {} bytes of {OUTPUT}", said.len())));
    }
    Ok(time)
}

/// From the submission until the task runs, and from its stop until it is removed.
fn started_and_stopped(agent: &mut Agent) -> Outcome<(Duration, Duration)> {
    let config = json!({"image": tasks::IMAGE, "command": "sh", "args": ["-c", POLITE]});
    let begun = Instant::now();
    agent.submit(&tasks::job("docker", &config, json!([]), 1))?;
    agent.until("/v1/job/bench/allocations", "the task runs", |all| all[0]["ClientStatus"] == "running")?;
    let started = begun.elapsed();
    pause(Duration::from_millis(200))?;
    let begun = Instant::now();
    agent.stop_job("bench")?;
    Ok((started, begun.elapsed()))
}

fn started_and_stopped_by_hand(engine: &Engine) -> Outcome<(Duration, Duration)> {
    let begun = Instant::now();
    let id = start(engine, POLITE, &json!({}))?;
    let started = begun.elapsed();
    pause(Duration::from_millis(200))?;
    let begun = Instant::now();
    tasks::call(engine, "POST", &format!("/containers/{id}/stop?t=5"), &[])?;
    tasks::call(engine, "DELETE", &format!("/containers/{id}?force=true&v=true"), &[])?;
    Ok((started, begun.elapsed()))
}

/// Creates and starts a container; answers its id.
pub fn start(engine: &Engine, script: &str, log: &Value) -> Outcome<String> {
    let create = json!({
        "Image": tasks::IMAGE,
        "Cmd": ["sh", "-c", script],
        "HostConfig": {"Memory": 64 << 20, "CpuShares": 100, "LogConfig": log},
    });
    let created = tasks::call(engine, "POST", "/containers/create", create.to_string().as_bytes())?;
    let id = created["Id"].as_str().ok_or_else(|| Failure::new("the engine answered no container id"))?.to_owned();
    tasks::call(engine, "POST", &format!("/containers/{id}/start"), &[])?;
    Ok(id)
}

/// The id of the job's newest allocation.
fn allocation(agent: &Agent) -> Outcome<String> {
    let allocations = agent.json("/v1/job/bench/allocations")?;
    let id = allocations[0]["ID"].as_str();
    id.map(str::to_owned).ok_or_else(|| Failure::new("the job has no allocation"))
}

/// Waits until something is so, looking every so often.
pub fn until(what: &str, every: Duration, mut is_so: impl FnMut() -> bool) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(Failure::new(format!("not within {PATIENCE:?}: {what}")));
        }
        pause(every)?;
    }
    Ok(())
}
