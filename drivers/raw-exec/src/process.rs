//! A task as the process the host is asked for.

use longshore_sdk::{Error, Task, host::processes::ProcessSpec, process};
use serde::Deserialize;

/// The `config` block of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Program: absolute, relative to the task's directory (`local/app`), or a name looked up in `PATH`.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Working directory, absolute or relative to the task's directory.
    pub work_dir: Option<String>,
}

/// The process, with as few limits as jobs written for `raw_exec` expect.
pub fn spec(config: Config, task: Task) -> Result<ProcessSpec, Error> {
    if config.command.trim().is_empty() {
        return Err(Error::invalid("command is required for raw_exec driver"));
    }
    let below = |path: &str| format!("{}/{path}", task.directories.task.trim_end_matches('/'));
    // A bare name is looked up in PATH; a path with a `/` is a file.
    let is_file = config.command.contains('/') && !config.command.starts_with('/');
    let command = if is_file { below(config.command.trim_start_matches("./")) } else { config.command };
    let working_dir = config.work_dir.filter(|path| !path.is_empty());
    let working_dir = working_dir.map(|path| if path.starts_with('/') { path } else { below(&path) });
    Ok(ProcessSpec { working_dir, ..process::plain(task, command, config.args) })
}

#[cfg(test)]
mod tests {
    use longshore_sdk::{config, env, sample};

    use super::*;

    fn task() -> Task {
        let task = sample::task("{}");
        Task { env: env::list([("PATH", "/bin")]), user: Some(String::new()), ..task }
    }

    #[test]
    fn commands_and_directories() {
        let table = [
            (r#"{"command": "sleep", "args": ["1"]}"#, "sleep", None),
            (r#"{"command": "/bin/sleep"}"#, "/bin/sleep", None),
            (r#"{"command": "local/app"}"#, "/a/web/local/app", None),
            (r#"{"command": "./local/app"}"#, "/a/web/local/app", None),
            (r#"{"command": "x", "work_dir": "local"}"#, "x", Some("/a/web/local")),
            (r#"{"command": "x", "work_dir": "/tmp"}"#, "x", Some("/tmp")),
        ];
        for (text, command, directory) in table {
            let made = spec(config::parse("config", text).unwrap(), task()).unwrap();
            assert_eq!((made.command.as_str(), made.working_dir.as_deref()), (command, directory), "{text}");
        }
    }

    #[test]
    fn the_rest_is_passed_on() {
        let made = spec(Config { command: "x".into(), ..Config::default() }, task()).unwrap();
        assert_eq!((made.name.as_str(), made.user, made.isolation), ("web", None, None));
        assert_eq!(made.env, env::list([("PATH", "/bin")]));
        assert_eq!((made.limits.cpu_mhz, made.limits.memory_mib), (500, 0));
    }

    #[test]
    fn a_command_is_needed() {
        assert!(matches!(spec(Config::default(), task()), Err(Error::Invalid(_))));
    }

    #[test]
    fn the_schema_is_json_and_knows_each_key() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("config.schema.json")).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["command", "args", "work_dir"]);
    }
}
