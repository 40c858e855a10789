//! Services: names under which the ports of a job are found, and the checks that say whether they are well.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::nanoseconds;

/// A name under which a port is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Service {
    /// `<job>-<group>[-<task>]` unless given. May hold `${…}`.
    pub name: String,
    /// `consul` unless given, or `nomad`; both mean the agent's own registry.
    pub provider: String,
    /// Label of a port, or a number; empty for a service without port. May hold `${…}`.
    pub port_label: String,
    /// `auto`, `host`, `driver`, `alloc` or `alloc_ipv6`.
    pub address_mode: String,
    /// Address to publish instead; only with `auto`.
    pub address: String,
    /// May hold `${…}`.
    pub tags: Vec<String>,
    /// Tags of canaries. May hold `${…}`.
    pub canary_tags: Vec<String>,
    /// Consul's; kept.
    pub enable_tag_override: bool,
    /// Of a service of a group: the task whose scripts check it.
    pub task_name: String,
    /// `require_healthy`, `ignore_warnings` or `ignore`.
    pub on_update: String,
    /// In this order.
    pub checks: Vec<Check>,
    /// Merged into every check's own.
    pub check_restart: Option<CheckRestart>,
    /// Consul's mesh, as it was written.
    pub connect: Option<Value>,
    /// May hold `${…}`.
    pub meta: BTreeMap<String, String>,
    /// May hold `${…}`.
    pub canary_meta: BTreeMap<String, String>,
    /// May hold `${…}`.
    pub tagged_addresses: BTreeMap<String, String>,
    /// Consul's, as it was written.
    pub identity: Option<Value>,
    /// Consul's, as it was written.
    pub weights: Option<Value>,
    /// Consul's; kept.
    pub cluster: String,
    /// Consul's; kept.
    pub kind: String,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            name: String::new(),
            provider: "consul".into(),
            port_label: String::new(),
            address_mode: "auto".into(),
            address: String::new(),
            tags: Vec::new(),
            canary_tags: Vec::new(),
            enable_tag_override: false,
            task_name: String::new(),
            on_update: "require_healthy".into(),
            checks: Vec::new(),
            check_restart: None,
            connect: None,
            meta: BTreeMap::new(),
            canary_meta: BTreeMap::new(),
            tagged_addresses: BTreeMap::new(),
            identity: None,
            weights: None,
            cluster: String::new(),
            kind: String::new(),
        }
    }
}

/// Whether a service is well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Check {
    /// `service: "<service>" check` unless given. May hold `${…}`.
    pub name: String,
    /// `http`, `tcp`, `grpc` or `script`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Of a script: the program.
    pub command: String,
    /// Of a script.
    pub args: Vec<String>,
    /// Of `http`: path and query, without host.
    pub path: String,
    /// Of `http`: `http` or `https`; empty means `http`.
    pub protocol: String,
    /// Instead of the service's.
    pub port_label: String,
    /// Consul Connect's; kept.
    pub expose: bool,
    /// As the service's; empty means `host`.
    pub address_mode: String,
    /// Consul's; kept.
    pub advertise: String,
    /// From one check to the next.
    #[serde(with = "nanoseconds")]
    pub interval: Duration,
    /// How long one check may take.
    #[serde(with = "nanoseconds")]
    pub timeout: Duration,
    /// Before the first check: `critical` or `passing`; empty means `critical`.
    pub initial_status: String,
    /// For people.
    pub notes: String,
    /// Name a certificate must bear.
    #[serde(rename = "TLSServerName")]
    pub tls_server_name: String,
    /// Accept any certificate.
    #[serde(rename = "TLSSkipVerify")]
    pub tls_skip_verify: bool,
    /// Of `http`.
    pub header: BTreeMap<String, Vec<String>>,
    /// Of `http`; empty means `GET`.
    pub method: String,
    /// Of `http`.
    pub body: String,
    /// Restart the task when the check fails.
    pub check_restart: Option<CheckRestart>,
    /// Of `grpc`.
    #[serde(rename = "GRPCService")]
    pub grpc_service: String,
    /// Of `grpc`.
    #[serde(rename = "GRPCUseTLS")]
    pub grpc_use_tls: bool,
    /// Of a script: where it runs.
    pub task_name: String,
    /// Consecutive successes before it counts as well.
    pub success_before_passing: u32,
    /// Consecutive failures before it counts as failed.
    pub failures_before_critical: u32,
    /// Consecutive failures before it counts as suspicious.
    pub failures_before_warning: u32,
    /// As the service's.
    pub on_update: String,
}

/// When a failing check restarts its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CheckRestart {
    /// Consecutive failures; 0 never restarts.
    pub limit: u32,
    /// After a start, failures do not count for so long.
    #[serde(with = "nanoseconds")]
    pub grace: Duration,
    /// Whether a warning counts as well.
    pub ignore_warnings: bool,
}

impl Default for CheckRestart {
    fn default() -> Self {
        Self { limit: 0, grace: Duration::from_secs(1), ignore_warnings: false }
    }
}
