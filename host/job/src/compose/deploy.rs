//! What a service may use, and when it starts again.

use std::time::Duration;

use serde_json::Value;

use super::Import;
use super::value::{Fields, bytes, leaves, quoted, text};
use crate::model::{format_duration, parse_duration};

/// Parts of `deploy` that are looked at; the others are noted.
const KNOWN: [&str; 9] = [
    "deploy.mode",
    "deploy.replicas",
    "deploy.resources.limits.cpus",
    "deploy.resources.limits.memory",
    "deploy.resources.reservations.memory",
    "deploy.restart_policy.condition",
    "deploy.restart_policy.delay",
    "deploy.restart_policy.max_attempts",
    "deploy.restart_policy.window",
];

/// How often a service starts again that always does, and in what time.
const ALWAYS: (u64, Duration) = (10, Duration::from_secs(300));
/// Wait before it does, unless it says so itself.
const DELAY: Duration = Duration::from_secs(5);

impl Import {
    pub(super) fn deploy(&mut self, name: &str, service: &Fields) -> String {
        let mut left = Vec::new();
        leaves(service.get("deploy").unwrap_or(&Value::Null), "deploy", &mut left);
        for key in left.iter().filter(|key| !KNOWN.contains(&key.as_str())) {
            self.note(name, format!("{key}: not carried over"));
        }
        let deployed = |pointer: &str| service.get("deploy").and_then(|deploy| deploy.pointer(pointer));
        let count = deployed("/replicas").or(service.get("scale")).and_then(crate::hcl::convert::json_to_text);
        if let Some(count) = count.filter(|count| count != "1") {
            self.note(name, format!("{count} replicas: one is carried over; a group of its own has a count"));
        }
        if deployed("/mode").and_then(Value::as_str) == Some("global") {
            self.note(name, "deploy.mode global: not carried over; a job of type system says the same");
        }
        format!("{}{}", self.restart(name, service), self.resources(name, service))
    }

    fn restart(&mut self, name: &str, service: &Fields) -> String {
        if let Some(Value::Object(policy)) = service.get("deploy").and_then(|deploy| deploy.get("restart_policy")) {
            return self.restart_policy(name, policy);
        }
        let Some(policy) = text(service, "restart") else { return String::new() };
        match policy.split_once(':').unwrap_or((&policy, "")) {
            ("no", _) => restart(0, ALWAYS.1, DELAY, "fail"),
            ("always" | "unless-stopped", _) | ("on-failure", "") => restart(ALWAYS.0, ALWAYS.1, DELAY, "delay"),
            ("on-failure", most) if most.parse::<u64>().is_ok() => {
                restart(most.parse().unwrap_or_default(), ALWAYS.1, DELAY, "fail")
            }
            _ => {
                self.note(name, format!("restart {policy}: not carried over"));
                String::new()
            }
        }
    }

    fn restart_policy(&mut self, name: &str, policy: &Fields) -> String {
        let mut duration = |key: &str, default: Duration| match text(policy, key) {
            None => default,
            Some(given) => match parse_duration(&given).ok().and_then(|nanos| u64::try_from(nanos).ok()) {
                Some(nanos) => Duration::from_nanos(nanos),
                None => {
                    self.note(name, format!("deploy.restart_policy.{key} {given}: not a duration"));
                    default
                }
            },
        };
        let (delay, window) = (duration("delay", DELAY), duration("window", ALWAYS.1));
        if text(policy, "condition").as_deref() == Some("none") {
            return restart(0, window, delay, "fail");
        }
        match text(policy, "max_attempts").and_then(|most| most.parse().ok()) {
            Some(most) => restart(most, window, delay, "fail"),
            None => restart(ALWAYS.0, window, delay, "delay"),
        }
    }

    /// A reservation is what a task is promised, a limit what it may use beyond that.
    fn resources(&mut self, name: &str, service: &Fields) -> String {
        let deployed = |kind: &str| service.get("deploy").and_then(|d| d.pointer(&format!("/resources/{kind}")));
        if let Some(cpus) = deployed("limits/cpus").or(service.get("cpus")).and_then(crate::hcl::convert::json_to_text)
        {
            self.note(
                name,
                format!(
                    "cpus {cpus}: not carried over; resources.cpu is in MHz, with cpu_hard_limit in config a limit"
                ),
            );
        }
        let mut size = |value: Option<&Value>| {
            let given = value.and_then(crate::hcl::convert::json_to_text)?;
            let found = bytes(&given).map(|bytes| (bytes >> 20).max(10));
            if found.is_none() {
                self.note(name, format!("memory {given}: not a size"));
            }
            found
        };
        let limit = size(service.get("mem_limit").or(deployed("limits/memory")));
        let promise = size(service.get("mem_reservation").or(deployed("reservations/memory")));
        match (promise, limit) {
            (None, None) => String::new(),
            (None, Some(memory)) => format!("\nresources {{\nmemory = {memory}\n}}\n"),
            (Some(memory), limit) => {
                let most = limit.map_or("-1".into(), |limit| limit.max(memory).to_string());
                format!("\nresources {{\nmemory = {memory}\nmemory_max = {most}\n}}\n")
            }
        }
    }
}

fn restart(attempts: u64, interval: Duration, delay: Duration, mode: &str) -> String {
    // What waits longer than its interval could never use up its attempts.
    let least = delay.saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX));
    let interval = interval.max(Duration::from_secs(5)).max(least);
    let text = |duration: Duration| quoted(&format_duration(duration));
    format!(
        "\nrestart {{\nattempts = {attempts}\ninterval = {}\ndelay = {}\nmode = \"{mode}\"\n}}\n",
        text(interval),
        text(delay)
    )
}
