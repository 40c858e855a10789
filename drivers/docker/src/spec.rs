//! A task as the container the engine is asked for.

use longshore_sdk::{
    Error, Task, env,
    host::containers::{ContainerNetwork, ContainerSpec},
    inside,
};

use crate::{config::Config, image, mounts, network, options, ports, resources, settings::Settings};

/// What Nomad's labels begin with.
pub const LABEL_PREFIX: &str = "com.hashicorp.nomad.";
/// Labels the operator may ask for, and where each comes from in the task's origin.
const EXTRA_LABELS: [(&str, &str); 8] = [
    ("job_name", "job_name"),
    ("job_id", "job_id"),
    ("parent_job_id", "parent_job_id"),
    ("task_group_name", "group_name"),
    ("task_name", ""),
    ("namespace", "namespace"),
    ("node_name", "node_name"),
    ("node_id", "node_id"),
];

/// All that a container is made from.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The task's `config`.
    pub config: &'a Config,
    /// The task.
    pub task: &'a Task,
    /// What the operator wrote.
    pub settings: &'a Settings,
    /// CPUs of the machine; asked for only when they count.
    pub cpus: u32,
}

/// The whole container.
pub fn container(given: &Given) -> Result<ContainerSpec, Error> {
    let Given { config, task, settings, .. } = *given;
    let seen = |text: &String| inside::path(&task.directories, text);
    let network = network::choose(config.network_mode.as_deref(), &task.network)?;
    Ok(ContainerSpec {
        name: name(task),
        image: image::without_scheme(&config.image).into(),
        entrypoint: config.entrypoint.iter().map(seen).collect(),
        command: command(config)?.iter().map(seen).collect(),
        env: environment(config, task),
        working_dir: config.work_dir.as_ref().map(seen),
        user: task.user.clone(),
        hostname: hostname(config, &network)?,
        labels: labels(given),
        mounts: mounts::mounts(config, task, &settings.selinux_label)?,
        ports: ports::bindings(config, &task.ports, &network)?,
        limits: resources::limits(given)?,
        engine_options: options::document(given, &network)?,
        network,
    })
}

/// `<task>-<allocation id>`.
fn name(task: &Task) -> String {
    format!("{}-{}", task.identity.name.replace('/', "_"), task.identity.alloc_id)
}

fn command(config: &Config) -> Result<Vec<String>, Error> {
    let Some(command) = &config.command else { return Ok(config.args.clone()) };
    if command.is_empty() {
        return Ok(config.args.clone());
    }
    if command.trim().is_empty() {
        return Err(Error::invalid(format!("command empty: {command:?}")));
    }
    if command.trim() != command {
        return Err(Error::invalid(format!("command contains extra white space: {command:?}")));
    }
    Ok(std::iter::once(command).chain(&config.args).cloned().collect())
}

/// The task's environment with the directories as it sees them.
fn environment(config: &Config, task: &Task) -> Vec<longshore_sdk::KeyValue> {
    let mut all = inside::environment(task);
    for (key, value) in ports::environment(&config.port_map) {
        env::set(&mut all, &key, value);
    }
    all
}

fn hostname(config: &Config, network: &ContainerNetwork) -> Result<Option<String>, Error> {
    match &config.hostname {
        Some(name) if network::is_joined(network) => Err(Error::invalid(format!(
            "hostname {name:?}: a container in another's network has its host name; set `hostname` in the group's network block"
        ))),
        hostname => Ok(hostname.clone()),
    }
}

/// The task's own, the allocation, and what else of Nomad's the operator wants.
fn labels(given: &Given) -> Vec<longshore_sdk::KeyValue> {
    let Given { config, task, settings, .. } = *given;
    let mut all = env::list(config.labels.clone());
    env::set(&mut all, &format!("{LABEL_PREFIX}alloc_id"), &task.identity.alloc_id);
    for (name, key) in EXTRA_LABELS {
        if settings.extra_labels.iter().any(|pattern| matches(pattern, name)) {
            let value =
                if name == "task_name" { Some(task.identity.name.as_str()) } else { env::get(&task.origin, key) };
            if let Some(value) = value {
                env::set(&mut all, &format!("{LABEL_PREFIX}{name}"), value);
            }
        }
    }
    all
}

/// Whether a name fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = name.strip_prefix(first).and_then(|left| left.strip_suffix(last)) else { return false };
    middle.split('*').all(|part| {
        let found = left.split_once(part);
        left = found.map_or(left, |(_, after)| after);
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use longshore_sdk::{config, sample::task};

    use super::*;

    fn made(config: &str) -> Result<ContainerSpec, Error> {
        let (parsed, task) = (config::parse("config", config)?, task(config));
        container(&Given { config: &parsed, task: &task, settings: &Settings::default(), cpus: 2 })
    }

    #[test]
    fn a_usual_task() {
        let spec = made(
            r#"{"image": "https://redis:7", "command": "redis-server", "args": ["--dir", "/a/web/local/data"], "labels": {"a": "b"}}"#,
        )
        .unwrap();
        assert_eq!(spec.name, "web-a1");
        assert_eq!(spec.image, "redis:7");
        assert_eq!(spec.command, ["redis-server", "--dir", "/local/data"]);
        assert_eq!(env::get(&spec.env, "NOMAD_TASK_DIR"), Some("/local"));
        assert_eq!(env::get(&spec.env, "NOMAD_ALLOC_DIR"), Some("/alloc"));
        assert_eq!(env::get(&spec.env, "KEY"), Some("value"));
        assert_eq!(spec.labels, env::list([("a", "b"), ("com.hashicorp.nomad.alloc_id", "a1")]));
        assert_eq!((spec.limits.cpu_mhz, spec.limits.memory_mib), (500, 256));
        assert_eq!(spec.engine_options, None);
    }

    #[test]
    fn names_have_no_slash() {
        let mut odd = task("{}");
        odd.identity.name = "a/b".into();
        assert_eq!(name(&odd), "a_b-a1");
    }

    #[test]
    fn commands() {
        let table = [
            (r#"{"command": "ls"}"#, Ok(vec!["ls"])),
            (r#"{"args": ["-l"]}"#, Ok(vec!["-l"])),
            (r#"{"command": "ls -l", "args": ["x"]}"#, Ok(vec!["ls -l", "x"])),
            (r#"{"command": ""}"#, Ok(vec![])),
            (r#"{"command": " "}"#, Err("command empty: \" \"")),
            (r#"{"command": " ls"}"#, Err("command contains extra white space: \" ls\"")),
        ];
        for (config, expected) in table {
            let expected = expected.map(|list| list.into_iter().map(String::from).collect()).map_err(Error::invalid);
            assert_eq!(made(config).map(|spec| spec.command), expected, "{config}");
        }
    }

    #[test]
    fn a_mapped_port_is_told_to_the_task() {
        let mut task = task("{}");
        task.env.extend(env::list([("NOMAD_PORT_db", "20000")]));
        let config = Config { port_map: [("db".to_owned(), 6379)].into(), ..Config::default() };
        assert_eq!(env::get(&environment(&config, &task), "NOMAD_PORT_db"), Some("6379"));
    }

    #[test]
    fn a_joined_network_has_its_host_name() {
        assert!(made(r#"{"hostname": "a", "network_mode": "container:x"}"#).is_err());
        assert_eq!(made(r#"{"hostname": "a"}"#).unwrap().hostname.as_deref(), Some("a"));
    }

    #[test]
    fn extra_labels_are_named_or_matched() {
        let mut task = task("{}");
        task.origin = env::list([("job_id", "j"), ("job_name", "J"), ("group_name", "g"), ("node_id", "n")]);
        let told = |patterns: &[&str]| {
            let settings =
                Settings { extra_labels: patterns.iter().map(ToString::to_string).collect(), ..Settings::default() };
            let made = labels(&Given { config: &Config::default(), task: &task, settings: &settings, cpus: 2 });
            let names = made.iter().map(|label| label.key.strip_prefix(LABEL_PREFIX).unwrap().to_owned());
            names.collect::<Vec<_>>().join(" ")
        };
        let table: [(&[&str], &str); 6] = [
            (&[], "alloc_id"),
            (&["job_id"], "alloc_id job_id"),
            (&["job*"], "alloc_id job_name job_id"),
            (&["task_*"], "alloc_id task_group_name task_name"),
            (&["*_id", "nothing"], "alloc_id job_id node_id"),
            (&["ü*", "*é*id", "j*_*d"], "alloc_id job_id"),
        ];
        for (patterns, expected) in table {
            assert_eq!(told(patterns), expected, "{patterns:?}");
        }
    }
}
