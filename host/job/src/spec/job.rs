//! The `job` block.

use super::Effect::{NoEffect, Refused, Warned};
use super::Kind::{Bool, Choice, Duration, Text, Texts, Whole};
use super::{Attribute, BLOCK, Block, Shape, attribute, attribute_with, count, finish, group};
use super::{no_effect, refused::job as refused, set_by_agent, size};
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
        &no_effect("affinity", "Affinities"),
        &no_effect("spread", "Spreads"),
        &no_effect("reschedule", "Reschedule"),
        &no_effect("migrate", "Migrate"),
        &refused::MULTIREGION,
        &refused::PARAMETERIZED,
        &refused::PERIODIC,
        &refused::SECRET,
        &refused::UI,
        &refused::VAULT,
    ],
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
    attribute_with("priority", "Priority", PRIORITY, NoEffect),
    attribute_with("all_at_once", "AllAtOnce", Bool, NoEffect),
    attribute_with("consul_token", "ConsulToken", Text, Refused(refused::CONSUL)),
    attribute_with("consul_namespace", "ConsulNamespace", Text, Refused(refused::CONSUL)),
    attribute_with("vault_token", "VaultToken", Text, Refused(refused::VAULT_REASON)),
    set_by_agent("Stop", Bool),
    set_by_agent("Status", Text),
    set_by_agent("Version", INDEX),
    set_by_agent("SubmitTime", Whole(i64::MIN, i64::MAX, "")),
    set_by_agent("CreateIndex", INDEX),
    set_by_agent("ModifyIndex", INDEX),
    set_by_agent("JobModifyIndex", INDEX),
];

const INDEX: super::Kind = size("an index can't be negative");
const PRIORITY: super::Kind = Whole(1, 100, "job priority must be between [1, 100]");

/// `meta { … }` or `meta = { … }`, the same in job, group and task.
pub static META: Block = Block { name: "meta", json: "Meta", shape: Shape::Strings, ..BLOCK };

/// `constraint { … }`, the same in job, group and task.
pub static CONSTRAINT: Block = Block {
    name: "constraint",
    json: "Constraints",
    shape: Shape::Many,
    attributes: &[
        attribute("attribute", "LTarget", Text),
        attribute("operator", "Operand", Text),
        attribute("value", "RTarget", Text),
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

/// `update { … }`, the same in job and group.
pub static UPDATE: Block = Block {
    name: "update",
    json: "Update",
    effect: Warned("\"update\" has no effect yet: a changed group is replaced at once, without a deployment"),
    attributes: &[
        attribute("stagger", "Stagger", Duration("Stagger must be greater than zero")),
        attribute("max_parallel", "MaxParallel", count("Max parallel can not be less than zero")),
        attribute("health_check", "HealthCheck", Choice(HEALTH, "Invalid health check given")),
        attribute("min_healthy_time", "MinHealthyTime", HEALTHY_TIME),
        attribute("healthy_deadline", "HealthyDeadline", DEADLINE),
        attribute("progress_deadline", "ProgressDeadline", PROGRESS),
        attribute("auto_revert", "AutoRevert", Bool),
        attribute("auto_promote", "AutoPromote", Bool),
        attribute("canary", "Canary", count("Canary count can not be less than zero")),
    ],
    ..BLOCK
};

const HEALTH: &[&str] = &["checks", "task_states", "manual"];
const HEALTHY_TIME: super::Kind = Duration("Minimum healthy time may not be less than zero");
const DEADLINE: super::Kind = Duration("Healthy deadline must be greater than zero");
const PROGRESS: super::Kind = Duration("Progress deadline must be zero or greater");
