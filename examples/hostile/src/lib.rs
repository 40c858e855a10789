//! A driver that misbehaves on command, to show that the host lives on.
//!
//! What it does is written in the task's `config` (which it copies into the handle, for the operations that see
//! only that) or, for what it says of itself, in its settings, as a word `<operation>:<misdeed>` anywhere in the
//! text. Without one it is an honest driver of `/bin/true`.
#![cfg(target_family = "wasm")]

mod bindings;
mod misdeed;
mod wish;

use bindings::{
    exports::longshore::driver::{about, lifecycle, poll, signals},
    longshore::{
        driver::types::{StartError, Started, Task, TaskRef, Watch},
        host::{
            processes, settings, state,
            types::{Error, KeyValue, RunState},
        },
    },
};
use misdeed::{NO_LIMITS, commit};

struct Hostile;

impl about::Guest for Hostile {
    fn describe() -> about::Description {
        let settings = settings::read();
        if let Err(error) = commit("describe", &settings) {
            state::get("a denied call").map_or_else(|denied| panic!("{denied:?}, {error:?}"), |_| ());
        }
        about::Description {
            name: if settings.contains("describe:shout") { "HOSTILE!".into() } else { "hostile".into() },
            version: "0.1.0".into(),
            summary: "misbehaves on command".into(),
            filesystem: "none".into(),
            network_modes: vec!["host".into()],
            attributes: Vec::new(),
        }
    }

    fn config_schema() -> String {
        if settings::read().contains("schema:text") { "true story".into() } else { r#"{"type":"object"}"#.into() }
    }

    fn settings_schema() -> String {
        r#"{"type":"object","properties":{"level":{"type":"integer"}}}"#.into()
    }

    fn fingerprint() -> about::FingerprintResult {
        let health = match commit("fingerprint", &settings::read()) {
            Ok(()) => about::Health::Healthy,
            Err(error) => about::Health::Unhealthy(format!("{error:?}")),
        };
        let attribute = |key: &str| KeyValue { key: key.into(), value: "1".into() };
        let attributes = ["driver.hostile", "driver.hostile.level", "driver.docker", "driver.hostiles", "kernel.name"];
        about::FingerprintResult { health, attributes: attributes.map(attribute).into() }
    }
}

impl lifecycle::Guest for Hostile {
    fn start(task: Task) -> Result<Started, StartError> {
        let for_good = |reason| StartError { reason, recoverable: false };
        commit("start", &task.config).map_err(for_good)?;
        if task.config.contains("start:create") {
            let container = wish::grant(&task.config).map_err(for_good)?;
            return Ok(Started { handle: container.clone().into(), watch: Watch::Container(container), network: None });
        }
        let process = processes::spawn(&process(&task)).map_err(for_good)?;
        let mut handle = task.config.clone().into_bytes();
        if task.config.contains("start:large-handle") {
            handle.resize((64 << 10) + 1, b' ');
        }
        let watch = match task.config.contains("start:watch-the-weather") {
            true => Watch::Other("weather".into()),
            false => Watch::Process(process),
        };
        Ok(Started { handle, watch, network: None })
    }

    fn recover(task: Task, handle: Vec<u8>) -> Result<Started, Error> {
        commit("recover", &text(&handle))?;
        let own = processes::list_own()?.pop();
        let process = own.ok_or_else(|| Error::NotFound(format!("no process of {}", task.identity.id)))?;
        Ok(Started { handle, watch: Watch::Process(process.id), network: None })
    }

    fn stop(_task: TaskRef, handle: Vec<u8>, request: lifecycle::StopRequest) -> Result<(), Error> {
        commit("stop", &text(&handle))?;
        let stop = |own: processes::Process| processes::stop(&own.id, request.signal.as_deref(), request.grace_ms);
        processes::list_own()?.into_iter().try_for_each(stop)
    }

    fn destroy(_task: TaskRef, handle: Option<Vec<u8>>) -> Result<(), Error> {
        commit("destroy", &text(&handle.unwrap_or_default()))?;
        processes::list_own()?.into_iter().try_for_each(|own| processes::remove(&own.id))
    }

    fn inspect(_task: TaskRef, handle: Vec<u8>) -> Result<lifecycle::TaskStatus, Error> {
        commit("inspect", &text(&handle))?;
        let state = processes::list_own()?.pop().map_or(RunState::Created, |own| own.state);
        Ok(lifecycle::TaskStatus { state, attributes: Vec::new() })
    }
}

impl signals::Guest for Hostile {
    fn send(_task: TaskRef, handle: Vec<u8>, name: String) -> Result<(), Error> {
        commit("send", &text(&handle))?;
        processes::list_own()?.into_iter().try_for_each(|own| processes::signal(&own.id, &name))
    }
}

impl poll::Guest for Hostile {
    fn check(_task: TaskRef, handle: Vec<u8>) -> Result<poll::Observation, Error> {
        commit("check", &text(&handle))?;
        let output = vec![poll::OutputChunk { stream_name: "stdout".into(), data: b"seen".to_vec() }];
        Ok(poll::Observation { state: RunState::Running, output, handle: None })
    }
}

fn text(handle: &[u8]) -> String {
    String::from_utf8_lossy(handle).into_owned()
}

fn process(task: &Task) -> processes::ProcessSpec {
    processes::ProcessSpec {
        name: task.identity.name.clone(),
        command: "/bin/true".into(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        user: None,
        limits: NO_LIMITS,
        isolation: None,
        options: Vec::new(),
    }
}
