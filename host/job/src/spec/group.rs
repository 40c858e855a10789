//! The `group` block, its network and its ports.

use super::Effect::{NoEffect, Refused, Warned};
use super::Kind::{Bool, Choice, Duration, Text, Texts, Whole};
use super::{Attribute, BLOCK, Block, Kind, Shape, attribute, attribute_with, count, finish, job};
use super::{no_effect, refused::group as refused, size, task};

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
        &no_effect("affinity", "Affinities"),
        &no_effect("spread", "Spreads"),
        &no_effect("reschedule", "ReschedulePolicy"),
        &no_effect("migrate", "Migrate"),
        &no_effect("disconnect", "Disconnect"),
        &no_effect("scaling", "Scaling"),
        &refused::SERVICE,
        &refused::VOLUME,
        &refused::CONSUL,
        &refused::VAULT,
    ],
    ..BLOCK
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("count", "Count", count("Task group count can't be negative")),
    attribute("shutdown_delay", "ShutdownDelay", SHUTDOWN_DELAY),
    attribute_with("max_run_duration", "MaxRunDuration", ANY_DURATION, Refused(refused::MAX_RUN)),
    attribute_with("stop_after_client_disconnect", "StopAfterClientDisconnect", LOST, NoEffect),
    attribute_with("max_client_disconnect", "MaxClientDisconnect", LOST, NoEffect),
    attribute_with("prevent_reschedule_on_lost", "PreventRescheduleOnLost", Bool, NoEffect),
];

/// Of groups and of tasks.
pub const SHUTDOWN_DELAY: Kind = Duration("ShutdownDelay must be a positive value");
const ANY_DURATION: Kind = Duration("MaxRunDuration must be greater than zero");
const LOST: Kind = Duration("must be a positive value");

/// The network of an allocation, or, in the legacy place, of a task.
pub static NETWORK: Block = Block {
    name: "network",
    json: "Networks",
    shape: Shape::OneInList,
    attributes: &[
        attribute("mode", "Mode", Text),
        attribute("hostname", "Hostname", Text),
        attribute_with("mbits", "MBits", size("mbits can't be negative"), Warned(MBITS)),
    ],
    blocks: &[&PORT, &DNS, &refused::CNI],
    ..BLOCK
};

const MBITS: &str = "mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network block";

static PORT: Block = Block {
    name: "port",
    json: "DynamicPorts",
    shape: Shape::Many,
    label: Some("Label"),
    attributes: &[
        attribute("static", "Value", Whole(0, 65_535, "Static port cannot be greater than 65535")),
        attribute("to", "To", Whole(-1, 65_535, PORT_TO)),
        attribute("host_network", "HostNetwork", Text),
        attribute("ignore_collision", "IgnoreCollision", Bool),
    ],
    place: Some(finish::port_list),
    other_json: Some("ReservedPorts"),
    ..BLOCK
};

const PORT_TO: &str = "A port cannot be mapped to a negative value (but -1) or to a port greater than 65535";

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

/// Of groups and of tasks.
pub static RESTART: Block = Block {
    name: "restart",
    json: "RestartPolicy",
    attributes: &[
        attribute("attempts", "Attempts", count("attempts can't be negative")),
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
        attribute_with("migrate", "Migrate", Bool, NoEffect),
    ],
    ..BLOCK
};
