//! The `service` block and its checks, the same in group and task.

use super::Effect::Refused;
use super::Kind::{Bool, Choice, Duration, Text, Texts};
use super::reasons::LATER;
use super::{Attribute, BLOCK, Block, Kind, Shape, attribute, connect, plain, task, whole};

/// A name under which a port is found.
pub static SERVICE: Block = Block {
    name: "service",
    json: "Services",
    shape: Shape::Many,
    effect: Refused(LATER),
    attributes: ATTRIBUTES,
    blocks: &[
        &CHECK,
        &CHECK_RESTART,
        &connect::CONNECT,
        &Block { name: "meta", json: "Meta", shape: Shape::StringsBlock, ..BLOCK },
        &Block { name: "canary_meta", json: "CanaryMeta", shape: Shape::StringsBlock, ..BLOCK },
        &Block { name: "tagged_addresses", json: "TaggedAddresses", shape: Shape::StringsBlock, ..BLOCK },
        &Block { shape: Shape::One, json: "Identity", ..IDENTITY },
        &Block {
            name: "weights",
            json: "Weights",
            attributes: &[plain("passing", "Passing", WEIGHT), plain("warning", "Warning", WEIGHT)],
            ..BLOCK
        },
    ],
    ..BLOCK
};

const IDENTITY: Block = task::IDENTITY_BLOCK;
const WEIGHT: Kind = whole("a weight can't be negative");

const ATTRIBUTES: &[Attribute] = &[
    plain("name", "Name", Text),
    attribute("tags", "Tags", Texts),
    attribute("canary_tags", "CanaryTags", Texts),
    plain("enable_tag_override", "EnableTagOverride", Bool),
    plain("port", "PortLabel", Text),
    plain("address_mode", "AddressMode", Text),
    plain("address", "Address", Text),
    plain("task", "TaskName", Text),
    plain("on_update", "OnUpdate", Choice(ON_UPDATE, "on_update is invalid")),
    plain("provider", "Provider", Text),
    plain("cluster", "Cluster", Text),
    plain("kind", "Kind", Text),
];

const ON_UPDATE: &[&str] = &["require_healthy", "ignore_warnings", "ignore"];

static CHECK: Block = Block {
    name: "check",
    json: "Checks",
    shape: Shape::Many,
    attributes: CHECK_ATTRIBUTES,
    blocks: &[&Block { name: "header", json: "Header", shape: Shape::Lists, ..BLOCK }, &CHECK_RESTART],
    ..BLOCK
};

const CHECK_ATTRIBUTES: &[Attribute] = &[
    plain("name", "Name", Text),
    plain("type", "Type", Text),
    plain("command", "Command", Text),
    attribute("args", "Args", Texts),
    plain("path", "Path", Text),
    plain("protocol", "Protocol", Text),
    plain("port", "PortLabel", Text),
    plain("expose", "Expose", Bool),
    plain("address_mode", "AddressMode", Text),
    plain("advertise", "Advertise", Text),
    plain("interval", "Interval", Duration("interval can't be negative")),
    plain("timeout", "Timeout", Duration("timeout can't be negative")),
    plain("initial_status", "InitialStatus", Text),
    plain("notes", "Notes", Text),
    plain("tls_server_name", "TLSServerName", Text),
    plain("tls_skip_verify", "TLSSkipVerify", Bool),
    plain("method", "Method", Text),
    plain("grpc_service", "GRPCService", Text),
    plain("grpc_use_tls", "GRPCUseTLS", Bool),
    plain("task", "TaskName", Text),
    plain("success_before_passing", "SuccessBeforePassing", whole("success_before_passing must be non-negative")),
    plain("failures_before_critical", "FailuresBeforeCritical", whole("failures_before_critical must be non-negative")),
    plain("failures_before_warning", "FailuresBeforeWarning", whole("failures_before_warning must be non-negative")),
    plain("body", "Body", Text),
    plain("on_update", "OnUpdate", Choice(ON_UPDATE, "on_update is invalid")),
];

static CHECK_RESTART: Block = Block {
    name: "check_restart",
    json: "CheckRestart",
    attributes: &[
        plain("limit", "Limit", whole("limit must be non-negative")),
        attribute("grace", "Grace", Duration("grace period cannot be negative")),
        plain("ignore_warnings", "IgnoreWarnings", Bool),
    ],
    ..BLOCK
};
