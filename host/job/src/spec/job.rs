//! The `job` block, and blocks that stand in groups and tasks as well.

use super::Effect::{NoEffect, Refused, Removed, Warned};
use super::Kind::{Any, Bool, Choice, Duration, Text, Texts, Whole};
use super::{
    Attribute, BLOCK, Block, Kind, Shape, attribute, finish, group, only_json, plain, reasons, size, task, whole,
};
use crate::model::JobKind;

/// The whole language, from its root.
pub static JOB: Block = Block {
    name: "job",
    json: "Job",
    label: Some("ID"),
    attributes: ATTRIBUTES,
    blocks: &[
        &group::GROUP,
        &META,
        &CONSTRAINT,
        &UPDATE,
        &AFFINITY,
        &SPREAD,
        &PERIODIC,
        &PARAMETERIZED,
        &UI,
        &MULTIREGION,
        &Block { name: "reschedule", json: "Reschedule", ..RESCHEDULE },
        &MIGRATE,
        &task::INHERITED_VAULT,
        &task::INHERITED_SECRET,
    ],
    finish: Some(finish::job),
    ..BLOCK
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("id", "ID", Text),
    attribute("name", "Name", Text),
    attribute("type", "Type", Choice(&JobKind::NAMES, "Invalid job type")),
    attribute("datacenters", "Datacenters", Texts),
    attribute("region", "Region", Text),
    attribute("namespace", "Namespace", Text),
    attribute("node_pool", "NodePool", Text),
    attribute("priority", "Priority", PRIORITY).effect(NoEffect),
    attribute("all_at_once", "AllAtOnce", Bool).effect(NoEffect),
    attribute("consul_token", "consul_token", Text).effect(Removed(reasons::CONSUL)),
    attribute("consul_namespace", "consul_namespace", Text).effect(Removed(reasons::CONSUL)),
    attribute("vault_token", "vault_token", Text).effect(Removed(reasons::VAULT)),
    only_json("Stop", Bool),
    only_json("ParentID", Text),
    plain("", "Dispatched", Bool),
    only_json("DispatchIdempotencyToken", Text),
    only_json("Payload", Text),
    only_json("ConsulNamespace", Text),
    only_json("VaultNamespace", Text),
    only_json("NomadTokenID", Text),
    only_json("Status", Text),
    only_json("StatusDescription", Text),
    only_json("Stable", Bool),
    only_json("Version", INDEX),
    only_json("SubmitTime", Whole(i64::MIN, i64::MAX, "")),
    only_json("CreateIndex", INDEX),
    only_json("ModifyIndex", INDEX),
    only_json("JobModifyIndex", INDEX),
    only_json("VersionTag", Any),
];

const INDEX: Kind = size("an index can't be negative");
// 0 is as good as none.
const PRIORITY: Kind = Whole(0, 100, "job priority must be between [1, 100]");

/// `meta { … }` or `meta = { … }`, the same in job, group and task.
pub static META: Block = Block { name: "meta", json: "Meta", shape: Shape::Strings, ..BLOCK };

/// `constraint { … }`, the same in job, group and task.
pub static CONSTRAINT: Block = Block {
    name: "constraint",
    json: "Constraints",
    shape: Shape::Many,
    attributes: &[
        plain("attribute", "LTarget", Text),
        plain("operator", "Operand", Text),
        plain("value", "RTarget", Text),
        attribute("regexp", "regexp", Text),
        attribute("version", "version", Text),
        attribute("semver", "semver", Text),
        attribute("set_contains", "set_contains", Text),
        attribute("set_contains_all", "set_contains_all", Text),
        attribute("set_contains_any", "set_contains_any", Text),
        attribute("distinct_property", "distinct_property", Text),
        attribute("distinct_hosts", "distinct_hosts", Bool),
        attribute("is_set", "is_set", Bool),
        attribute("is_not_set", "is_not_set", Bool),
    ],
    finish: Some(finish::constraint),
    ..BLOCK
};

/// `affinity { … }`, the same in job, group and task.
pub static AFFINITY: Block = Block {
    name: "affinity",
    json: "Affinities",
    shape: Shape::Many,
    effect: NoEffect,
    attributes: &[
        plain("attribute", "LTarget", Text),
        plain("operator", "Operand", Text),
        plain("value", "RTarget", Text),
        attribute("weight", "Weight", Whole(-128, 127, "Affinity weight must be within the range [-100,100]")),
        attribute("regexp", "regexp", Text),
        attribute("version", "version", Text),
        attribute("semver", "semver", Text),
        attribute("set_contains", "set_contains", Text),
        attribute("set_contains_all", "set_contains_all", Text),
        attribute("set_contains_any", "set_contains_any", Text),
    ],
    finish: Some(finish::affinity),
    ..BLOCK
};

/// `spread { … }`, the same in job and group.
pub static SPREAD: Block = Block {
    name: "spread",
    json: "Spreads",
    shape: Shape::Many,
    effect: NoEffect,
    attributes: &[
        plain("attribute", "Attribute", Text),
        attribute("weight", "Weight", Whole(-128, 127, "Spread block has invalid weight")),
    ],
    blocks: &[&Block {
        name: "target",
        json: "SpreadTarget",
        shape: Shape::Many,
        label: Some("Value"),
        attributes: &[plain("percent", "Percent", Whole(0, 255, "Spread target percentage is invalid"))],
        ..BLOCK
    }],
    ..BLOCK
};

/// `update { … }`, the same in job and group.
pub static UPDATE: Block = Block {
    name: "update",
    json: "Update",
    effect: Warned("\"update\" has no effect yet: a changed group is replaced at once, without a deployment"),
    attributes: &[
        attribute("stagger", "Stagger", Duration("Stagger must be greater than zero")),
        attribute("max_parallel", "MaxParallel", whole("Max parallel can not be less than zero")),
        attribute("health_check", "HealthCheck", Choice(HEALTH, "Invalid health check given")),
        attribute("min_healthy_time", "MinHealthyTime", HEALTHY_TIME),
        attribute("healthy_deadline", "HealthyDeadline", DEADLINE),
        attribute("progress_deadline", "ProgressDeadline", PROGRESS),
        attribute("auto_revert", "AutoRevert", Bool),
        attribute("auto_promote", "AutoPromote", Bool),
        attribute("canary", "Canary", whole("Canary count can not be less than zero")),
    ],
    ..BLOCK
};

const HEALTH: &[&str] = &["checks", "task_states", "manual"];
const HEALTHY_TIME: Kind = Duration("Minimum healthy time may not be less than zero");
const DEADLINE: Kind = Duration("Healthy deadline must be greater than zero");
const PROGRESS: Kind = Duration("Progress deadline must be zero or greater");

/// `migrate { … }`, the same in job and group.
pub static MIGRATE: Block = Block {
    name: "migrate",
    json: "Migrate",
    effect: NoEffect,
    attributes: &[
        attribute("max_parallel", "MaxParallel", whole("Max parallel can not be less than zero")),
        attribute("health_check", "HealthCheck", Text),
        attribute("min_healthy_time", "MinHealthyTime", HEALTHY_TIME),
        attribute("healthy_deadline", "HealthyDeadline", DEADLINE),
    ],
    ..BLOCK
};

/// `reschedule { … }`, the same in job and group but for its JSON name.
pub const RESCHEDULE: Block = Block {
    name: "reschedule",
    json: "ReschedulePolicy",
    effect: NoEffect,
    attributes: &[
        attribute("attempts", "Attempts", whole("Attempts can't be negative")),
        attribute("interval", "Interval", Duration("Interval cannot be negative")),
        attribute("delay", "Delay", Duration("Delay cannot be negative")),
        attribute("delay_function", "DelayFunction", Choice(DELAYS, "Invalid delay function")),
        attribute("max_delay", "MaxDelay", Duration("Max Delay cannot be negative")),
        attribute("unlimited", "Unlimited", Bool),
    ],
    ..BLOCK
};

const DELAYS: &[&str] = &["constant", "exponential", "fibonacci"];

static PERIODIC: Block = Block {
    name: "periodic",
    json: "Periodic",
    effect: Refused(reasons::LATER),
    attributes: &[
        attribute("enabled", "Enabled", Bool),
        attribute("cron", "Spec", Text),
        attribute("crons", "Specs", Texts),
        only_json("SpecType", Text),
        attribute("prohibit_overlap", "ProhibitOverlap", Bool),
        attribute("time_zone", "TimeZone", Text),
    ],
    finish: Some(finish::periodic),
    ..BLOCK
};

static PARAMETERIZED: Block = Block {
    name: "parameterized",
    json: "ParameterizedJob",
    effect: Refused(reasons::LATER),
    attributes: &[
        plain("payload", "Payload", Choice(PAYLOADS, "Unknown payload requirement")),
        attribute("meta_required", "MetaRequired", Texts),
        attribute("meta_optional", "MetaOptional", Texts),
    ],
    ..BLOCK
};

const PAYLOADS: &[&str] = &["optional", "required", "forbidden"];

static UI: Block = Block {
    name: "ui",
    json: "UI",
    effect: Warned("\"ui\" has no effect: there is no web interface to show it"),
    attributes: &[plain("description", "Description", Text)],
    blocks: &[&Block {
        name: "link",
        json: "Links",
        shape: Shape::Many,
        attributes: &[plain("label", "Label", Text), plain("url", "URL", Text)],
        ..BLOCK
    }],
    ..BLOCK
};

static MULTIREGION: Block = Block {
    name: "multiregion",
    json: "Multiregion",
    effect: Refused(reasons::MULTIREGION),
    blocks: &[
        &Block {
            name: "strategy",
            json: "Strategy",
            attributes: &[
                attribute("max_parallel", "MaxParallel", whole("Max parallel can not be less than zero")),
                attribute("on_failure", "OnFailure", Text),
            ],
            ..BLOCK
        },
        &Block {
            name: "region",
            json: "Regions",
            shape: Shape::Many,
            label: Some("Name"),
            attributes: &[
                attribute("count", "Count", whole("count can't be negative")),
                attribute("datacenters", "Datacenters", Texts),
                plain("node_pool", "NodePool", Text),
            ],
            blocks: &[&Block { name: "meta", json: "Meta", shape: Shape::StringsBlock, ..BLOCK }],
            ..BLOCK
        },
    ],
    ..BLOCK
};
