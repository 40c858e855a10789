//! `cargo xtask demo`: a newcomer's first command. Builds everything, runs the example jobs, shows their answers.

use crate::agent::{self, Agent};
use crate::failure::{Doing, Outcome};
use crate::setup::{self, engine};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const IMAGE: &str = "longshore-demo:local";

/// Needs no root and no Docker; shows the Docker job too where an engine answers.
pub fn chore(workspace: &Workspace) -> Outcome {
    let begun = Instant::now();
    println!("==> building (the first time takes minutes: it compiles a WebAssembly compiler)");
    setup::for_build(workspace)?;
    let program = agent::build(workspace)?;
    let component = hello_component(workspace)?;
    println!("<== built in {:.1} s", begun.elapsed().as_secs_f64());

    println!("==> starting an agent");
    let mut agent = Agent::start(&program, "demo", &may_run(&component))?;
    let jobs = workspace.root.join("examples/jobs");
    println!("==> hello: the task is itself a WebAssembly component");
    let variable = format!("component={}", component.display());
    show(&mut agent, "hello", &jobs.join("hello.nomad.hcl"), &[variable])?;
    web(workspace, &mut agent, &jobs)?;
    println!("==> cleaning up");
    drop(agent);
    println!("all in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Configuration that lets the `wasm` driver use files beside the component, which is outside every allocation.
fn may_run(component: &Path) -> String {
    let directory = component.parent().unwrap_or(component);
    format!("driver \"wasm\" {{\n  policy {{\n    allow_host_binds = [{directory:?}]\n  }}\n}}\n")
}

/// Builds the component of the hello job and answers its file.
pub fn hello_component(workspace: &Workspace) -> Outcome<PathBuf> {
    let source = workspace.root.join("examples/components/hello");
    xtask::component::build_wasip2(&source, &workspace.scratch("hello")?)
        .doing(|| "building the hello component".into())
}

fn web(workspace: &Workspace, agent: &mut Agent, jobs: &Path) -> Outcome {
    println!("==> web-docker: the same through Docker");
    let Some(engine) = engine::answering() else {
        println!("    skipped: no Docker Engine answers");
        return Ok(());
    };
    let image = match engine.busybox_image(workspace, IMAGE) {
        Ok(image) => image,
        Err(failure) => {
            println!("    skipped: nothing is pulled, and no image could be made: {failure}");
            return Ok(());
        }
    };
    show(agent, "web-docker", &jobs.join("web-docker.nomad.hcl"), &[format!("image={IMAGE}")])?;
    // The image can only go once no container uses it.
    agent.stop_job("web-docker")?;
    drop(image);
    Ok(())
}

fn show(agent: &mut Agent, id: &str, file: &Path, variables: &[String]) -> Outcome {
    agent.run_job(id, file, variables)?;
    let address = agent.address(id)?;
    println!("    {address} answers:");
    for line in agent::fetch(&address, Duration::from_secs(5), Duration::from_secs(10))?.lines() {
        println!("    | {line}");
    }
    Ok(())
}
