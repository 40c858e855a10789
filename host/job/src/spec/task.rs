//! The `task` block.

use super::Effect::{NoEffect, Refused, Warned};
use super::Kind::{Bool, Choice, Duration, Text, Texts, Whole};
use super::group::{CONSUL, NETWORK, POLICY, RESTART, SCALING_ATTRIBUTES, SHUTDOWN_DELAY};
use super::{
    Attribute, BLOCK, Block, Kind, Shape, attribute, files, finish, job, plain, reasons, service, size, whole,
};

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
        &job::AFFINITY,
        &RESOURCES,
        &RESTART,
        &LOGS,
        &LIFECYCLE,
        &service::SERVICE,
        &files::ARTIFACT,
        &files::TEMPLATE,
        &VOLUME_MOUNT,
        &DISPATCH_PAYLOAD,
        &CSI_PLUGIN,
        &VAULT,
        &CONSUL,
        &SCALING,
        &SECRET,
        &Block { name: "", json: "Identity", shape: Shape::One, ..IDENTITY_BLOCK },
        &IDENTITY,
        &ACTION,
        &SCHEDULE,
    ],
    finish: Some(finish::task),
    ..BLOCK
};

const ATTRIBUTES: &[Attribute] = &[
    plain("driver", "Driver", Text),
    plain("user", "User", Text),
    plain("leader", "Leader", Bool),
    attribute("kill_timeout", "KillTimeout", KILL_TIMEOUT),
    plain("kill_signal", "KillSignal", Text),
    plain("shutdown_delay", "ShutdownDelay", SHUTDOWN_DELAY),
    plain("kind", "Kind", Text).effect(Refused(reasons::KIND)),
];

/// Of tasks and of sidecars.
pub const KILL_TIMEOUT: Kind = Duration("KillTimeout must be a positive value");

static CONFIG: Block = Block { name: "config", json: "Config", shape: Shape::Free, ..BLOCK };

static ENV: Block = Block { name: "env", json: "Env", shape: Shape::Strings, ..BLOCK };

/// Of tasks and of sidecars.
pub static RESOURCES: Block = Block {
    name: "resources",
    json: "Resources",
    attributes: &[
        attribute("cpu", "CPU", size("minimum CPU value is 1")),
        attribute("cores", "Cores", size("cores value cannot be negative")),
        attribute("memory", "MemoryMB", size("minimum MemoryMB value is 10")),
        attribute("memory_max", "MemoryMaxMB", Whole(-1, i64::MAX, MEMORY_MAX)),
        attribute("disk", "DiskMB", size(DISK)).effect(Warned(DISK)),
        attribute("iops", "IOPS", size(IOPS)).effect(Warned(IOPS)),
        attribute("secrets", "SecretsMB", size(reasons::SECRETS_SIZE)).effect(Refused(reasons::SECRETS_SIZE)),
    ],
    blocks: &[&NETWORK, &DEVICE, &NUMA],
    ..BLOCK
};

const MEMORY_MAX: &str = "MemoryMaxMB value should be -1 (no limit), or larger than MemoryMB";
// Until Nomad 0.5 each task asked for its own.
const DISK: &str = "disk of a task has no effect: its group asks for it, with ephemeral_disk { size }";
const IOPS: &str = "iops has been removed from Nomad and has no effect";

static DEVICE: Block = Block {
    name: "device",
    json: "Devices",
    shape: Shape::Many,
    label: Some("Name"),
    effect: Refused(reasons::LATER),
    attributes: &[attribute("count", "Count", whole("device count can't be negative"))],
    blocks: &[&job::CONSTRAINT, &job::AFFINITY],
    ..BLOCK
};

static NUMA: Block = Block {
    name: "numa",
    json: "NUMA",
    effect: Refused(reasons::NUMA),
    attributes: &[plain("affinity", "Affinity", Text), attribute("devices", "Devices", Texts)],
    ..BLOCK
};

/// Of tasks and of sidecars.
pub static LOGS: Block = Block {
    name: "logs",
    json: "LogConfig",
    attributes: &[
        attribute("max_files", "MaxFiles", Whole(1, 10_000, "minimum number of files is 1")),
        attribute("max_file_size", "MaxFileSizeMB", Whole(1, 1 << 20, "minimum file size is 1MB")),
        attribute("disabled", "Disabled", Bool),
        attribute("enabled", "Enabled", Bool),
    ],
    ..BLOCK
};

static LIFECYCLE: Block = Block {
    name: "lifecycle",
    json: "Lifecycle",
    attributes: &[plain("hook", "Hook", HOOK).required(), plain("sidecar", "Sidecar", Bool)],
    ..BLOCK
};

const HOOK: Kind = Choice(&["prestart", "poststart", "poststop"], "invalid hook");

/// Of tasks and of sidecars.
pub static VOLUME_MOUNT: Block = Block {
    name: "volume_mount",
    json: "VolumeMounts",
    shape: Shape::Many,
    effect: Refused(reasons::LATER),
    attributes: &[
        attribute("volume", "Volume", Text),
        attribute("destination", "Destination", Text),
        attribute("read_only", "ReadOnly", Bool),
        attribute("propagation_mode", "PropagationMode", Text),
        attribute("selinux_label", "SELinuxLabel", Text),
    ],
    ..BLOCK
};

static DISPATCH_PAYLOAD: Block = Block {
    name: "dispatch_payload",
    json: "DispatchPayload",
    effect: Refused(reasons::LATER),
    attributes: &[plain("file", "File", Text)],
    ..BLOCK
};

static CSI_PLUGIN: Block = Block {
    name: "csi_plugin",
    json: "CSIPluginConfig",
    effect: Refused(reasons::CSI),
    absent: super::Absent::Omitted,
    attributes: &[
        plain("id", "ID", Text),
        plain("type", "Type", Text),
        plain("mount_dir", "MountDir", Text),
        plain("stage_publish_base_dir", "StagePublishBaseDir", Text),
        plain("health_timeout", "HealthTimeout", Duration("health_timeout can't be negative")),
    ],
    ..BLOCK
};

const VAULT_BLOCK: Block = Block {
    name: "vault",
    json: "Vault",
    effect: Refused(reasons::VAULT),
    attributes: &[
        attribute("policies", "Policies", Texts),
        plain("role", "Role", Text),
        attribute("namespace", "Namespace", Text),
        plain("cluster", "Cluster", Text),
        attribute("env", "Env", Bool),
        attribute("disable_file", "DisableFile", Bool),
        attribute("change_mode", "ChangeMode", Text),
        attribute("change_signal", "ChangeSignal", Text),
        attribute("allow_token_expiration", "AllowTokenExpiration", Bool),
    ],
    finish: Some(finish::vault),
    ..BLOCK
};

static VAULT: Block = VAULT_BLOCK;

/// In job and group: for every task without its own.
pub static INHERITED_VAULT: Block = Block { json: "vault", ..VAULT_BLOCK };

const SECRET_BLOCK: Block = Block {
    name: "secret",
    json: "Secrets",
    shape: Shape::Many,
    label: Some("Name"),
    effect: Refused(reasons::LATER),
    attributes: &[plain("provider", "Provider", Text), plain("path", "Path", Text)],
    blocks: &[&CONFIG, &Block { name: "env", json: "Env", shape: Shape::StringsBlock, ..BLOCK }],
    ..BLOCK
};

static SECRET: Block = SECRET_BLOCK;

/// In job and group: for every task.
pub static INHERITED_SECRET: Block = Block { json: "secrets", ..SECRET_BLOCK };

/// The identity of a task, or of a service.
pub const IDENTITY_BLOCK: Block = Block {
    name: "identity",
    json: "Identities",
    shape: Shape::Many,
    effect: Refused(reasons::LATER),
    attributes: &[
        plain("name", "Name", Text),
        attribute("aud", "Audience", Texts),
        plain("change_mode", "ChangeMode", Text),
        plain("change_signal", "ChangeSignal", Text),
        plain("env", "Env", Bool),
        plain("file", "File", Bool),
        plain("filepath", "Filepath", Text),
        plain("service_name", "ServiceName", Text),
        plain("ttl", "TTL", Duration("ttl must be >= 0")),
        attribute("extra_claims", "ExtraClaims", Texts),
    ],
    ..BLOCK
};

/// Of tasks and of sidecars.
pub static IDENTITY: Block = IDENTITY_BLOCK;

static ACTION: Block = Block {
    name: "action",
    json: "Actions",
    shape: Shape::Many,
    label: Some("Name"),
    effect: Refused(reasons::LATER),
    attributes: &[plain("command", "Command", Text).required(), attribute("args", "Args", Texts)],
    ..BLOCK
};

static SCALING: Block = Block {
    name: "scaling",
    json: "ScalingPolicies",
    shape: Shape::Many,
    label: Some("label"),
    effect: NoEffect,
    attributes: SCALING_ATTRIBUTES,
    blocks: &[&POLICY],
    finish: Some(finish::task_scaling),
    ..BLOCK
};

static SCHEDULE: Block = Block {
    name: "schedule",
    json: "Schedule",
    effect: Refused(reasons::SCHEDULE),
    blocks: &[&Block {
        name: "cron",
        json: "Cron",
        attributes: &[plain("start", "Start", Text), plain("end", "End", Text), plain("timezone", "Timezone", Text)],
        ..BLOCK
    }],
    ..BLOCK
};
