//! A driver whose tasks run elsewhere: it asks a service over HTTP, and the host asks it again and again how they are.
//!
//! The operator says where the service is (`http_engine "jobs"`) and lets the driver ask it (`http:jobs`). It has
//! `PUT /tasks/<id>` with a line to run, `GET` that tells `running` or `exited <code>`, and `DELETE`.
#![cfg(target_family = "wasm")]

mod ask;

use ask::ask;
use longshore_sdk::{
    About, Description, Error, ExitStatus, FingerprintResult, Health, Lifecycle, Observation, Poll, RunState,
    StartError, Started, StopRequest, Task, TaskRef, TaskStatus, Watch, config, env,
};
use wasip2::http::types::Method;

struct Remote;

longshore_sdk::export!(Remote with poll);

#[derive(serde::Deserialize)]
struct Config {
    line: String,
}

/// How often the host asks how a task is, milliseconds.
const EVERY_MS: u32 = 500;

impl About for Remote {
    fn describe() -> Description {
        Description {
            name: "remote".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Runs a line elsewhere".into(),
            filesystem: "none".into(),
            network_modes: vec![],
            attributes: vec![],
        }
    }

    fn config_schema() -> String {
        r#"{"type": "object", "required": ["line"], "additionalProperties": false,
            "properties": {"line": {"type": "string", "description": "what to run"}}}"#
            .into()
    }

    fn settings_schema() -> String {
        r#"{"type": "object", "additionalProperties": false}"#.into()
    }

    fn fingerprint() -> FingerprintResult {
        match ask(&Method::Get, "/", "") {
            Ok(_) => FingerprintResult { health: Health::Healthy, attributes: env::list([("driver.remote", "1")]) },
            Err(error) => FingerprintResult { health: Health::Undetected(error.to_string()), attributes: vec![] },
        }
    }
}

impl Lifecycle for Remote {
    fn start(task: Task) -> Result<Started, StartError> {
        let config: Config = config::read(&task)?;
        ask(&Method::Put, &path(&task.identity), &config.line)?;
        Ok(watched())
    }

    fn recover(task: Task, _: Vec<u8>) -> Result<Started, Error> {
        state(&task.identity).map(|_| watched())
    }

    fn stop(task: TaskRef, _: Vec<u8>, _: StopRequest) -> Result<(), Error> {
        ask(&Method::Delete, &path(&task), "").map(drop)
    }

    fn destroy(task: TaskRef, _: Option<Vec<u8>>) -> Result<(), Error> {
        match ask(&Method::Delete, &path(&task), "") {
            Err(Error::NotFound(_)) => Ok(()),
            done => done.map(drop),
        }
    }

    fn inspect(task: TaskRef, _: Vec<u8>) -> Result<TaskStatus, Error> {
        Ok(TaskStatus { state: state(&task)?, attributes: vec![] })
    }
}

impl Poll for Remote {
    fn check(task: TaskRef, _: Vec<u8>) -> Result<Observation, Error> {
        Ok(Observation { state: state(&task)?, output: vec![], handle: None })
    }
}

/// The service's name of a task is ours, so nothing has to be remembered.
fn path(task: &TaskRef) -> String {
    format!("/tasks/{}", task.id.replace('/', "-"))
}

fn watched() -> Started {
    Started { handle: vec![], watch: Watch::Poll(EVERY_MS), network: None }
}

fn state(task: &TaskRef) -> Result<RunState, Error> {
    let ended = |exit_code| ExitStatus { exit_code, signal: 0, oom_killed: false, message: None };
    let said = match ask(&Method::Get, &path(task), "") {
        // It was told to end, and is gone.
        Err(Error::NotFound(_)) => return Ok(RunState::Exited(ended(0))),
        said => said?,
    };
    match said.strip_prefix("exited ").map(str::parse) {
        None if said == "running" => Ok(RunState::Running),
        Some(Ok(code)) => Ok(RunState::Exited(ended(code))),
        _ => Ok(RunState::Other(said)),
    }
}
