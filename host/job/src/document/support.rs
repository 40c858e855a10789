//! What a job may hold and this agent does not act on.

use serde_json::{Map, Value};

use super::says_nothing;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source_map::join;
use crate::spec::{Block, Effect, JOB, Shape};

/// What of a job this agent does not act on, each with the reason; for the agent to refuse. The pointers are into
/// the job's own document.
pub fn unsupported(job: &crate::Job) -> Diagnostics {
    let mut found = Diagnostics::new();
    if let Value::Object(fields) = crate::to_json(job) {
        refuse(&JOB, &fields, "", &mut found);
    }
    found
}

fn refuse(spec: &Block, fields: &Map<String, Value>, at: &str, found: &mut Diagnostics) {
    for attribute in spec.attributes {
        if let (Some(value), Effect::Refused(reason)) = (fields.get(attribute.json), attribute.effect) {
            complain(attribute.name, reason, value, &join(at, attribute.json), found);
        }
    }
    for block in spec.blocks {
        // What only JSON has is known by its name in lower case.
        let name = if block.name.is_empty() { block.json.to_lowercase() } else { block.name.to_owned() };
        for (pointer, part) in parts(block, fields, at) {
            match (block.effect, part) {
                (Effect::Refused(reason), part) => complain(&name, reason, part, &pointer, found),
                (_, Value::Object(inner)) => refuse(block, inner, &pointer, found),
                _ => {}
            }
        }
    }
}

fn complain(name: &str, reason: &str, value: &Value, at: &str, found: &mut Diagnostics) {
    if !says_nothing(value) {
        found.push(Diagnostic::error(format!("{name:?} cannot be used here"), reason).at(at));
    }
}

/// Every block of a kind, with its pointer.
fn parts<'v>(block: &Block, fields: &'v Map<String, Value>, at: &str) -> Vec<(String, &'v Value)> {
    let pointer = join(at, block.json);
    match (block.shape, fields.get(block.json)) {
        (_, None) => Vec::new(),
        (Shape::Many, Some(Value::Array(items))) => {
            items.iter().enumerate().map(|(index, item)| (join(&pointer, &index.to_string()), item)).collect()
        }
        (Shape::ByLabel, Some(Value::Object(items))) => {
            items.iter().map(|(label, item)| (join(&pointer, label), item)).collect()
        }
        (_, Some(value)) => vec![(pointer, value)],
    }
}
