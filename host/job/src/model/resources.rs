//! What a task or an allocation may use.

use serde::{Deserialize, Serialize};

use super::Network;

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
}

impl Default for Resources {
    fn default() -> Self {
        Self { cpu: 100, cores: 0, memory_mb: 300, memory_max_mb: 0, networks: Vec::new() }
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
