//! What a Nomad client's configuration says of its Docker driver, in its own words: `plugin "docker" {}`, and
//! the older `docker.…` keys of `client { options {} }`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use longshore_core::policy::Policy;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Config, Driver,
    engine::{Auth, ContainerEngine, DanglingContainers, Gc, Tls, duration},
};

/// Modes Docker knows for each of the namespaces of `allowed_modes`.
const MODES: [(&str, &[&str]); 4] = [
    ("pid", &["private", "host", "container:"]),
    ("ipc", &["none", "private", "shareable", "host", "container:"]),
    ("userns", &["private", "host"]),
    ("uts", &["private", "host"]),
];

/// The older word for `plugin "raw_exec" { config { enabled } }`.
const RAW_EXEC: &str = "driver.raw_exec.enable";

/// `plugin "<name>" {}`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    docker: Option<Plugin<Docker>>,
    raw_exec: Option<Plugin<RawExec>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Plugin<T: Default> {
    config: T,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawExec {
    enabled: bool,
}

/// `client {}`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// Settings of drivers, as they were written before there were plugins.
    options: BTreeMap<String, String>,
    /// Processors that tasks can have for themselves.
    reservable_cores: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Docker {
    endpoint: Option<String>,
    auth: Auth,
    tls: Option<Tls>,
    extra_labels: Vec<String>,
    logging: Option<Value>,
    gc: PluginGc,
    volumes: Volumes,
    allow_privileged: bool,
    allow_caps: Option<Vec<String>>,
    allow_runtimes: Option<Vec<String>>,
    nvidia_runtime: Option<String>,
    infra_image: Option<String>,
    /// The built-in image is not pulled.
    #[serde(deserialize_with = "duration")]
    infra_image_pull_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    image_pull_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pull_activity_timeout: Option<Duration>,
    /// A leftover container is always replaced.
    container_exists_attempts: Option<u32>,
    pids_limit: Option<u32>,
    oom_score_adj: Option<i32>,
    disable_log_collection: bool,
    allowed_modes: BTreeMap<String, Vec<String>>,
    windows_allow_insecure_container_admin: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PluginGc {
    image: Option<bool>,
    #[serde(deserialize_with = "duration")]
    image_delay: Option<Duration>,
    container: Option<bool>,
    dangling_containers: DanglingContainers,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Volumes {
    enabled: bool,
    selinuxlabel: String,
}

/// Puts what is said in Nomad's words where our own blocks would have it.
pub fn translate(config: &mut Config) -> Result<(), String> {
    let plugins = std::mem::take(&mut config.plugin);
    if let Some(raw_exec) = plugins.raw_exec {
        config.driver.entry("raw_exec".into()).or_default().enabled = Some(raw_exec.config.enabled);
    }
    let Client { options, reservable_cores } = std::mem::take(&mut config.client);
    if let Some(value) = options.get(RAW_EXEC) {
        config.driver.entry("raw_exec".into()).or_default().enabled = Some(flag(RAW_EXEC, value)?);
    }
    if let Some(cores) = reservable_cores
        && config.reservable_cores.replace(cores).is_some()
    {
        return Err("reservable_cores: write it at the top or in `client`, as in Nomad, not both".into());
    }
    let docker = match (plugins.docker, from_options(&options)?) {
        (Some(_), Some(_)) => return Err("docker: use either plugin \"docker\" or client.options, not both".into()),
        (Some(plugin), None) => plugin.config,
        (None, Some(docker)) => docker,
        (None, None) => return Ok(()),
    };
    if config.docker != ContainerEngine::default() || config.driver.contains_key("docker") {
        return Err(
            "docker: use either plugin \"docker\" as in Nomad, or the blocks `docker` and `driver`, not both".into()
        );
    }
    config.driver.insert("docker".into(), driver(&docker)?);
    config.docker = engine(docker);
    Ok(())
}

fn engine(docker: Docker) -> ContainerEngine {
    ContainerEngine {
        endpoint: docker.endpoint,
        tls: docker.tls,
        auth: docker.auth,
        gc: Gc {
            image: docker.gc.image,
            image_delay: docker.gc.image_delay,
            dangling_containers: docker.gc.dangling_containers,
        },
        image_pull_timeout: docker.image_pull_timeout,
        pull_activity_timeout: docker.pull_activity_timeout,
        disable_log_collection: docker.disable_log_collection,
    }
}

fn driver(docker: &Docker) -> Result<Driver, String> {
    let mut settings = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            settings.insert(key.into(), value);
        }
    };
    set("extra_labels", json!(docker.extra_labels));
    set("logging", json!(docker.logging));
    set("gc", json!({"container": docker.gc.container.unwrap_or(true)}));
    set("infra_image", json!(docker.infra_image));
    set("pids_limit", json!(docker.pids_limit));
    set("oom_score_adj", json!(docker.oom_score_adj));
    set("selinux_label", json!(docker.volumes.selinuxlabel));
    Ok(Driver { policy: policy(docker)?, config: Some(settings.into()), ..Driver::default() })
}

fn policy(docker: &Docker) -> Result<Policy, String> {
    let usual = Policy::default();
    let nvidia = docker.nvidia_runtime.clone().unwrap_or_else(|| "nvidia".into());
    let runtimes = docker.allow_runtimes.clone().unwrap_or_else(|| vec!["runc".into(), nvidia]);
    // Nomad asks nobody about the cgroup namespace, devices, security options, profiles, log drivers and OOM scores.
    let mut namespaces: BTreeSet<_> = ["cgroup".to_owned()].into();
    for (kind, patterns) in &docker.allowed_modes {
        let known = MODES.iter().find(|(name, _)| name == kind);
        let (_, modes) =
            known.ok_or_else(|| format!("docker: allowed_modes has no {kind:?}; it has pid, ipc, userns, uts"))?;
        for pattern in patterns {
            // The part before a `*` must be able to become a mode.
            let fixed = pattern.split('*').next().unwrap_or_default();
            if pattern.is_empty() || !modes.iter().any(|mode| mode.starts_with(fixed) || fixed.starts_with(mode)) {
                return Err(format!(
                    "cannot apply allowed_modes configuration, {pattern:?} is not a valid {kind}_mode"
                ));
            }
            let name = if kind == "userns" { "user" } else { kind };
            namespaces.insert(format!("{name}:{pattern}"));
        }
    }
    if docker.allow_privileged {
        namespaces.extend(["pid:*", "ipc:*", "user:*", "uts:*"].map(String::from));
    }
    Ok(Policy {
        allow_privileged: docker.allow_privileged,
        allow_volumes: docker.volumes.enabled,
        allow_host_binds: if docker.volumes.enabled { vec!["*".into()] } else { Vec::new() },
        allow_caps: docker.allow_caps.clone().map_or(usual.allow_caps, |caps| caps.into_iter().collect()),
        allow_runtimes: runtimes.into_iter().collect(),
        allow_host_namespaces: namespaces,
        allow_devices: vec!["*".into()],
        allow_security_opts: ["*".to_owned()].into(),
        allow_engine_keys: ["HostConfig.LogConfig", "HostConfig.OomScoreAdj"].map(String::from).into(),
        ..Policy::default()
    })
}

/// A yes or no in any of the words that Go knows.
fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("client.options: {key}: {value:?} is neither true nor false")),
    }
}

/// The `docker.…` keys, if there are any.
fn from_options(options: &BTreeMap<String, String>) -> Result<Option<Docker>, String> {
    let mut docker = None::<Docker>;
    for (key, value) in options.iter().filter(|(key, _)| key.starts_with("docker.")) {
        let docker = docker.get_or_insert_default();
        let flag = || flag(key, value);
        match key.as_str() {
            "docker.endpoint" => docker.endpoint = Some(value.clone()),
            "docker.auth.config" => docker.auth.config = Some(value.into()),
            "docker.auth.helper" => docker.auth.helper = Some(value.clone()),
            "docker.tls.ca" => docker.tls.get_or_insert_default().ca = value.into(),
            "docker.tls.cert" => docker.tls.get_or_insert_default().cert = Some(value.into()),
            "docker.tls.key" => docker.tls.get_or_insert_default().key = Some(value.into()),
            "docker.cleanup.image" => docker.gc.image = Some(flag()?),
            "docker.cleanup.image.delay" => {
                let ns = longshore_job::model::parse_duration(value).ok().and_then(|ns| u64::try_from(ns).ok());
                let ns = ns.ok_or_else(|| {
                    format!("client.options: {key}: failed to parse 'image_delay' duration {value:?}")
                })?;
                docker.gc.image_delay = Some(Duration::from_nanos(ns));
            }
            "docker.cleanup.container" => docker.gc.container = Some(flag()?),
            "docker.volumes.enabled" => docker.volumes.enabled = flag()?,
            "docker.volumes.selinuxlabel" => docker.volumes.selinuxlabel.clone_from(value),
            "docker.caps.allowlist" | "docker.caps.whitelist" => {
                docker.allow_caps = Some(value.split(',').map(|cap| cap.trim().to_owned()).collect());
            }
            "docker.privileged.enabled" => docker.allow_privileged = flag()?,
            "docker.nvidia_runtime" => docker.nvidia_runtime = Some(value.clone()),
            _ => return Err(format!("client.options: unknown key {key:?}")),
        }
    }
    Ok(docker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        Config::parse(text, "agent.hcl").map_err(|failure| format!("{failure:?}"))
    }

    const PLUGIN: &str = r#"
        plugin "docker" {
          config {
            endpoint = "unix:///run/other.sock"
            auth { config = "/etc/docker-auth.json" }
            extra_labels = ["job_*"]
            logging { type = "local" }
            gc {
              image_delay = "1h"
              dangling_containers { dry_run = true }
            }
            volumes { enabled = true }
            allow_caps = ["CHOWN"]
            pids_limit = 100
            infra_image = "pause:9"
            allowed_modes { pid = ["container:*"] }
          }
        }"#;

    #[test]
    fn a_plugin_block_means_what_our_own_blocks_do() {
        let config = read(PLUGIN).unwrap();
        assert_eq!(config.docker.endpoint.as_deref(), Some("unix:///run/other.sock"));
        assert_eq!(config.docker.image_gc().delay, Duration::from_secs(3600));
        assert!(config.docker.image_gc().enabled && config.docker.dangling().dry_run);
        assert_eq!(config.docker.dangling().creation_grace, Duration::from_secs(300));
        let docker = &config.driver["docker"];
        assert!(docker.policy.allow_volumes && docker.policy.allow_host_binds == ["*"]);
        assert_eq!(docker.policy.allow_caps, ["CHOWN".to_owned()].into());
        assert_eq!(docker.policy.allow_host_namespaces, ["cgroup", "pid:container:*"].map(String::from).into());
        // What the operator says of logs and OOM scores must not be denied to every task.
        let keys = ["HostConfig.LogConfig", "HostConfig.OomScoreAdj"].map(String::from);
        assert_eq!(docker.policy.allow_engine_keys, keys.into());
        assert_eq!(docker.policy.allow_runtimes, ["runc".to_owned(), "nvidia".to_owned()].into());
        let settings = docker.config.as_ref().unwrap();
        assert_eq!((&settings["pids_limit"], &settings["extra_labels"][0]), (&json!(100), &json!("job_*")));
        assert_eq!((&settings["logging"]["type"], &settings["infra_image"]), (&json!("local"), &json!("pause:9")));
    }

    #[test]
    fn old_options_mean_the_same() {
        let config = read(
            r#"client { options = {
                "docker.cleanup.image" = "0"
                "docker.privileged.enabled" = "True"
                "driver.raw_exec.enable" = "1"
                "docker.caps.whitelist" = "CHOWN, KILL"
                "other.key" = "x"
            } }"#,
        );
        let config = config.unwrap();
        assert!(!config.docker.image_gc().enabled);
        assert_eq!(config.driver["raw_exec"].enabled, Some(true));
        let policy = &config.driver["docker"].policy;
        assert!(policy.allow_privileged && policy.allow_host_namespaces.contains("ipc:*"));
        assert_eq!(policy.allow_caps, ["CHOWN".to_owned(), "KILL".to_owned()].into());
    }

    #[test]
    fn files_are_read_as_nomads_agents_write_them() {
        let config = read(
            "plugin \"docker\" { config { gc { dangling_containers { dry_run = true } } tls { cert = \"c\" key = \"k\" ca = \"a\" } } }",
        );
        let config = config.unwrap();
        assert!(config.docker.dangling().dry_run && config.docker.tls().unwrap().client.is_some());
        let config = read("client {\n  options {\n    \"docker.cleanup.image\" = \"0\"\n  }\n}").unwrap();
        assert!(!config.docker.image_gc().enabled);
        let said = read("client {\n  options { \"docker.cleanup.image\" = \"0\" }\n}\ndata_dri = \"x\"").unwrap_err();
        assert!(said.contains("agent.hcl:4:1: unknown key"), "{said}");
        let said = read("plugin \"docker\" { config { gc { imag = true } } }").unwrap_err();
        assert!(said.contains("agent.hcl:1:33: unknown key"), "{said}");
    }

    #[test]
    fn mistakes_are_told() {
        let plugin = |inner: &str| format!("plugin \"docker\" {{\n  config {{\n    {inner}\n  }}\n}}\n");
        let table = [
            (plugin("allow_privileges = true"), "did you mean \\\"allow_privileged\\\"?"),
            (plugin("gc {\n image_delay = \"1d\"\n }"), "1d"),
            (
                plugin("gc {\n dangling_containers {\n creation_grace = \"5s\"\n }\n }"),
                "creation_grace is less than minimum, 1m0s",
            ),
            (plugin("infra_image_pull_timeout = \"1d\""), "1d"),
            (plugin("pull_activity_timeout = \"5s\""), "pull_activity_timeout is less than minimum, 1m0s"),
            (plugin("allowed_modes {\n pid = [\"shareable\"]\n }"), "\\\"shareable\\\" is not a valid pid_mode"),
            (plugin("tls {\n cert = \"x\"\n }"), "tls: ca must name"),
            (plugin("tls {\n ca = \"x\"\n cert = \"y\"\n }"), "cert and key belong together"),
            (plugin("pids_limit = 1") + "docker {\n endpoint = \"unix:///x\"\n}", "not both"),
            (
                "client {\n options = { \"docker.cleanup.imag\" = \"true\" }\n}".into(),
                "unknown key \\\"docker.cleanup.imag\\\"",
            ),
            ("client {\n options = { \"docker.cleanup.image\" = \"si\" }\n}".into(), "neither true nor false"),
        ];
        for (text, expected) in table {
            let said = read(&text).unwrap_err();
            assert!(said.contains(expected), "{text}: {said} lacks {expected}");
        }
    }
}
