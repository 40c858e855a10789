//! What the life of containers costs beyond the engine's own calls: starting them, reading their output, stopping them.

use super::{
    Row,
    by_hand::{self, Twin},
    median, tasks,
};
use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::run::{Run, pause};
use crate::setup::engine::Engine;
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Output of the talkative task, bytes: as much as its log files keep.
const OUTPUT: u64 = 40_000_000;
/// Turns of each pair: of output, and of starts and stops, which are short and vary the more.
const ROUNDS: [usize; 2] = [5, 15];
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the peer may tell less than all.
const PEERS_TRIES: usize = 5;
/// Ends at once when it is asked to.
const POLITE: &str = "trap 'exit 0' TERM; while :; do sleep 0.01; done";

/// Each in turn with the same done by hand.
pub fn rows(workspace: &Workspace, program: &Path, engine: &Engine) -> Outcome<Vec<Row>> {
    let mut agent = Agent::start(program, "bench-containers", "")?;
    let [mut logs, mut starts, mut stops] = [(); 3].map(|()| (Vec::new(), Vec::new()));
    let talkative = Twin::of(workspace, &mut agent, engine, &talkative())?.saying(&talk());
    for _ in 0..ROUNDS[0] {
        logs.0.push(collected(&mut agent)?);
        logs.1.push(read_by_hand(engine, &talkative)?);
    }
    let polite = Twin::of(workspace, &mut agent, engine, &polite())?;
    for _ in 0..ROUNDS[1] {
        pause(tasks::CALM)?;
        let ours = started_and_stopped(&mut agent)?;
        pause(tasks::CALM)?;
        let by_hand = started_and_stopped_by_hand(engine, &polite)?;
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
            "Docker task, its job stopped → removed",
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

fn talkative() -> Value {
    let script = format!("{}; exec sleep 3600", talk());
    // What the engine keeps of the output: all of it, or a slow reader would miss some.
    let log = json!({"type": "json-file", "config": {"max-size": "200m", "max-file": "1"}});
    let config = json!({"image": tasks::IMAGE, "command": "sh", "args": ["-c", script], "logging": log});
    tasks::job("docker", &config, json!([]), 1)
}

fn polite() -> Value {
    let config = json!({"image": tasks::IMAGE, "command": "sh", "args": ["-c", POLITE]});
    tasks::job("docker", &config, json!([]), 1)
}

fn collected(agent: &mut Agent) -> Outcome<Duration> {
    let begun = Instant::now();
    agent.submit(&talkative())?;
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

/// Docker's command may end before it has told all, when the container ends first: a turn without the last words is no
/// measure, and another is taken.
fn read_by_hand(engine: &Engine, twin: &Twin) -> Outcome<Duration> {
    let mut told = 0;
    for _ in 0..PEERS_TRIES {
        let begun = Instant::now();
        let id = twin.start(engine)?;
        let said = Run::new("docker").args(&["logs", "-f", &id]).output()?;
        let time = begun.elapsed();
        by_hand::remove(engine, &id)?;
        told = said.len() as u64;
        if told >= OUTPUT {
            return Ok(time);
        }
        println!("    `docker logs -f` gave {told} bytes of {OUTPUT}: another turn");
    }
    Err(Failure::new(format!("`docker logs -f` gave {told} bytes of {OUTPUT}, {PEERS_TRIES} times")))
}

/// From the submission until the task runs, and from its stop until its container is removed.
fn started_and_stopped(agent: &mut Agent) -> Outcome<(Duration, Duration)> {
    let begun = Instant::now();
    agent.submit(&polite())?;
    agent.until("/v1/job/bench/allocations", "the task runs", |all| all[0]["ClientStatus"] == "running")?;
    let started = begun.elapsed();
    pause(Duration::from_millis(200))?;
    let begun = Instant::now();
    agent.api.request("DELETE", "/v1/job/bench", "application/json", &[])?;
    agent.until("/v1/job/bench/allocations", "the container is removed", |all| all[0]["Finished"] == true)?;
    let stopped = begun.elapsed();
    agent.stop_job("bench")?;
    Ok((started, stopped))
}

fn started_and_stopped_by_hand(engine: &Engine, twin: &Twin) -> Outcome<(Duration, Duration)> {
    let begun = Instant::now();
    let id = twin.start(engine)?;
    let started = begun.elapsed();
    pause(Duration::from_millis(200))?;
    let begun = Instant::now();
    by_hand::stop(engine, &id)?;
    by_hand::remove(engine, &id)?;
    Ok((started, begun.elapsed()))
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
