//! The `wasm` driver: a task is a WebAssembly component, a command (`wasi:cli/run`) or an HTTP handler
//! (`wasi:http/incoming-handler`), run by the host in a sandboxed process that outlives the agent. It needs
//! neither an engine nor root.
//!
//! [`component`] turns a job's `config` into what the host is asked to run, and is tested natively; the rest
//! passes calls on.

pub mod component;

use longshore_sdk::{
    About, Description, Error, FingerprintResult, Health, Lifecycle, StartError, Started, StopRequest, Task, TaskRef,
    TaskStatus, Watch, config, env, handle, host::components,
};

/// The driver.
pub struct Wasm;

longshore_sdk::export!(Wasm);

impl About for Wasm {
    fn describe() -> Description {
        Description {
            name: "wasm".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "WebAssembly components: commands and HTTP handlers".into(),
            filesystem: "none".into(),
            network_modes: ["host", "bridge", "none", "cni"].map(String::from).into(),
            attributes: Vec::new(),
        }
    }

    fn config_schema() -> String {
        include_str!("config.schema.json").into()
    }

    fn settings_schema() -> String {
        r#"{"type": "object", "additionalProperties": false, "properties": {}}"#.into()
    }

    fn fingerprint() -> FingerprintResult {
        FingerprintResult { health: Health::Healthy, attributes: env::list([("driver.wasm", "1")]) }
    }
}

impl Lifecycle for Wasm {
    fn start(task: Task) -> Result<Started, StartError> {
        let config: component::Config = config::read(&task)?;
        let id = components::run(&component::spec(config, task)?)?;
        Ok(started(handle::encode(&id)?, id))
    }

    fn recover(_: Task, handle: Vec<u8>) -> Result<Started, Error> {
        let id: String = handle::decode(&handle)?;
        components::inspect(&id)?;
        Ok(started(handle, id))
    }

    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        components::stop(&handle::decode::<String>(&handle)?, request.grace_ms)
    }

    fn destroy(_: TaskRef, handle: Option<Vec<u8>>) -> Result<(), Error> {
        match handle {
            Some(handle) => components::remove(&handle::decode::<String>(&handle)?),
            None => {
                let removed: Vec<_> = components::list_own()?.iter().map(|left| components::remove(&left.id)).collect();
                removed.into_iter().collect()
            }
        }
    }

    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        let component = components::inspect(&handle::decode::<String>(&handle)?)?;
        Ok(TaskStatus { state: component.state, attributes: env::list([("pid", component.pid.to_string())]) })
    }
}

fn started(handle: Vec<u8>, id: String) -> Started {
    Started { handle, watch: Watch::Component(id), network: None }
}
