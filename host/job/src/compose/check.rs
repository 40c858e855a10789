//! Health checks: the engine makes them, as it does for Compose.

use serde_json::Value;

use super::Import;
use super::value::{Fields, list_attribute, quoted, text, texts};

/// Keys that are carried; others are noted.
const KNOWN: [&str; 6] = ["disable", "interval", "retries", "start_period", "test", "timeout"];
/// Of them, those with a duration.
const DURATIONS: [&str; 3] = ["interval", "timeout", "start_period"];

impl Import {
    /// The block to write in a task's `config`.
    pub(super) fn health(&mut self, name: &str, service: &Fields) -> String {
        let Some(Value::Object(health)) = service.get("healthcheck") else { return String::new() };
        let words = match health.get("test") {
            Some(Value::String(line)) => vec!["CMD-SHELL".into(), line.clone()],
            list => texts(list),
        };
        for key in health.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
            self.note(name, format!("healthcheck.{key}: not carried over"));
        }
        let disabled = health.get("disable") == Some(&Value::Bool(true));
        if disabled || words.first().is_some_and(|kind| kind == "NONE") {
            return "healthchecks {\ndisable = true\n}\n".into();
        }
        let mut out = list_attribute("test", &words);
        for key in DURATIONS {
            if let Some(value) = text(health, key) {
                out.push_str(&format!("{key} = {}\n", quoted(&value)));
            }
        }
        if let Some(retries) = text(health, "retries") {
            out.push_str(&format!("retries = {retries}\n"));
        }
        if out.is_empty() { out } else { format!("healthchecks {{\n{out}}}\n") }
    }
}
