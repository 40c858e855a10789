//! Health checks, as checks of a service.
//!
//! The agent does not act on services yet and refuses them, so they are written as comments.

use serde_json::Value;

use super::Import;
use super::value::{Fields, list, quoted, text, texts};

impl Import {
    /// What to write in the task and in its `config`.
    pub(super) fn health(&mut self, name: &str, service: &Fields, ports: &[String]) -> (String, String) {
        let Some(Value::Object(health)) = service.get("healthcheck") else { return Default::default() };
        let test = health.get("test");
        let words = texts(test);
        let kind = words.first().map(String::as_str);
        if health.get("disable") == Some(&Value::Bool(true)) || kind == Some("NONE") {
            return (String::new(), "healthchecks {\ndisable = true\n}\n".into());
        }
        let (shell, command) = match (test, kind) {
            (Some(Value::String(line)), _) => (Some(line.clone()), Vec::new()),
            (_, Some("CMD-SHELL")) => (words.get(1).cloned(), Vec::new()),
            (_, Some("CMD")) => (None, words[1..].to_vec()),
            _ => {
                self.note(name, "healthcheck: without a test it is the image's own");
                return Default::default();
            }
        };
        for key in health.keys().filter(|key| !["test", "interval", "timeout", "retries"].contains(&key.as_str())) {
            self.note(name, format!("healthcheck.{key}: not carried over"));
        }
        self.note(name, "healthcheck: written as a comment; checks of services are not acted on yet");
        let line = shell.clone().unwrap_or_else(|| command.join(" "));
        let check = match request(&line) {
            Some(request) => request.check(ports),
            None => script(shell, command),
        };
        let of = |key: &str| text(health, key).unwrap_or_else(|| "30s".into());
        let retries = text(health, "retries").map(|retries| format!("    failures_before_critical = {retries}\n"));
        let block = format!(
            "service {{\n  check {{\n{check}    interval = {}\n    timeout = {}\n{}  }}\n}}\n",
            quoted(&of("interval")),
            quoted(&of("timeout")),
            retries.unwrap_or_default()
        );
        (block.lines().map(|line| format!("# {line}\n")).collect(), String::new())
    }
}

fn script(shell: Option<String>, command: Vec<String>) -> String {
    let command = shell.map_or(command, |line| vec!["/bin/sh".into(), "-c".into(), line]);
    let (first, rest) = command.split_first().map_or((String::new(), &[][..]), |(first, rest)| (first.clone(), rest));
    format!("    type = \"script\"\n    command = {}\n    args = {}\n", quoted(&first), list(rest))
}

/// A request to the service itself over HTTP.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    protocol: &'static str,
    port: u16,
    path: String,
}

impl Request {
    fn check(&self, ports: &[String]) -> String {
        let Self { protocol, port, path } = self;
        let label = ports.iter().find(|label| label.ends_with(&format!("-{port}")));
        let port = match label {
            Some(label) => format!("    port = {}\n", quoted(label)),
            None => format!("    port = \"{port}\"\n    address_mode = \"alloc\"\n"),
        };
        format!("    type = \"http\"\n    protocol = \"{protocol}\"\n{port}    path = {}\n", quoted(path))
    }
}

/// `curl -f http://localhost:8080/health || exit 1`, or with wget.
fn request(line: &str) -> Option<Request> {
    let mut words = line.split_whitespace();
    let tool = words.next()?;
    if !["curl", "wget"].contains(&tool.rsplit('/').next()?) {
        return None;
    }
    let url = words.map(|word| word.trim_matches(['"', '\''])).find(|word| word.contains("://"))?;
    let (scheme, rest) = url.split_once("://")?;
    let (protocol, usual) = match scheme {
        "http" => ("http", 80),
        "https" => ("https", 443),
        _ => return None,
    };
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = place.split_once(':').unwrap_or((place, ""));
    if !["localhost", "127.0.0.1", "0.0.0.0"].contains(&host) {
        return None;
    }
    let port = if port.is_empty() { usual } else { port.parse().ok()? };
    Some(Request { protocol, port, path: format!("/{path}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_oneself_are_recognised() {
        let http = |port, path: &str| Some(Request { protocol: "http", port, path: path.into() });
        for (line, expected) in [
            ("curl -f http://localhost:8080/health || exit 1", http(8080, "/health")),
            ("wget -qO- http://127.0.0.1", http(80, "/")),
            ("/usr/bin/curl --fail 'http://localhost/a?b=c'", http(80, "/a?b=c")),
            ("curl https://localhost/", Some(Request { protocol: "https", port: 443, path: "/".into() })),
            ("curl http://elsewhere/", None),
            ("curl http://localhost:x/", None),
            ("pg_isready -U postgres", None),
            ("", None),
        ] {
            assert_eq!(request(line), expected, "{line}");
        }
    }
}
