//! The `config` block of a task. What each key means is in `config.schema.json`, which jobs are checked by.

use longshore_sdk::loose::{self, Texts};
use serde::Deserialize;

/// The whole block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.schema.json, once")]
pub struct Config {
    pub image: String,
    pub command: Option<String>,
    pub args: Vec<String>,
    pub entrypoint: Vec<String>,
    pub work_dir: Option<String>,
    pub tty: bool,
    pub interactive: bool,
    pub hostname: Option<String>,
    pub ports: Vec<String>,
    #[serde(deserialize_with = "loose::ports")]
    pub port_map: std::collections::BTreeMap<String, u16>,
    pub network_mode: Option<String>,
    pub network_aliases: Vec<String>,
    pub ipv4_address: Option<String>,
    pub ipv6_address: Option<String>,
    pub mac_address: Option<String>,
    pub advertise_ipv6_address: bool,
    pub dns_servers: Vec<String>,
    pub dns_search_domains: Vec<String>,
    pub dns_options: Vec<String>,
    pub extra_hosts: Vec<String>,
    #[serde(deserialize_with = "loose::texts")]
    pub labels: Texts,
    pub volumes: Vec<String>,
    pub volume_driver: Option<String>,
    #[serde(alias = "mounts", deserialize_with = "loose::blocks")]
    pub mount: Vec<Mount>,
    #[serde(deserialize_with = "loose::blocks")]
    pub devices: Vec<Device>,
    pub privileged: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    #[serde(deserialize_with = "loose::texts")]
    pub sysctl: Texts,
    #[serde(deserialize_with = "loose::texts")]
    pub ulimit: Texts,
    pub pids_limit: i64,
    pub cpu_hard_limit: bool,
    pub cpu_cfs_period: Option<u32>,
    pub cpuset_cpus: Option<String>,
    pub memory_hard_limit: u32,
    pub shm_size: Option<u64>,
    #[serde(deserialize_with = "loose::texts")]
    pub storage_opt: Texts,
    pub ipc_mode: Option<String>,
    pub pid_mode: Option<String>,
    pub uts_mode: Option<String>,
    pub userns_mode: Option<String>,
    pub cgroupns: Option<String>,
    pub runtime: Option<String>,
    pub readonly_rootfs: bool,
    pub init: bool,
    pub group_add: Vec<String>,
    pub oom_score_adj: Option<i32>,
    pub isolation: Option<String>,
    #[serde(deserialize_with = "loose::block")]
    pub healthchecks: Option<Healthchecks>,
    #[serde(deserialize_with = "loose::block")]
    pub logging: Option<Logging>,
    #[serde(deserialize_with = "loose::block")]
    pub auth: Option<Auth>,
    pub auth_soft_fail: bool,
    pub force_pull: bool,
    pub image_pull_timeout: Option<String>,
    pub load: Option<String>,
    pub container_exists_attempts: Option<u32>,
}

/// One `mount` block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.schema.json, once")]
pub struct Mount {
    pub r#type: Option<String>,
    pub target: String,
    pub source: String,
    pub readonly: bool,
    #[serde(deserialize_with = "loose::block")]
    pub bind_options: Option<BindOptions>,
    #[serde(deserialize_with = "loose::block")]
    pub tmpfs_options: Option<TmpfsOptions>,
    #[serde(deserialize_with = "loose::block")]
    pub volume_options: Option<VolumeOptions>,
}

/// `volume_options` of a mount.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeOptions {
    /// Do not fill a new volume with what the image has at the target.
    pub no_copy: bool,
    /// Labels of a new volume.
    #[serde(deserialize_with = "loose::texts")]
    pub labels: Texts,
    /// Who keeps the volume.
    #[serde(deserialize_with = "loose::block")]
    pub driver_config: Option<VolumeDriver>,
}

/// `driver_config` of a volume.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeDriver {
    /// The engine's volume driver, `local` when empty.
    pub name: String,
    /// Its options.
    #[serde(deserialize_with = "loose::texts")]
    pub options: Texts,
}

/// `bind_options` of a mount.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BindOptions {
    /// `rprivate`, `rslave`, …
    pub propagation: Option<String>,
}

/// `tmpfs_options` of a mount.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TmpfsOptions {
    /// Bytes.
    pub size: Option<u64>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// One `devices` block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.schema.json, once")]
pub struct Device {
    pub host_path: String,
    pub container_path: Option<String>,
    pub cgroup_permissions: Option<String>,
}

/// The `healthchecks` block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Healthchecks {
    /// Run none.
    pub disable: bool,
    /// `["CMD", …]` or `["CMD-SHELL", line]`; empty: the image's own.
    pub test: Vec<String>,
    /// Duration between two.
    pub interval: Option<String>,
    /// Duration one may take.
    pub timeout: Option<String>,
    /// Duration in which failures do not count.
    pub start_period: Option<String>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<u32>,
}

/// The `logging` block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// The engine's log driver.
    pub r#type: Option<String>,
    /// Its old name.
    pub driver: Option<String>,
    /// Options of that driver.
    #[serde(deserialize_with = "loose::texts")]
    pub config: Texts,
}

/// The `auth` block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "documented in config.schema.json, once")]
pub struct Auth {
    pub username: String,
    pub password: String,
    pub email: String,
    pub server_address: Option<String>,
}

#[cfg(test)]
mod tests {
    use longshore_sdk::config::parse;

    use super::*;

    #[test]
    fn both_spellings_of_blocks_and_maps() {
        let hcl = r#"{"image": "a", "labels": {"x": "1", "y": true}, "port_map": {"db": 6379}, "auth": {"username": "u"},
            "mount": {"type": "tmpfs", "target": "/t"}, "logging": {"type": "none", "config": {"tag": "x"}}}"#;
        let old = r#"{"image": "a", "labels": [{"x": "1"}, {"y": "true"}], "port_map": [{"db": "6379"}], "auth": [{"username": "u"}],
            "mounts": [{"type": "tmpfs", "target": "/t"}], "logging": [{"type": "none", "config": [{"tag": "x"}]}]}"#;
        let config: Config = parse("config", hcl).unwrap();
        assert_eq!(config, parse("config", old).unwrap());
        assert_eq!(config.labels["y"], "true");
        assert_eq!(config.port_map["db"], 6379);
    }

    #[test]
    fn unknown_keys_are_errors() {
        let error = parse::<Config>("config", r#"{"image": "a", "bad_key": 1}"#).unwrap_err();
        assert!(error.text().contains("bad_key"), "{error:?}");
    }

    #[test]
    fn schema_and_struct_know_the_same_keys() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("config.schema.json")).unwrap();
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{key} has no description");
            let sample = format!("{{{key:?}: null}}");
            let error =
                parse::<Config>("config", &sample).map_or_else(|error| error.text().to_owned(), |_| String::new());
            assert!(!error.contains("unknown field"), "{error}");
        }
        let known = parse::<Config>("config", r#"{"?": 1}"#).unwrap_err();
        let known = known.text().split('`').skip(3).step_by(2).filter(|name| *name != "mounts");
        for name in known {
            assert!(schema["properties"].get(name).is_some(), "{name} is not in the schema");
        }
    }
}
