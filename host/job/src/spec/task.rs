//! The `task` block.

use super::Effect::{Refused, Warned};
use super::Kind::{Bool, Choice, Duration, Text, Whole};
use super::group::{NETWORK, RESTART, SHUTDOWN_DELAY};
use super::{Attribute, BLOCK, Block, Shape, attribute, attribute_with, finish, job, no_effect};
use super::{refused::task as refused, size};

/// A task; in a job, shorthand for a group of one.
pub static TASK: Block = Block {
    name: "task",
    json: "Tasks",
    shape: Shape::Many,
    label: Some("Name"),
    attributes: ATTRIBUTES,
    blocks: &[
        &CONFIG,
        &ENV,
        &job::META,
        &job::CONSTRAINT,
        &RESOURCES,
        &RESTART,
        &LOGS,
        &LIFECYCLE,
        &no_effect("affinity", "Affinities"),
        &no_effect("scaling", "ScalingPolicies"),
        &refused::ACTION,
        &refused::ARTIFACT,
        &refused::CONSUL,
        &refused::CSI_PLUGIN,
        &refused::DISPATCH_PAYLOAD,
        &refused::IDENTITY,
        &refused::SCHEDULE,
        &refused::SECRET,
        &refused::SERVICE,
        &refused::TEMPLATE,
        &refused::VAULT,
        &refused::VOLUME_MOUNT,
    ],
    ..BLOCK
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("driver", "Driver", Text),
    attribute("user", "User", Text),
    attribute("leader", "Leader", Bool),
    attribute("kill_timeout", "KillTimeout", Duration("KillTimeout must be a positive value")),
    attribute("kill_signal", "KillSignal", Text),
    attribute("shutdown_delay", "ShutdownDelay", SHUTDOWN_DELAY),
    attribute_with("kind", "Kind", Text, Refused(refused::KIND)),
];

static CONFIG: Block = Block { name: "config", json: "Config", shape: Shape::Free, ..BLOCK };

static ENV: Block = Block { name: "env", json: "Env", shape: Shape::Strings, ..BLOCK };

static RESOURCES: Block = Block {
    name: "resources",
    json: "Resources",
    attributes: &[
        attribute("cpu", "CPU", size("minimum CPU value is 1")),
        attribute("cores", "Cores", size("cores value cannot be negative")),
        attribute("memory", "MemoryMB", size("minimum MemoryMB value is 10")),
        attribute("memory_max", "MemoryMaxMB", Whole(-1, i64::MAX, MEMORY_MAX)),
        attribute_with("disk", "DiskMB", size(DISK), Refused(DISK)),
        attribute_with("iops", "IOPS", size(IOPS), Warned(IOPS)),
        attribute_with("secrets", "SecretsMB", size(SECRETS), Refused(SECRETS)),
    ],
    blocks: &[&NETWORK, &refused::DEVICE, &refused::NUMA],
    ..BLOCK
};

const MEMORY_MAX: &str = "MemoryMaxMB value should be -1 (no limit), or larger than MemoryMB";
const DISK: &str = "Task can't ask for disk resources, they have to be specified at the task group level.";
const IOPS: &str = "iops has been removed from Nomad and has no effect";
const SECRETS: &str = "the size of the secrets directory cannot be chosen yet";

static LOGS: Block = Block {
    name: "logs",
    json: "LogConfig",
    attributes: &[
        attribute("max_files", "MaxFiles", Whole(1, 10_000, "minimum number of files is 1")),
        attribute("max_file_size", "MaxFileSizeMB", Whole(1, 1 << 20, "minimum file size is 1MB")),
        attribute("disabled", "Disabled", Bool),
        attribute("enabled", "Enabled", Bool),
    ],
    finish: Some(finish::logs),
    ..BLOCK
};

static LIFECYCLE: Block = Block {
    name: "lifecycle",
    json: "Lifecycle",
    attributes: &[
        attribute("hook", "Hook", Choice(&["prestart", "poststart", "poststop"], "invalid hook")),
        attribute("sidecar", "Sidecar", Bool),
    ],
    finish: Some(finish::lifecycle),
    ..BLOCK
};
