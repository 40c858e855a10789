//! Files made before a task starts: `template` and `artifact`.

use super::Effect::{Refused, Warned};
use super::Kind::{Bool, Choice, Duration, Text, Texts, Whole};
use super::{Attribute, BLOCK, Block, Kind, Shape, attribute, finish, plain, reasons};

/// A file fetched from elsewhere.
pub static ARTIFACT: Block = Block {
    name: "artifact",
    json: "Artifacts",
    shape: Shape::Many,
    effect: Refused(reasons::LATER),
    attributes: &[
        attribute("source", "GetterSource", Text),
        attribute("mode", "GetterMode", Choice(&["any", "file", "dir"], "invalid artifact mode")),
        attribute("insecure", "GetterInsecure", Bool),
        attribute("destination", "RelativeDest", Text),
        plain("chown", "Chown", Bool),
    ],
    blocks: &[
        &Block { name: "options", json: "GetterOptions", shape: Shape::StringsBlock, ..BLOCK },
        &Block { name: "headers", json: "GetterHeaders", shape: Shape::StringsBlock, ..BLOCK },
    ],
    ..BLOCK
};

/// A file written from a template.
pub static TEMPLATE: Block = Block {
    name: "template",
    json: "Templates",
    shape: Shape::Many,
    effect: Refused(reasons::LATER),
    attributes: TEMPLATE_ATTRIBUTES,
    blocks: &[&CHANGE_SCRIPT, &WAIT],
    finish: Some(finish::template),
    ..BLOCK
};

const TEMPLATE_ATTRIBUTES: &[Attribute] = &[
    attribute("source", "SourcePath", Text),
    attribute("destination", "DestPath", Text),
    attribute("data", "EmbeddedTmpl", Text),
    attribute("change_mode", "ChangeMode", Choice(CHANGE, "Invalid change mode")),
    attribute("change_signal", "ChangeSignal", Text),
    attribute("once", "Once", Bool),
    attribute("splay", "Splay", Duration("Must specify positive splay value")),
    attribute("perms", "Perms", Text),
    attribute("uid", "Uid", OWNER),
    attribute("gid", "Gid", OWNER),
    attribute("left_delimiter", "LeftDelim", Text),
    attribute("right_delimiter", "RightDelim", Text),
    attribute("env", "Envvars", Bool),
    attribute("vault_grace", "VaultGrace", GRACE).effect(Warned("vault_grace has been removed and has no effect")),
    attribute("error_on_missing_key", "ErrMissingKey", Bool),
];

const CHANGE: &[&str] = &["noop", "signal", "script", "restart"];
const OWNER: Kind = Whole(-1, u32::MAX as i64, "an owner is a number, or -1 for the agent's own");
const GRACE: Kind = Duration("vault_grace can't be negative");

static CHANGE_SCRIPT: Block = Block {
    name: "change_script",
    json: "ChangeScript",
    attributes: &[
        attribute("command", "Command", Text),
        attribute("args", "Args", Texts),
        attribute("timeout", "Timeout", Duration("timeout can't be negative")),
        attribute("fail_on_error", "FailOnError", Bool),
        attribute("run_on_first_render", "RunOnFirstRender", Bool),
    ],
    finish: Some(finish::change_script),
    ..BLOCK
};

static WAIT: Block = Block {
    name: "wait",
    json: "Wait",
    attributes: &[
        attribute("min", "Min", Duration("Wait Min must not be negative")),
        attribute("max", "Max", Duration("Wait Max must not be negative")),
    ],
    ..BLOCK
};
