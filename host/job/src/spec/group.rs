//! The `group` block, its network and its ports, its volumes and policies.

use super::Effect::{NoEffect, Refused, Warned};
use super::Kind::{Any, Bool, Choice, Duration, Strings, Text, Texts, Whole};
use super::{Absent, Attribute, BLOCK, Block, Kind, Shape, attribute, finish, job, only_json, plain, reasons};
use super::{service, size, task, whole};

/// A group of tasks.
pub static GROUP: Block = Block {
    name: "group",
    json: "TaskGroups",
    shape: Shape::Many,
    label: Some("Name"),
    attributes: ATTRIBUTES,
    blocks: &[
        &task::TASK,
        &NETWORK,
        &RESTART,
        &EPHEMERAL_DISK,
        &job::META,
        &job::CONSTRAINT,
        &job::UPDATE,
        &job::AFFINITY,
        &job::SPREAD,
        &job::RESCHEDULE,
        &job::MIGRATE,
        &DISCONNECT,
        &SCALING,
        &service::SERVICE,
        &VOLUME,
        &CONSUL,
        &task::INHERITED_VAULT,
        &task::INHERITED_SECRET,
    ],
    ..BLOCK
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("count", "Count", whole("Task group count can't be negative")),
    attribute("shutdown_delay", "ShutdownDelay", SHUTDOWN_DELAY),
    attribute("max_run_duration", "MaxRunDuration", ANY_DURATION).effect(Refused(reasons::LATER)),
    attribute("stop_after_client_disconnect", "StopAfterClientDisconnect", LOST).effect(NoEffect),
    attribute("max_client_disconnect", "MaxClientDisconnect", LOST).effect(NoEffect),
    attribute("prevent_reschedule_on_lost", "PreventRescheduleOnLost", Bool).effect(NoEffect),
];

/// Of groups and of tasks.
pub const SHUTDOWN_DELAY: Kind = Duration("ShutdownDelay must be a positive value");
const ANY_DURATION: Kind = Duration("MaxRunDuration must be greater than zero");
const LOST: Kind = Duration("must be a positive value");

/// The network of an allocation, or, in the legacy place, of a task.
pub static NETWORK: Block = Block {
    name: "network",
    json: "Networks",
    shape: Shape::Many,
    attributes: &[
        plain("mode", "Mode", Text),
        plain("device", "Device", Text).effect(NoEffect),
        plain("cidr", "CIDR", Text).effect(NoEffect),
        plain("ip", "IP", Text).effect(NoEffect),
        plain("hostname", "Hostname", Text),
        attribute("mbits", "MBits", size("mbits can't be negative")).effect(Warned(MBITS)),
        attribute("dynamic_ports", "dynamic_ports", Any).effect(Warned(LEGACY_PORTS)),
        attribute("reserved_ports", "reserved_ports", Any).effect(Warned(LEGACY_PORTS)),
    ],
    blocks: &[&PORT, &DNS, &CNI],
    finish: Some(finish::network),
    ..BLOCK
};

const MBITS: &str = "mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network block";
const LEGACY_PORTS: &str = "lists of ports are the form of Nomad 0.1; `longshore job fmt --upgrade` writes port blocks";

static PORT: Block = Block {
    name: "port",
    json: "DynamicPorts",
    shape: Shape::Many,
    label: Some("Label"),
    attributes: &[
        plain("static", "Value", Whole(0, 65_535, "Static port cannot be negative or greater than 65535")),
        plain("to", "To", Whole(-1, 65_535, PORT_TO)),
        plain("host_network", "HostNetwork", Text),
        plain("ignore_collision", "IgnoreCollision", Bool),
        PROTOCOL,
    ],
    place: Some(finish::port_list),
    other_json: Some("ReservedPorts"),
    ..BLOCK
};

/// Ours alone: documents for others have it only where it was written.
const PROTOCOL: Attribute = Attribute {
    absent: Absent::Omitted,
    ..attribute("protocol", "Protocol", Choice(&["tcp", "udp", "both"], "A port's protocol is tcp, udp or both"))
};
const PORT_TO: &str = "A port cannot be mapped to a negative value (but -1) or to a port greater than 65535";
/// Said of a number that no port has.
pub const NO_PORT: &str = "a port is a number from 0 to 65535";
/// A number of a port.
pub const PORT_NUMBER: Kind = Whole(0, 65_535, NO_PORT);

static DNS: Block = Block {
    name: "dns",
    json: "DNS",
    attributes: &[
        attribute("servers", "Servers", Texts),
        attribute("searches", "Searches", Texts),
        attribute("options", "Options", Texts),
    ],
    ..BLOCK
};

static CNI: Block = Block { name: "cni", json: "CNI", attributes: &[attribute("args", "Args", Strings)], ..BLOCK };

/// Of groups and of tasks.
pub static RESTART: Block = Block {
    name: "restart",
    json: "RestartPolicy",
    attributes: &[
        attribute("attempts", "Attempts", whole("attempts can't be negative")),
        attribute("interval", "Interval", Duration("Interval can not be less than 5s")),
        attribute("delay", "Delay", Duration("Delay can't be negative")),
        attribute("mode", "Mode", Choice(&["fail", "delay"], "Unsupported restart mode")),
        attribute("render_templates", "RenderTemplates", Bool),
    ],
    ..BLOCK
};

static EPHEMERAL_DISK: Block = Block {
    name: "ephemeral_disk",
    json: "EphemeralDisk",
    attributes: &[
        attribute("size", "SizeMB", size("minimum DiskMB value is 10")),
        attribute("sticky", "Sticky", Bool),
        attribute("migrate", "Migrate", Bool).effect(NoEffect),
    ],
    ..BLOCK
};

static DISCONNECT: Block = Block {
    name: "disconnect",
    json: "Disconnect",
    effect: NoEffect,
    attributes: &[
        attribute("lost_after", "LostAfter", LOST),
        attribute("stop_on_client_after", "StopOnClientAfter", LOST),
        attribute("replace", "Replace", Bool),
        attribute("reconcile", "Reconcile", Text),
    ],
    ..BLOCK
};

static SCALING: Block = Block {
    name: "scaling",
    json: "Scaling",
    effect: NoEffect,
    attributes: SCALING_ATTRIBUTES,
    blocks: &[&POLICY],
    finish: Some(finish::scaling),
    ..BLOCK
};

/// Of groups and of tasks.
pub const SCALING_ATTRIBUTES: &[Attribute] = &[
    attribute("min", "Min", whole("minimum count must be specified and non-negative")),
    attribute("max", "Max", whole("maximum count must be specified and non-negative")),
    attribute("enabled", "Enabled", Bool),
    plain("type", "Type", Text),
    plain("", "ID", Text),
    plain("", "Namespace", Text),
    only_json("Target", Any),
    plain("", "CreateIndex", size("an index can't be negative")),
    plain("", "ModifyIndex", size("an index can't be negative")),
];

/// What an autoscaler is told.
pub static POLICY: Block = Block { name: "policy", json: "Policy", shape: Shape::Free, ..BLOCK };

static VOLUME: Block = Block {
    name: "volume",
    json: "Volumes",
    shape: Shape::ByLabel,
    label: Some("Name"),
    effect: Refused(reasons::LATER),
    attributes: &[
        plain("type", "Type", Text),
        plain("source", "Source", Text),
        plain("read_only", "ReadOnly", Bool),
        plain("sticky", "Sticky", Bool),
        plain("access_mode", "AccessMode", Text),
        plain("attachment_mode", "AttachmentMode", Text),
        plain("per_alloc", "PerAlloc", Bool),
    ],
    blocks: &[&Block {
        name: "mount_options",
        json: "MountOptions",
        attributes: &[plain("fs_type", "FSType", Text), attribute("mount_flags", "MountFlags", Texts)],
        ..BLOCK
    }],
    ..BLOCK
};

/// Of groups and of tasks.
pub static CONSUL: Block = Block {
    name: "consul",
    json: "Consul",
    effect: Refused(reasons::CONSUL),
    attributes: &[
        plain("namespace", "Namespace", Text),
        plain("cluster", "Cluster", Text),
        plain("partition", "Partition", Text),
    ],
    ..BLOCK
};
