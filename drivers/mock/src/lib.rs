//! The `mock` driver: a task that does what its job file says and nothing else, to try out what becomes of tasks
//! that fail, linger or never start. Nomad's `mock_driver` has these knobs; those about its plugins are left out.
//!
//! The task is a shell that prints, sleeps and exits; starts fail before there is one.

use std::time::Duration;

use longshore_sdk::{
    About, Description, Error, FingerprintResult, StartError, Task, config, env,
    host::processes::{self, ProcessSpec},
    process::{self, TendsProcess},
};
use serde::{Deserialize, Deserializer, de};

/// Prints, waits and ends as the variables say. A stop is obeyed after `KILL_AFTER` seconds.
const SCRIPT: &str = include_str!("task.sh");

/// The driver.
pub struct Mock;

longshore_sdk::export!(Mock with signals);

/// The `config` block of a task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Error of the start.
    pub start_error: Option<String>,
    /// Whether another start may go better.
    pub start_error_recoverable: bool,
    /// How long a start takes; at most a minute.
    pub start_block_for: Span,
    /// How long the task runs; without it the task ends at once.
    pub run_for: Span,
    /// Its exit code.
    pub exit_code: u8,
    /// Signal it ends by, in place of a code.
    pub exit_signal: u8,
    /// How long it takes to obey a stop.
    pub kill_after: Span,
    /// Error of every signal.
    pub signal_error: Option<String>,
    /// What it prints.
    pub stdout_string: String,
    /// What it prints on standard error.
    pub stderr_string: String,
    /// How often it prints that again.
    pub stdout_repeat: u32,
    /// How long it waits in between.
    pub stdout_repeat_duration: Span,
}

/// A time as job files write it: `1.5s`, `200ms`, `2m`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let wrong = || de::Error::custom(format!("{text:?} is no time like 1.5s, 200ms or 2m"));
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| wrong())?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        Duration::try_from_secs_f64(number * seconds).map(Self).map_err(|_| wrong())
    }
}

impl Span {
    /// As `sleep` takes it.
    fn seconds(self) -> String {
        format!("{:.3}", self.0.as_secs_f64())
    }
}

impl About for Mock {
    fn describe() -> Description {
        Description {
            name: "mock".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Tasks that fail, linger and end as they are told".into(),
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
        FingerprintResult::healthy(env::list([("driver.mock", "1")]))
    }
}

impl TendsProcess for Mock {
    /// Error of every signal.
    type Note = Option<String>;

    fn prepare(task: Task) -> Result<(ProcessSpec, Option<String>), StartError> {
        let config: Config = config::read(&task)?;
        if !config.start_block_for.0.is_zero() {
            processes::run_command("sleep", &[config.start_block_for.seconds()], 60_000)?;
        }
        match &config.start_error {
            Some(error) => Err(StartError { reason: Error::other(error), recoverable: config.start_error_recoverable }),
            None => Ok((process(&config, task), config.signal_error)),
        }
    }

    fn signal(error: Option<String>, id: &str, name: &str) -> Result<(), Error> {
        error.map_or_else(|| processes::signal(id, name), |error| Err(Error::other(error)))
    }
}

fn process(config: &Config, task: Task) -> ProcessSpec {
    let mut spec = process::plain(task, "/bin/sh", vec!["-c".into(), SCRIPT.into()]);
    for (key, value) in [
        ("MOCK_STDOUT", config.stdout_string.clone()),
        ("MOCK_STDERR", config.stderr_string.clone()),
        ("MOCK_REPEAT", config.stdout_repeat.to_string()),
        ("MOCK_REPEAT_AFTER", config.stdout_repeat_duration.seconds()),
        ("MOCK_RUN_FOR", config.run_for.seconds()),
        ("MOCK_KILL_AFTER", config.kill_after.seconds()),
        ("MOCK_EXIT_CODE", config.exit_code.to_string()),
        ("MOCK_EXIT_SIGNAL", config.exit_signal.to_string()),
    ] {
        env::set(&mut spec.env, key, value);
    }
    spec
}

#[cfg(test)]
mod tests {
    use longshore_sdk::sample;

    use super::*;

    #[test]
    fn knobs_become_variables() {
        let text = r#"{"run_for": "1.5s", "exit_code": 3, "kill_after": "200ms", "stdout_string": "it's $HOME"}"#;
        let spec = process(&config::parse("config", text).unwrap(), sample::task(text));
        let told = ["MOCK_RUN_FOR", "MOCK_EXIT_CODE", "MOCK_KILL_AFTER", "MOCK_STDOUT"];
        let told = told.map(|key| env::get(&spec.env, key).unwrap());
        assert_eq!(told, ["1.500", "3", "0.200", "it's $HOME"]);
    }

    #[test]
    fn times() {
        for (text, expected) in [("\"2m\"", Some(120.0)), ("\"1h\"", Some(3600.0)), ("\"0s\"", Some(0.0))] {
            let span: Option<Span> = serde_json::from_str(text).ok();
            assert_eq!(span.map(|span| span.0.as_secs_f64()), expected, "{text}");
        }
        for text in ["\"\"", "\"5\"", "\"s\"", "\"-1s\"", "\"1d\"", "5", "\"99999999999999999999h\""] {
            assert!(serde_json::from_str::<Span>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_schema_is_json_and_knows_each_key() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("config.schema.json")).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let (starts, ends) = (["start_error", "start_error_recoverable", "start_block_for"], ["run_for", "exit_code"]);
        let speaks = ["stdout_string", "stderr_string", "stdout_repeat", "stdout_repeat_duration"];
        assert_eq!(keys, [&starts[..], &ends, &["exit_signal", "kill_after", "signal_error"], &speaks].concat());
    }
}
