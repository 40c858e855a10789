//! The engine's calls that the agent makes for a task, made directly.

use crate::agent::Agent;
use crate::failure::{Doing, Failure, Outcome};
use crate::setup::engine::Engine;
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::fs;

/// What the engine is asked to create: the same as the agent asks for a job's task, so that its mounts, limits and
/// variables cost both sides the same.
#[derive(Clone)]
pub struct Twin(Value);

impl Twin {
    /// Of a job named `bench` with one Docker task, which runs for a moment.
    pub fn of(workspace: &Workspace, agent: &mut Agent, engine: &Engine, job: &Value) -> Outcome<Self> {
        agent.submit(job)?;
        agent.until("/v1/job/bench/allocations", "the task runs", |all| all[0]["ClientStatus"] == "running")?;
        let allocations = agent.json("/v1/job/bench/allocations")?;
        let id = allocations[0]["ID"].as_str().ok_or_else(|| Failure::new("the job has no allocation"))?;
        let seen = call(engine, "GET", &format!("/containers/task-{id}/json"), &[])?;
        agent.stop_job("bench")?;
        let (mut create, mut host) = (seen["Config"].clone(), seen["HostConfig"].clone());
        // The engine names it after itself.
        create["Hostname"] = Value::Null;
        // The allocation's directories go with it.
        let dir = workspace.scratch("bench-mounts")?;
        for (number, mount) in host["Mounts"].as_array_mut().into_iter().flatten().enumerate() {
            let source = dir.join(number.to_string());
            fs::create_dir_all(&source).doing(|| format!("cannot make {}", source.display()))?;
            mount["Source"] = json!(source);
        }
        create["HostConfig"] = host;
        Ok(Self(create))
    }

    /// The same with another script for its shell.
    pub fn saying(&self, script: &str) -> Self {
        let mut create = self.0.clone();
        create["Cmd"] = json!(["sh", "-c", script]);
        Self(create)
    }

    /// The same with another port of the host, at all its addresses.
    pub fn publishing(&self, port: u16) -> Self {
        let mut create = self.0.clone();
        let bindings =
            create["HostConfig"]["PortBindings"].as_object_mut().into_iter().flat_map(|all| all.values_mut());
        for binding in bindings.filter_map(Value::as_array_mut).flatten() {
            *binding = json!({"HostIp": "", "HostPort": port.to_string()});
        }
        Self(create)
    }

    /// Creates and starts it; answers its id.
    pub fn start(&self, engine: &Engine) -> Outcome<String> {
        start(engine, &self.0)
    }
}

/// Creates and starts a container; answers its id.
pub fn start(engine: &Engine, create: &Value) -> Outcome<String> {
    let created = call(engine, "POST", "/containers/create", create.to_string().as_bytes())?;
    let id = created["Id"].as_str().ok_or_else(|| Failure::new("the engine answered no container id"))?.to_owned();
    call(engine, "POST", &format!("/containers/{id}/start"), &[])?;
    Ok(id)
}

/// Stops a container as its image wants.
pub fn stop(engine: &Engine, id: &str) -> Outcome {
    call(engine, "POST", &format!("/containers/{id}/stop?t=5"), &[]).map(drop)
}

/// Ends and removes a container.
pub fn remove(engine: &Engine, id: &str) -> Outcome {
    call(engine, "DELETE", &format!("/containers/{id}?force=true&v=true"), &[]).map(drop)
}

/// Makes one call of the engine's and answers what it says.
pub fn call(engine: &Engine, method: &str, path: &str, body: &[u8]) -> Outcome<Value> {
    let answer = engine.endpoint.request(method, path, "application/json", body)?;
    if answer.status >= 300 {
        return Err(Failure::new(format!("{method} {path}: {} {}", answer.status, answer.body.trim())));
    }
    Ok(serde_json::from_str(&answer.body).unwrap_or_default())
}
