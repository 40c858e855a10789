//! The `raw_exec` driver: a task is a process of the machine, without isolation, as the agent's user or, where
//! the operator allows it, another.
//!
//! [`process`] turns a job's `config` into what the host is asked to spawn, and is tested natively.

pub mod process;

use longshore_sdk::{
    About, Description, Error, FingerprintResult, Task, config, env, host::processes::ProcessSpec, process::RunsProcess,
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
            attributes: env::list([("rehearsal", "start")]),
        }
    }

    fn config_schema() -> String {
        include_str!("config.schema.json").into()
    }

    fn settings_schema() -> String {
        r#"{"type": "object", "additionalProperties": false, "properties": {}}"#.into()
    }

    fn fingerprint() -> FingerprintResult {
        FingerprintResult::healthy(env::list([("driver.raw_exec", "1")]))
    }
}

impl RunsProcess for RawExec {
    fn process(task: Task) -> Result<ProcessSpec, Error> {
        process::spec(config::read(&task)?, task)
    }
}
