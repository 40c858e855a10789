//! The machine and its drivers.

use std::collections::BTreeMap;

use longshore_core::{
    driver::{DriverInfo, Health},
    network::Obstacle,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rfc3339;
use crate::status::{self, DriverStatus};

/// The machine in a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeStub {
    /// A UUID.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its address.
    pub address: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Its name.
    pub name: String,
    /// Empty.
    pub node_class: String,
    /// `default`.
    pub node_pool: String,
    /// Of this program.
    pub version: String,
    /// Never, here.
    pub drain: bool,
    /// `eligible`.
    pub scheduling_eligibility: String,
    /// `ready`.
    pub status: String,
    /// Empty.
    pub status_description: String,
    /// By name.
    pub drivers: BTreeMap<String, DriverHealth>,
    /// Null: it was never drained.
    pub last_drain: Option<Value>,
    /// 1.
    pub create_index: u64,
    /// Index of its last change.
    pub modify_index: u64,
}

/// The machine, whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// What lists show of it.
    #[serde(flatten)]
    pub stub: NodeStub,
    /// Empty: clients ask the address they have.
    #[serde(rename = "HTTPAddr")]
    pub http_addr: String,
    /// Never, here.
    #[serde(rename = "TLSEnabled")]
    pub tls_enabled: bool,
    /// `attr.<key>`.
    pub attributes: BTreeMap<String, String>,
    /// What it has.
    pub node_resources: Value,
    /// What of it is kept from tasks.
    pub reserved_resources: Value,
    /// Null: superseded.
    pub resources: Option<Value>,
    /// Null: superseded.
    pub reserved: Option<Value>,
    /// None.
    pub links: BTreeMap<String, String>,
    /// `meta.<key>`.
    pub meta: BTreeMap<String, String>,
    /// Null: it is never drained.
    pub drain_strategy: Option<Value>,
    /// 0.
    pub status_updated_at: i64,
    /// None.
    pub events: Vec<Value>,
    /// None.
    pub host_volumes: BTreeMap<String, Value>,
    /// What stands in the way of networks of allocations. Ours alone.
    pub network_obstacles: Vec<Obstacle>,
}

/// How a driver is, as nodes show it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverHealth {
    /// `driver.<name>…`.
    pub attributes: BTreeMap<String, String>,
    /// Whether what it needs was ever seen.
    pub detected: bool,
    /// Whether tasks can be started.
    pub healthy: bool,
    /// Why not.
    pub health_description: String,
    /// RFC 3339.
    pub update_time: String,
}

/// A loaded driver: answer of `/v1/drivers`. Ours alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DriverDocument {
    /// The name job files use.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// SHA-256 of its component, hex.
    pub digest: String,
    /// A path, or `embedded`.
    pub origin: String,
    /// What it was granted.
    pub grants: Vec<String>,
    /// The optional interfaces it exports.
    pub capabilities: Vec<String>,
    /// How it is.
    pub health: DriverHealth,
    /// JSON Schema of a task's `config`.
    pub config_schema: Value,
}

impl NodeStub {
    /// The document of this machine; `index` is the state's.
    pub fn of(node: &status::Node, index: u64) -> Self {
        Self {
            id: node.id.clone(),
            address: "127.0.0.1".into(),
            datacenter: node.datacenter.clone(),
            name: node.name.clone(),
            node_class: String::new(),
            node_pool: "default".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            drain: false,
            scheduling_eligibility: "eligible".into(),
            status: "ready".into(),
            status_description: String::new(),
            drivers: node.drivers.iter().map(|(name, driver)| (name.clone(), driver.into())).collect(),
            last_drain: None,
            create_index: 1,
            modify_index: index,
        }
    }
}

impl Node {
    /// The whole document of this machine; `index` is the state's.
    pub fn of(node: &status::Node, index: u64) -> Self {
        let number = |name: &str| node.attributes.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let (shares, cores) = (number("cpu.totalcompute"), number("cpu.numcores"));
        Self {
            stub: NodeStub::of(node, index),
            attributes: node.attributes.clone(),
            node_resources: json!({
                "Cpu": {"CpuShares": shares, "TotalCpuCores": cores, "ReservableCpuCores": node.reservable_cores},
                "Memory": {"MemoryMB": number("memory.totalbytes") >> 20},
                "Disk": {"DiskMB": number("unique.storage.bytestotal") >> 20},
                "Networks": [],
                "Devices": [],
            }),
            reserved_resources: json!({
                "Cpu": {"CpuShares": 0},
                "Memory": {"MemoryMB": 0},
                "Disk": {"DiskMB": 0},
                "Networks": {"ReservedHostPorts": ""},
            }),
            meta: node.meta.clone(),
            network_obstacles: node.obstacles.clone(),
            ..Self::default()
        }
    }
}

impl DriverHealth {
    /// `healthy`, `unhealthy` or `undetected`.
    pub fn word(&self) -> &'static str {
        match (self.detected, self.healthy) {
            (_, true) => "healthy",
            (true, false) => "unhealthy",
            (false, false) => "undetected",
        }
    }
}

impl From<&DriverStatus> for DriverHealth {
    fn from(driver: &DriverStatus) -> Self {
        let Some((fingerprint, time)) = &driver.fingerprint else {
            return Self {
                update_time: rfc3339(None),
                health_description: "not looked at yet".into(),
                ..Self::default()
            };
        };
        let (detected, healthy, description) = match &fingerprint.health {
            Health::Healthy => (true, true, "Healthy"),
            Health::Unhealthy(reason) => (true, false, reason.as_str()),
            Health::Undetected(reason) => (false, false, reason.as_str()),
        };
        Self {
            attributes: fingerprint.attributes.clone(),
            detected,
            healthy,
            health_description: description.into(),
            update_time: rfc3339(Some(*time)),
        }
    }
}

impl From<&DriverStatus> for DriverDocument {
    fn from(driver: &DriverStatus) -> Self {
        let DriverInfo { description, config_schema, capabilities, digest, origin, grants, .. } = &*driver.info;
        let optional = [
            ("signals", capabilities.signals),
            ("exec", capabilities.exec),
            ("stats", capabilities.stats),
            ("poll", capabilities.poll),
            ("network", capabilities.network),
        ];
        Self {
            name: description.name.clone(),
            version: description.version.clone(),
            summary: description.summary.clone(),
            digest: digest.clone(),
            origin: origin.clone(),
            grants: grants.0.iter().map(ToString::to_string).collect(),
            capabilities: optional.iter().filter(|(_, has)| *has).map(|(name, _)| name.to_string()).collect(),
            health: driver.into(),
            config_schema: config_schema.clone(),
        }
    }
}
