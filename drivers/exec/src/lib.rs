//! The `exec` driver: a task is a process with a root directory of its own, which is the task's directory with the
//! host's programs and libraries in it, read-only; it sees its own processes only, has few capabilities and limits of
//! its own, and runs as `nobody` unless the job says otherwise. In a bridge group it has the group's network.
//!
//! What that means call by call is [`longshore_sdk::chroot`], which the `java` driver shares; the host does it.

use longshore_sdk::{
    About, Description, Error, FingerprintResult, Task,
    chroot::{self, Settings},
    config, env,
    host::processes::ProcessSpec,
    process::RunsProcess,
};
use serde::Deserialize;

/// The driver.
pub struct Exec;

longshore_sdk::export!(Exec with signals, exec);

/// The `config` block of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Program: a path inside, or a name looked up in `PATH`.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// How it is kept apart.
    #[serde(flatten)]
    pub chroot: chroot::Config,
}

impl About for Exec {
    fn describe() -> Description {
        Description {
            name: "exec".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Processes kept apart from the machine and from each other".into(),
            filesystem: "chroot".into(),
            network_modes: ["host", "bridge", "none", "cni"].map(String::from).into(),
            attributes: env::list([("rehearsal", "start")]),
        }
    }

    fn config_schema() -> String {
        include_str!("config.schema.json").into()
    }

    fn settings_schema() -> String {
        chroot::SETTINGS_SCHEMA.into()
    }

    fn fingerprint() -> FingerprintResult {
        FingerprintResult { health: chroot::health(), attributes: env::list([("driver.exec", "1")]) }
    }
}

impl RunsProcess for Exec {
    fn process(task: Task) -> Result<ProcessSpec, Error> {
        process(&config::settings()?, task)
    }
}

fn process(settings: &Settings, task: Task) -> Result<ProcessSpec, Error> {
    let Config { command, args, chroot } = config::read(&task)?;
    if command.trim().is_empty() {
        return Err(Error::invalid("command is required for exec driver"));
    }
    chroot::process(&chroot, settings, task, &command, &args)
}

#[cfg(test)]
mod tests {
    use longshore_sdk::sample;

    use super::*;

    #[test]
    fn a_command_becomes_a_process_of_its_own_root() {
        let text = r#"{"command": "cat", "args": ["/etc/hostname"], "pid_mode": "host", "cap_drop": ["all"]}"#;
        let spec = process(&Settings::default(), sample::task(text)).unwrap();
        assert_eq!((spec.command.as_str(), spec.args), ("cat", vec!["/etc/hostname".to_owned()]));
        let isolation = spec.isolation.unwrap();
        assert_eq!((isolation.namespaces.join(" "), isolation.capabilities), ("mount ipc".into(), Some(Vec::new())));
    }

    #[test]
    fn a_command_is_needed() {
        let made = process(&Settings::default(), sample::task("{}"));
        assert_eq!(made.unwrap_err(), Error::invalid("command is required for exec driver"));
    }

    #[test]
    fn the_schema_is_json_and_knows_each_key() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("config.schema.json")).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["command", "args", "work_dir", "pid_mode", "ipc_mode", "cap_add", "cap_drop"]);
    }
}
