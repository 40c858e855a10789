//! Many containers at once: starting them, and reading what they say.

use super::{
    Row,
    by_hand::{self, Twin},
    containers, median, tasks,
};
use crate::agent::Agent;
use crate::failure::{Doing, Failure, Outcome};
use crate::run::{Background, Run, pause};
use crate::setup::engine::Engine;
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How many there are.
pub const SIZE: u32 = 100;
/// Turns of starting it.
const ROUNDS: usize = 3;
/// How long the processor time of the readers is counted.
const WINDOW: Duration = Duration::from_secs(20);
/// Ten lines of 100 bytes each second.
const CHATTY: &str = "while :; do for i in 0 1 2 3 4 5 6 7 8 9; do echo $LINE; done; sleep 1; done";

/// The start of a crowd against the same calls made side by side, and the cost of following it.
pub fn rows(workspace: &Workspace, program: &Path, engine: &Engine, size: u32) -> Outcome<Vec<Row>> {
    let mut agent = Agent::start(program, "bench-crowd", "")?;
    let twin = Twin::of(workspace, &mut agent, engine, &job(1))?;
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round > 0 {
            agent.stop_job("bench")?;
        }
        pause(tasks::CALM * 10)?;
        by_hand.push(started_by_hand(engine, &twin, size)?);
        pause(tasks::CALM * 10)?;
        let begun = Instant::now();
        submit(&mut agent, size)?;
        ours.push(begun.elapsed());
    }
    let readers = readers(workspace, &agent)?;
    let pids: Vec<u32> = readers.iter().map(Background::pid).collect();
    // What a start costs afterwards is not what following costs.
    pause(Duration::from_secs(5))?;
    let [following, reading] = busy([&[agent.pid()], &pids], WINDOW)?;
    drop(readers);
    agent.stop_job("bench")?;
    let percent = |time: Duration| format!("{:.1} % of a core", time.as_secs_f64() / WINDOW.as_secs_f64() * 100.0);
    Ok(vec![
        Row::times(
            "100 containers at once, submit → all run",
            median(ours),
            "same Engine calls, side by side",
            median(by_hand),
            "≤ 1.05×",
        ),
        Row {
            ours: percent(following),
            peer: format!("{} (100 × `docker logs -f`)", percent(reading)),
            ..Row::times("agent, following 100 tasks of 1 kB/s", following, "", reading, "≤ 1×")
        },
    ])
}

fn job(size: u32) -> Value {
    let script = format!("LINE={}; {CHATTY}", "x".repeat(99));
    let config = json!({"image": tasks::IMAGE, "command": "sh", "args": ["-c", script]});
    tasks::job("docker", &config, json!([]), size)
}

fn submit(agent: &mut Agent, size: u32) -> Outcome {
    agent.submit(&job(size))?;
    all_run(agent, size)
}

/// Waits until so many tasks of the job run. Looks now and then: whoever waits for changes is told of each.
pub fn all_run(agent: &Agent, size: u32) -> Outcome {
    containers::until(&format!("all {size} tasks run"), Duration::from_millis(20), || {
        let counted = agent.json("/v1/job/bench/summary").unwrap_or_default();
        counted["Summary"]["bench"]["Running"] == size
    })
}

/// Creates and starts as many containers, each by a thread of its own, and removes them.
fn started_by_hand(engine: &Engine, twin: &Twin, size: u32) -> Outcome<Duration> {
    let begun = Instant::now();
    let started: Vec<Outcome<String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..size).map(|_| scope.spawn(|| twin.start(engine))).collect();
        let ended = |thread: thread::ScopedJoinHandle<'_, Outcome<String>>| {
            thread.join().unwrap_or_else(|_| Err(Failure::new("a thread of the benchmark ended early")))
        };
        threads.into_iter().map(ended).collect()
    });
    let time = begun.elapsed();
    let (ids, failures): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    for id in ids.into_iter().flatten() {
        by_hand::remove(engine, &id)?;
    }
    failures.into_iter().find_map(Result::err).map_or(Ok(time), Err)
}

/// A `docker logs -f` for each of the job's containers.
fn readers(workspace: &Workspace, agent: &Agent) -> Outcome<Vec<Background>> {
    let log = workspace.scratch("bench-crowd")?.join("readers.log");
    let allocations = agent.json("/v1/job/bench/allocations")?;
    let ids = allocations.as_array().into_iter().flatten().filter_map(|one| one["ID"].as_str());
    ids.map(|id| {
        let follow = format!("exec docker logs -f --tail 0 task-{id} > /dev/null");
        Run::new("sh").args(&["-c", &follow]).background(&log)
    })
    .collect()
}

/// Processor time that each group of processes takes while one waits: at the same time, so that the machine's mood falls
/// on all.
fn busy<const N: usize>(groups: [&[u32]; N], window: Duration) -> Outcome<[Duration; N]> {
    let before: Vec<Duration> = groups.iter().map(|pids| spent(pids)).collect::<Outcome<_>>()?;
    pause(window)?;
    let mut taken = [Duration::ZERO; N];
    for ((taken, pids), before) in taken.iter_mut().zip(groups).zip(before) {
        *taken = spent(pids)?.saturating_sub(before);
    }
    Ok(taken)
}

fn spent(pids: &[u32]) -> Outcome<Duration> {
    pids.iter().map(|pid| spent_by(*pid)).sum()
}

/// User and system time of a process; the kernel shows hundredths of a second.
fn spent_by(pid: u32) -> Outcome<Duration> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file).doing(|| format!("cannot read {file}"))?;
    // The program's name, which may hold anything, ends with the last parenthesis.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
    let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
}
