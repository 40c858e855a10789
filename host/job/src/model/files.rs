//! Files that are there before a task starts, and volumes it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::nanoseconds;

/// A file written from a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Template {
    /// File of the template, in the task's directory; empty if it is embedded. May hold `${…}`.
    pub source_path: String,
    /// Where the result goes. May hold `${…}`.
    pub dest_path: String,
    /// The template itself; empty if it is in a file.
    pub embedded_tmpl: String,
    /// What follows a change: `noop`, `restart`, `signal` or `script`.
    pub change_mode: String,
    /// With `signal`.
    pub change_signal: String,
    /// With `script`.
    pub change_script: Option<ChangeScript>,
    /// Render once, then never again.
    pub once: bool,
    /// Longest random wait before a change is acted on.
    #[serde(with = "nanoseconds")]
    pub splay: Duration,
    /// Octal, as text.
    pub perms: String,
    /// Owner; -1 for the agent's own.
    pub uid: i64,
    /// Group; -1 for the agent's own.
    pub gid: i64,
    /// `{{` unless given.
    pub left_delim: String,
    /// `}}` unless given.
    pub right_delim: String,
    /// Whether the result is read as environment of the task.
    pub envvars: bool,
    /// Has no effect.
    #[serde(with = "nanoseconds")]
    pub vault_grace: Duration,
    /// How long to gather changes.
    pub wait: Option<Wait>,
    /// Whether a missing key is an error.
    pub err_missing_key: bool,
}

impl Default for Template {
    fn default() -> Self {
        Self {
            source_path: String::new(),
            dest_path: String::new(),
            embedded_tmpl: String::new(),
            change_mode: "restart".into(),
            change_signal: String::new(),
            change_script: None,
            once: false,
            splay: Duration::from_secs(5),
            perms: "0644".into(),
            uid: -1,
            gid: -1,
            left_delim: "{{".into(),
            right_delim: "}}".into(),
            envvars: false,
            vault_grace: Duration::ZERO,
            wait: None,
            err_missing_key: false,
        }
    }
}

/// What runs when a template's result changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ChangeScript {
    /// The program, inside the task.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// It is killed after so long.
    #[serde(with = "nanoseconds")]
    pub timeout: Duration,
    /// Whether its failure kills the task.
    pub fail_on_error: bool,
    /// Whether it runs after the first rendering as well.
    pub run_on_first_render: bool,
}

impl Default for ChangeScript {
    fn default() -> Self {
        Self {
            command: String::new(),
            args: Vec::new(),
            timeout: Duration::from_secs(5),
            fail_on_error: false,
            run_on_first_render: false,
        }
    }
}

/// How long changes of a template's inputs are gathered before it is rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Wait {
    /// Without further change.
    #[serde(with = "nanoseconds")]
    pub min: Duration,
    /// At most.
    #[serde(with = "nanoseconds")]
    pub max: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self { min: Duration::from_secs(5), max: Duration::from_secs(240) }
    }
}

/// A file fetched from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Artifact {
    /// Where from. May hold `${…}`.
    pub getter_source: String,
    /// `checksum`, `archive`, `ref`, … May hold `${…}`.
    pub getter_options: BTreeMap<String, String>,
    /// Of HTTP. May hold `${…}`.
    pub getter_headers: BTreeMap<String, String>,
    /// `any`, `file` or `dir`.
    pub getter_mode: String,
    /// Accept any certificate.
    pub getter_insecure: bool,
    /// Where to, in the task's directory. May hold `${…}`.
    pub relative_dest: String,
    /// Whether it is given to the task's user.
    pub chown: bool,
}

impl Default for Artifact {
    fn default() -> Self {
        Self {
            getter_source: String::new(),
            getter_options: BTreeMap::new(),
            getter_headers: BTreeMap::new(),
            getter_mode: "any".into(),
            getter_insecure: false,
            relative_dest: "local/".into(),
            chown: false,
        }
    }
}

/// A volume that tasks of the group may mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Volume {
    /// Its name in the group.
    pub name: String,
    /// `host` or `csi`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its name on the machine.
    pub source: String,
    /// No task may write to it.
    pub read_only: bool,
    /// A replaced allocation gets the same again.
    pub sticky: bool,
    /// `csi` only.
    pub access_mode: String,
    /// `csi` only.
    pub attachment_mode: String,
    /// `csi` only.
    pub mount_options: Option<MountOptions>,
    /// Each allocation has its own, `<source>[<index>]`.
    pub per_alloc: bool,
}

/// How a volume of `csi` is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountOptions {
    /// File system.
    #[serde(rename = "FSType")]
    pub fs_type: String,
    /// As for `mount -o`.
    #[serde(rename = "MountFlags")]
    pub mount_flags: Vec<String>,
}

/// Where a task sees a volume of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct VolumeMount {
    /// Its name in the group. May hold `${…}`.
    pub volume: String,
    /// Path in the task. May hold `${…}`.
    pub destination: String,
    /// The task may not write to it.
    pub read_only: bool,
    /// `private`, `host-to-task` or `bidirectional`.
    pub propagation_mode: String,
    /// Empty, `z` or `Z`.
    #[serde(rename = "SELinuxLabel")]
    pub selinux_label: String,
}

impl Default for VolumeMount {
    fn default() -> Self {
        Self {
            volume: String::new(),
            destination: String::new(),
            read_only: false,
            propagation_mode: "private".into(),
            selinux_label: String::new(),
        }
    }
}
