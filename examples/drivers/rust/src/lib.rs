use longshore_sdk::host::{Limits, processes};
use longshore_sdk::*;

struct Shell;

#[derive(serde::Deserialize)]
struct Config {
    line: String,
}

impl About for Shell {
    fn describe() -> Description {
        Description {
            name: "shell".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Runs a line of shell".into(),
            filesystem: "none".into(),
            network_modes: vec!["host".into()],
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
        FingerprintResult { health: Health::Healthy, attributes: env::list([("driver.shell", "1")]) }
    }
}

impl Lifecycle for Shell {
    fn start(task: Task) -> Result<Started, StartError> {
        let config: Config = config::read(&task)?;
        let id = processes::spawn(&processes::ProcessSpec {
            name: task.identity.name,
            command: "/bin/sh".into(),
            args: vec!["-c".into(), config.line],
            env: task.env,
            working_dir: None,
            user: task.user,
            limits: Limits { memory_mib: task.resources.memory_mib, ..Limits::default() },
            isolation: None,
            options: vec![],
        })?;
        Ok(started(id))
    }
    fn recover(_: Task, handle: Vec<u8>) -> Result<Started, Error> {
        let id: String = handle::decode(&handle)?;
        processes::inspect(&id)?;
        Ok(started(id))
    }
    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        processes::stop(&handle::decode::<String>(&handle)?, request.signal.as_deref(), request.grace_ms)
    }
    fn destroy(_: TaskRef, _: Option<Vec<u8>>) -> Result<(), Error> {
        processes::list_own()?.iter().try_for_each(|process| processes::remove(&process.id))
    }
    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        let process = processes::inspect(&handle::decode::<String>(&handle)?)?;
        Ok(TaskStatus { state: process.state, attributes: env::list([("pid", process.pid.to_string())]) })
    }
}

fn started(id: String) -> Started {
    Started { handle: handle::encode(&id).unwrap_or_default(), watch: Watch::Process(id), network: None }
}

export!(Shell);
