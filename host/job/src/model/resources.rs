//! What a task or an allocation may use.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Affinity, Constraint, Network};

/// What a task may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Share of the processor in MHz; 0 when whole cores are asked for.
    #[serde(rename = "CPU")]
    pub cpu: u64,
    /// Whole cores for this task alone; 0 when MHz are asked for.
    #[serde(rename = "Cores")]
    pub cores: u64,
    /// Memory in MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mb: u64,
    /// Memory in MiB the task may burst to; 0 means the same as `memory_mb`, -1 no limit.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mb: i64,
    /// Networks in the legacy place (`resources { network { … } }`); none or one.
    #[serde(rename = "Networks")]
    pub networks: Vec<Network>,
    /// MiB of disk, which a task cannot ask for; refused.
    #[serde(rename = "DiskMB")]
    pub disk_mb: u64,
    /// Without effect.
    #[serde(rename = "IOPS")]
    pub iops: u64,
    /// MiB for the secrets directory; 0 for the default.
    #[serde(rename = "SecretsMB")]
    pub secrets_mb: u64,
    /// Devices it needs.
    #[serde(rename = "Devices")]
    pub devices: Vec<Device>,
    /// As it was written; refused.
    #[serde(rename = "NUMA")]
    pub numa: Option<Value>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu: 100,
            cores: 0,
            memory_mb: 300,
            memory_max_mb: 0,
            networks: Vec::new(),
            disk_mb: 0,
            iops: 0,
            secrets_mb: 0,
            devices: Vec::new(),
            numa: None,
        }
    }
}

/// A device that a task needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Device {
    /// `<type>`, `<vendor>/<type>` or `<vendor>/<type>/<name>`.
    pub name: String,
    /// How many of them.
    pub count: u32,
    /// Conditions on the device.
    pub constraints: Vec<Constraint>,
    /// Wishes about the device.
    pub affinities: Vec<Affinity>,
}

impl Default for Device {
    fn default() -> Self {
        Self { name: String::new(), count: 1, constraints: Vec::new(), affinities: Vec::new() }
    }
}

/// Space for an allocation's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EphemeralDisk {
    /// MiB.
    #[serde(rename = "SizeMB")]
    pub size_mb: u64,
    /// Keep the directory for the allocation that replaces this one.
    #[serde(rename = "Sticky")]
    pub sticky: bool,
    /// Carry it over from another machine; has no effect on a single one.
    #[serde(rename = "Migrate")]
    pub migrate: bool,
}

impl Default for EphemeralDisk {
    fn default() -> Self {
        Self { size_mb: 300, sticky: false, migrate: false }
    }
}

/// Rotation of a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logs {
    /// Files kept per stream, at least 1.
    #[serde(rename = "MaxFiles")]
    pub max_files: u32,
    /// Size of one file in MiB, at least 1.
    #[serde(rename = "MaxFileSizeMB")]
    pub max_file_size_mb: u32,
    /// Throw the output away.
    #[serde(rename = "Disabled")]
    pub disabled: bool,
}

impl Default for Logs {
    fn default() -> Self {
        Self { max_files: 10, max_file_size_mb: 10, disabled: false }
    }
}
