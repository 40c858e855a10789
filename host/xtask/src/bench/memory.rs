//! What the agent itself weighs, idle and per running Docker task.

use super::{Row, crowd, tasks};
use crate::agent::Agent;
use crate::failure::{Doing, Failure, Outcome};
use crate::run::pause;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

const TASKS: u32 = 50;

/// Resident memory with no task, and its growth from 1 to 50 tasks.
pub fn rows(program: &Path) -> Outcome<Vec<Row>> {
    let mut agent = Agent::start(program, "bench-memory", "")?;
    let idle = settled(&agent)?;
    run(&mut agent, 1)?;
    let one = settled(&agent)?;
    run(&mut agent, TASKS)?;
    let many = settled(&agent)?;
    let each = many.saturating_sub(one) / u64::from(TASKS - 1);
    Ok(vec![
        Row::alone("agent, idle, resident, drivers just compiled", format!("{:.1} MB", idle as f64 / 1e6), "≤ 40 MB"),
        Row::alone("agent, per running Docker task (1 → 50)", format!("{:.0} KiB", each as f64 / 1024.0), "≤ 100 KiB"),
    ])
}

fn run(agent: &mut Agent, count: u32) -> Outcome {
    let config = json!({"image": tasks::IMAGE, "command": "sleep", "args": ["3600"]});
    agent.submit(&tasks::job("docker", &config, json!([]), count))?;
    crowd::all_run(agent, count)
}

/// Resident bytes of the agent once it had time to come to rest.
fn settled(agent: &Agent) -> Outcome<u64> {
    pause(Duration::from_secs(5))?;
    let status = format!("/proc/{}/status", agent.pid());
    let text = fs::read_to_string(&status).doing(|| format!("cannot read {status}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    Ok(kib.ok_or_else(|| Failure::new(format!("{status} has no VmRSS")))? * 1024)
}
