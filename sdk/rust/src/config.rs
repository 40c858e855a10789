//! A task's `config` block, and the operator's settings, as structs.

use serde::de::DeserializeOwned;

use crate::{Error, Task, host};

/// Parses a task's `config`. The host has checked it against the driver's schema, so an error here means that
/// schema and struct disagree; it says where: `config.ports[1]: invalid type …`.
pub fn read<T: DeserializeOwned>(task: &Task) -> Result<T, Error> {
    parse("config", &task.config)
}

/// Reads the operator's settings for this driver; `{}` when nothing was written.
pub fn settings<T: DeserializeOwned>() -> Result<T, Error> {
    parse("settings", &host::settings::read())
}

/// Parses JSON; `root` is what the text is called in errors.
pub fn parse<T: DeserializeOwned>(root: &str, json: &str) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let place = match error.path().to_string().as_str() {
            "." => root.to_string(),
            path if path.starts_with('[') => format!("{root}{path}"),
            path => format!("{root}.{path}"),
        };
        Error::invalid(format!("{place}: {}", without_position(&error.inner().to_string())))
    })
}

/// A line and column of the host's JSON mean nothing to the author of an HCL file.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(rename = "numbers")]
        _numbers: Vec<u8>,
    }

    #[test]
    fn errors_say_where() {
        let table = [
            (r#"{"numbers": [1, "x"]}"#, "config.numbers[1]: invalid type: string \"x\", expected u8"),
            (r#"{"numbers": [], "other": 1}"#, "config.other: unknown field `other`, expected `numbers`"),
            ("{}", "config: missing field `numbers`"),
        ];
        for (json, expected) in table {
            assert_eq!(parse::<Sample>("config", json).unwrap_err().text(), expected);
        }
    }
}
