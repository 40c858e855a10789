//! A task as the container the engine is asked for.

use longshore_sdk::{
    Error, Task, env,
    host::containers::{ContainerNetwork, ContainerSpec},
};

use crate::{config::Config, image, mounts, network, options, ports, resources};

/// Label on every container: the allocation, as Nomad writes it.
const LABEL_ALLOC_ID: &str = "com.hashicorp.nomad.alloc_id";

/// The whole container.
pub fn container(config: &Config, task: &Task) -> Result<ContainerSpec, Error> {
    let network = network::choose(config.network_mode.as_deref(), &task.network)?;
    Ok(ContainerSpec {
        name: name(task),
        image: image::without_scheme(&config.image).into(),
        entrypoint: config.entrypoint.clone(),
        command: command(config)?,
        env: environment(config, task),
        working_dir: config.work_dir.clone(),
        user: task.user.clone(),
        hostname: hostname(config, &network)?,
        labels: labels(config, task),
        mounts: mounts::mounts(config, task)?,
        ports: ports::bindings(config, &task.ports, &network)?,
        limits: resources::limits(config, &task.resources)?,
        engine_options: options::document(config, task, &network)?,
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
    let mut all = task.env.clone();
    env::set(&mut all, "NOMAD_ALLOC_DIR", mounts::ALLOC_DIR);
    env::set(&mut all, "NOMAD_TASK_DIR", mounts::LOCAL_DIR);
    env::set(&mut all, "NOMAD_SECRETS_DIR", mounts::SECRETS_DIR);
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

fn labels(config: &Config, task: &Task) -> Vec<longshore_sdk::KeyValue> {
    let mut all = env::list(config.labels.clone());
    env::set(&mut all, LABEL_ALLOC_ID, &task.identity.alloc_id);
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use longshore_sdk::{Directories, Resources, TaskNetwork, TaskRef, config};

    use super::*;

    /// A task `web` of allocation `a1`, in host mode.
    pub(crate) fn task(config: &str) -> Task {
        Task {
            identity: TaskRef { id: "a1/web".into(), name: "web".into(), alloc_id: "a1".into() },
            origin: vec![],
            config: config.into(),
            env: env::list([("NOMAD_TASK_DIR", "/a/web/local"), ("KEY", "value")]),
            user: None,
            resources: Resources {
                cpu_mhz: 500,
                cpu_cores: vec![],
                node_cpu_mhz: 4000,
                memory_mib: 256,
                memory_max_mib: 0,
            },
            ports: vec![],
            network: TaskNetwork { mode: "host".into(), namespace_path: None, holder_container: None, hostname: None },
            dns: None,
            directories: Directories {
                task: "/a/web".into(),
                alloc: "/a/alloc".into(),
                local: "/a/web/local".into(),
                secrets: "/a/web/secrets".into(),
            },
            mounts: vec![],
            devices: vec![],
        }
    }

    fn made(config: &str) -> Result<ContainerSpec, Error> {
        container(&config::parse("config", config)?, &task(config))
    }

    #[test]
    fn a_usual_task() {
        let spec = made(
            r#"{"image": "https://redis:7", "command": "redis-server", "args": ["--port", "1"], "labels": {"a": "b"}}"#,
        )
        .unwrap();
        assert_eq!(spec.name, "web-a1");
        assert_eq!(spec.image, "redis:7");
        assert_eq!(spec.command, ["redis-server", "--port", "1"]);
        assert_eq!(env::get(&spec.env, "NOMAD_TASK_DIR"), Some("/local"));
        assert_eq!(env::get(&spec.env, "NOMAD_ALLOC_DIR"), Some("/alloc"));
        assert_eq!(env::get(&spec.env, "KEY"), Some("value"));
        assert_eq!(spec.labels, env::list([("a", "b"), (LABEL_ALLOC_ID, "a1")]));
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
}
