//! When and where: jobs started by the clock or by request, and wishes about machines.
//!
//! Most of what speaks of several machines has no effect on one; it is kept, so that a job comes back as it was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::nanoseconds;

/// A job that the clock starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Periodic {
    /// Whether it is started at all.
    pub enabled: bool,
    /// One cron expression; empty if there are several.
    pub spec: String,
    /// Several.
    pub specs: Vec<String>,
    /// Always `cron`.
    pub spec_type: String,
    /// Not while the last one runs.
    pub prohibit_overlap: bool,
    /// Name of a time zone.
    pub time_zone: String,
}

impl Default for Periodic {
    fn default() -> Self {
        Self {
            enabled: true,
            spec: String::new(),
            specs: Vec::new(),
            spec_type: "cron".into(),
            prohibit_overlap: false,
            time_zone: "UTC".into(),
        }
    }
}

/// A job that is started by request, with values of its own each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Parameterized {
    /// `optional`, `required` or `forbidden`.
    pub payload: String,
    /// Keys a request must give.
    pub meta_required: Vec<String>,
    /// Keys a request may give.
    pub meta_optional: Vec<String>,
}

impl Default for Parameterized {
    fn default() -> Self {
        Self { payload: "optional".into(), meta_required: Vec::new(), meta_optional: Vec::new() }
    }
}

/// Where the payload of a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DispatchPayload {
    /// In the task's directory `local`.
    pub file: String,
}

/// A wish about the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Affinity {
    /// Left side.
    #[serde(rename = "LTarget")]
    pub left: String,
    /// As of a constraint.
    #[serde(rename = "Operand")]
    pub operator: String,
    /// Right side.
    #[serde(rename = "RTarget")]
    pub right: String,
    /// -100 to 100.
    #[serde(rename = "Weight")]
    pub weight: i64,
}

impl Default for Affinity {
    fn default() -> Self {
        Self { left: String::new(), operator: "=".into(), right: String::new(), weight: 50 }
    }
}

/// How allocations are spread over machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Spread {
    /// Of the machine.
    pub attribute: String,
    /// 0 to 100.
    pub weight: i64,
    /// Shares by value.
    pub spread_target: Vec<SpreadTarget>,
}

impl Default for Spread {
    fn default() -> Self {
        Self { attribute: String::new(), weight: 50, spread_target: Vec::new() }
    }
}

/// The share of one value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SpreadTarget {
    /// Of the attribute.
    pub value: String,
    /// 0 to 100.
    pub percent: u32,
}

/// What becomes of an allocation that failed. Fields that were not written are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Reschedule {
    /// Within one interval.
    pub attempts: Option<u32>,
    /// Nanoseconds.
    pub interval: Option<i64>,
    /// Nanoseconds.
    pub delay: Option<i64>,
    /// `constant`, `exponential` or `fibonacci`.
    pub delay_function: Option<String>,
    /// Nanoseconds.
    pub max_delay: Option<i64>,
    /// Without end.
    pub unlimited: Option<bool>,
}

/// How allocations leave a machine that is drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Migrate {
    /// At a time.
    pub max_parallel: u32,
    /// `checks` or `task_states`.
    pub health_check: String,
    /// How long a new one must be healthy.
    #[serde(with = "nanoseconds")]
    pub min_healthy_time: Duration,
    /// How long it may take to become so.
    #[serde(with = "nanoseconds")]
    pub healthy_deadline: Duration,
}

impl Default for Migrate {
    fn default() -> Self {
        Self {
            max_parallel: 1,
            health_check: "checks".into(),
            min_healthy_time: Duration::from_secs(10),
            healthy_deadline: Duration::from_secs(300),
        }
    }
}

/// What becomes of allocations whose machine is out of reach. Fields that were not written are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Disconnect {
    /// Nanoseconds.
    pub lost_after: Option<i64>,
    /// Nanoseconds.
    pub stop_on_client_after: Option<i64>,
    /// Whether another one is started meanwhile.
    pub replace: Option<bool>,
    /// Which one stays.
    pub reconcile: Option<String>,
}

/// Bounds for an autoscaler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Scaling {
    /// Smallest count; the group's own unless given.
    pub min: Option<i64>,
    /// Largest count.
    pub max: Option<i64>,
    /// Whether it counts.
    pub enabled: bool,
    /// `horizontal`, `vertical_cpu` or `vertical_mem`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What the autoscaler is told.
    pub policy: Option<Value>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self { min: None, max: None, enabled: true, kind: "horizontal".into(), policy: None }
    }
}

/// What people see of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Ui {
    /// Markdown.
    pub description: String,
    /// Where to read more.
    pub links: Vec<Link>,
}

/// Where to read more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// What is shown.
    #[serde(rename = "Label")]
    pub label: String,
    /// Where it leads.
    #[serde(rename = "URL")]
    pub url: String,
}

/// A command that people may run in a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Action {
    /// Unique within the task.
    pub name: String,
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// A secret value by which a task proves what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Identity {
    /// Empty or `default` for the one every task has.
    pub name: String,
    /// Whom it is meant for.
    pub audience: Vec<String>,
    /// `noop`, `restart` or `signal`.
    pub change_mode: String,
    /// With `signal`.
    pub change_signal: String,
    /// Whether it is in the environment.
    pub env: bool,
    /// Whether it is a file.
    pub file: bool,
    /// Where the file is.
    pub filepath: String,
    /// Of the service it is for.
    pub service_name: String,
    /// How long it is good for.
    #[serde(rename = "TTL", with = "nanoseconds")]
    pub ttl: Duration,
    /// More to say in it.
    pub extra_claims: Vec<String>,
}

/// Options of a network plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Cni {
    /// Arguments by name.
    pub args: BTreeMap<String, String>,
}
