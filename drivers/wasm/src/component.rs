//! A task as the component the host is asked to run.

use longshore_sdk::{
    Error, Port, Task,
    host::{
        Limits, Mount,
        components::{ComponentKind, ComponentSpec},
    },
    inside, limits,
};
use serde::Deserialize;

/// The `config` block of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The component's file: of the allocation (`local/app.wasm`, `alloc/app.wasm`) or an absolute path.
    pub component: String,
    /// What it is.
    pub kind: Kind,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Label of the port an HTTP handler is served on; may be left out when there is only one.
    pub listen: Option<String>,
    /// Whether it may open connections.
    pub allow_outbound: bool,
    /// `source:target[:ro|rw]`, directories it may open. `/alloc`, `/local` and `/secrets` are always there.
    pub mounts: Vec<String>,
}

/// What a component is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Runs until it returns.
    #[default]
    Command,
    /// Answers HTTP requests.
    Http,
}

/// The component.
pub fn spec(config: Config, task: Task) -> Result<ComponentSpec, Error> {
    if config.component.is_empty() {
        return Err(Error::invalid("config.component names no file"));
    }
    let seen = |arg: &String| inside::path(&task.directories, arg);
    Ok(ComponentSpec {
        name: task.identity.name.clone(),
        listen_address: listen_address(&config, &task)?,
        kind: match config.kind {
            Kind::Command => ComponentKind::Command,
            Kind::Http => ComponentKind::HttpProxy,
        },
        args: std::iter::once(task.identity.name.clone()).chain(config.args.iter().map(seen)).collect(),
        env: inside::environment(&task),
        mounts: mounts(&config, &task)?,
        path: config.component,
        allow_outbound: config.allow_outbound,
        limits: Limits { memory_mib: task.resources.memory_mib, ..limits::cpu(&task.resources) },
    })
}

fn listen_address(config: &Config, task: &Task) -> Result<Option<String>, Error> {
    let chosen = match (&config.kind, &config.listen, &task.ports[..]) {
        (Kind::Command, None, _) => return Ok(None),
        (Kind::Command, Some(_), _) => {
            return Err(Error::invalid("config.listen is for kind = \"http\"; a command opens no port"));
        }
        (Kind::Http, Some(label), ports) => ports
            .iter()
            .find(|port| port.label == *label)
            .ok_or_else(|| Error::invalid(format!("config.listen: port {label:?} not found, check network block")))?,
        (Kind::Http, None, [only]) => only,
        (Kind::Http, None, []) => {
            return Err(Error::invalid("an http component needs a port: add one to the group's network block"));
        }
        (Kind::Http, None, _) => {
            return Err(Error::invalid("config.listen: the group has several ports, name the one to serve on"));
        }
    };
    Ok(Some(address(chosen, task)))
}

/// In the host's network the host's number; inside a namespace all addresses and the number inside.
fn address(port: &Port, task: &Task) -> String {
    let (ip, number) = match task.network.namespace_path {
        Some(_) => ("0.0.0.0", port.task_port),
        None => (port.host_ip.as_str(), port.host_port),
    };
    if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }
}

fn mounts(config: &Config, task: &Task) -> Result<Vec<Mount>, Error> {
    let mut all = vec![inside::bind(&task.directories.alloc, inside::ALLOC_DIR)];
    all.extend(inside::own(&task.directories));
    all.extend(task.mounts.iter().cloned());
    for entry in &config.mounts {
        all.push(mount(entry, &task.directories.task)?);
    }
    Ok(all)
}

fn mount(entry: &str, task_directory: &str) -> Result<Mount, Error> {
    let (source, target, read_only) = match entry.split(':').collect::<Vec<_>>()[..] {
        [source, target] | [source, target, "rw"] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        _ => {
            return Err(Error::invalid(format!("config.mounts: {entry:?} is not source:target, with :ro or :rw")));
        }
    };
    if source.starts_with('/') {
        return Ok(Mount { read_only, ..inside::bind(source, target) });
    }
    let source = format!("{}/{source}", task_directory.trim_end_matches('/'));
    Ok(Mount { read_only, ..inside::bind(&source, target) })
}

#[cfg(test)]
mod tests {
    use longshore_sdk::{config, env, host::Protocol, sample};

    use super::*;

    fn port(label: &str, host_port: u16, task_port: u16) -> Port {
        Port { label: label.into(), host_ip: "127.0.0.1".into(), host_port, task_port, protocol: Protocol::Both }
    }

    fn task(ports: Vec<Port>) -> Task {
        Task { ports, ..sample::task("{}") }
    }

    fn made(text: &str, task: Task) -> Result<ComponentSpec, Error> {
        spec(config::parse("config", text)?, task)
    }

    #[test]
    fn where_a_handler_is_served() {
        let one = || vec![port("http", 20000, 80)];
        let two = || vec![port("http", 20000, 80), port("admin", 20001, 81)];
        let table = [
            (r#"{"component": "local/a.wasm"}"#, one(), Ok(None)),
            (r#"{"component": "a", "kind": "http"}"#, one(), Ok(Some("127.0.0.1:20000"))),
            (r#"{"component": "a", "kind": "http", "listen": "admin"}"#, two(), Ok(Some("127.0.0.1:20001"))),
            (r#"{"component": "a", "kind": "http"}"#, two(), Err("several ports")),
            (r#"{"component": "a", "kind": "http"}"#, vec![], Err("needs a port")),
            (r#"{"component": "a", "kind": "http", "listen": "x"}"#, one(), Err("port \"x\" not found")),
            (r#"{"component": "a", "listen": "http"}"#, one(), Err("a command opens no port")),
            ("{}", one(), Err("names no file")),
        ];
        for (text, ports, expected) in table {
            match (made(text, task(ports)), expected) {
                (Ok(spec), Ok(address)) => assert_eq!(spec.listen_address.as_deref(), address, "{text}"),
                (Err(error), Err(words)) => assert!(error.text().contains(words), "{text}: {error:?}"),
                (made, expected) => panic!("{text}: {made:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn inside_a_namespace_the_inner_number_counts() {
        let mut task = task(vec![port("http", 20000, 80)]);
        task.network.namespace_path = Some("/run/netns/x".into());
        let spec = made(r#"{"component": "a", "kind": "http"}"#, task).unwrap();
        assert_eq!(spec.listen_address.as_deref(), Some("0.0.0.0:80"));
    }

    #[test]
    fn the_rest() {
        let text = r#"{"component": "local/a.wasm", "args": ["-v"], "mounts": ["local/www:/www:ro", "/srv:/srv"]}"#;
        let spec = made(text, task(vec![])).unwrap();
        assert_eq!((spec.path.as_str(), &spec.kind), ("local/a.wasm", &ComponentKind::Command));
        assert_eq!(spec.args, ["web", "-v"]);
        assert_eq!(env::get(&spec.env, "NOMAD_TASK_DIR"), Some("/local"));
        assert_eq!(spec.limits.memory_mib, 256);
        let www = Mount { read_only: true, ..inside::bind("/a/web/local/www", "/www") };
        assert_eq!(spec.mounts[3..], [www, inside::bind("/srv", "/srv")]);
        assert!(made(r#"{"component": "a", "mounts": ["x"]}"#, task(vec![])).is_err());
    }

    #[test]
    fn the_schema_is_json_and_knows_each_key() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("config.schema.json")).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["component", "kind", "args", "listen", "allow_outbound", "mounts"]);
    }
}
