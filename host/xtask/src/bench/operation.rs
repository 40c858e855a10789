//! One driver operation, loading a driver, starting an agent.

use super::{Row, human, median};
use crate::agent::{Agent, STATIC};
use crate::failure::{Doing, Failure, Outcome};
use crate::workspace::Workspace;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Turns of each side, and calls per turn.
const ROUNDS: usize = 5;
const CALLS: &str = "2000";

/// A driver whose operations need little of the host.
const DRIVER: &str = "longshore-driver-raw-exec";

/// An operation against a gRPC call, a load, an agent's start.
pub fn rows(workspace: &Workspace, program: &Path) -> Outcome<Vec<Row>> {
    let driver = driver(workspace)?;
    let peer_dir = workspace.root.join("host/xtask/peer");
    let peer_target = workspace.scratch("peer")?;
    let build =
        workspace.cargo(&["build", "--locked", "--release"]).dir(&peer_dir).env("CARGO_TARGET_DIR", &peer_target);
    build.check()?;
    let (mut operations, mut loads, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let [operation, load] = ours(workspace, &driver)?;
        operations.push(operation);
        loads.push(load);
        let peer = crate::run::Run::new(peer_target.join("release/longshore-bench-peer")).args(&[CALLS]).output()?;
        calls.push(nanoseconds(&peer)?);
    }
    let starts: Outcome<Vec<Duration>> = (0..ROUNDS).map(|_| start(program)).collect();
    Ok(vec![
        Row::times(
            "driver operation, fresh instance",
            median(operations),
            "unary gRPC, Unix socket",
            median(calls),
            "≤ 30 µs, ≤ 0.2×",
        ),
        Row::alone("driver load, warm cache", human(median(loads)), "≤ 1 ms"),
        Row::alone("agent, exec → serving, five drivers", human(median(starts?)), "≤ 150 ms"),
    ])
}

fn driver(workspace: &Workspace) -> Outcome<std::path::PathBuf> {
    let dir = workspace.scratch("bench-driver")?;
    let built =
        xtask::component::build_packages(&workspace.root, &[DRIVER], &dir).doing(|| "building a driver".into())?;
    let file = dir.join("driver.wasm");
    fs::write(&file, &built[0]).doing(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Medians of one run of `host/cli/benches/operation.rs`: an operation, a load.
fn ours(workspace: &Workspace, driver: &Path) -> Outcome<[Duration; 2]> {
    // The whole workspace, so that its dependencies have the features they were compiled with already.
    let bench = ["bench", "--quiet", "--target", STATIC, "--workspace", "--bench", "operation", "--"];
    let printed = workspace.cargo(&bench).args(&[driver]).args(&[CALLS]).output()?;
    let times: Outcome<Vec<Duration>> = printed.split_whitespace().map(nanoseconds).collect();
    times?.try_into().map_err(|_| Failure::new(format!("the operation benchmark printed `{}`", printed.trim())))
}

fn nanoseconds(text: &str) -> Outcome<Duration> {
    text.trim().parse().map(Duration::from_nanos).doing(|| format!("`{}` is no number", text.trim()))
}

/// From exec to the first answer of the API, with the compile cache warm.
fn start(program: &Path) -> Outcome<Duration> {
    let mut agent = Agent::start(program, "bench-start", "driver \"raw_exec\" {\n  enabled = true\n}\n")?;
    agent.relaunch()
}
