//! The `raw_exec` driver: a task is a process of the machine, without isolation, as the agent's user or, where
//! the operator allows it, another.
//!
//! [`process`] turns a job's `config` into what the host is asked to spawn, and is tested natively; the rest
//! passes calls on. The host's supervisor outlives the agent, so recovery is one look.

pub mod process;

use longshore_sdk::{
    About, Description, Error, Exec, ExecRequest, FingerprintResult, Health, Lifecycle, Session, Signals, StartError,
    Started, StopRequest, Task, TaskRef, TaskStatus, Watch, config, env, handle, host::processes,
};

/// The driver.
pub struct RawExec;

longshore_sdk::export!(RawExec with signals, exec);

impl About for RawExec {
    fn describe() -> Description {
        Description {
            name: "raw_exec".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Processes of the machine, without isolation".into(),
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
        FingerprintResult { health: Health::Healthy, attributes: env::list([("driver.raw_exec", "1")]) }
    }
}

impl Lifecycle for RawExec {
    fn start(task: Task) -> Result<Started, StartError> {
        let config: process::Config = config::read(&task)?;
        let id = processes::spawn(&process::spec(config, task)?)?;
        Ok(started(handle::encode(&id)?, id))
    }

    fn recover(_: Task, handle: Vec<u8>) -> Result<Started, Error> {
        let id: String = handle::decode(&handle)?;
        processes::inspect(&id)?;
        Ok(started(handle, id))
    }

    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        processes::stop(&handle::decode::<String>(&handle)?, request.signal.as_deref(), request.grace_ms)
    }

    fn destroy(_: TaskRef, handle: Option<Vec<u8>>) -> Result<(), Error> {
        match handle {
            Some(handle) => processes::remove(&handle::decode::<String>(&handle)?),
            None => {
                let removed: Vec<_> = processes::list_own()?.iter().map(|left| processes::remove(&left.id)).collect();
                removed.into_iter().collect()
            }
        }
    }

    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        let process = processes::inspect(&handle::decode::<String>(&handle)?)?;
        Ok(TaskStatus { state: process.state, attributes: env::list([("pid", process.pid.to_string())]) })
    }
}

impl Signals for RawExec {
    fn send(_: TaskRef, handle: Vec<u8>, name: String) -> Result<(), Error> {
        processes::signal(&handle::decode::<String>(&handle)?, &name)
    }
}

impl Exec for RawExec {
    fn open(_: TaskRef, handle: Vec<u8>, request: ExecRequest) -> Result<Session, Error> {
        processes::prepare_exec(&handle::decode::<String>(&handle)?, &request).map(Session::Process)
    }
}

fn started(handle: Vec<u8>, id: String) -> Started {
    Started { handle, watch: Watch::Process(id), network: None }
}
