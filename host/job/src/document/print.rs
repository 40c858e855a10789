//! Documents as `nomad job run -output` prints them.

use serde_json::{Map, Value};

use crate::spec::{Absent, Block, JOB, Kind, Shape, is_shorthand};

/// A tidy document with every field there is.
pub fn print(document: &Value) -> Value {
    document.as_object().map_or(Value::Null, |job| Value::Object(printed(&JOB, job)))
}

fn printed(spec: &Block, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |json: &str, absent: Absent, value: Option<Value>, zero: Value| {
        let value = match (value, absent) {
            (Some(value), _) => value,
            (None, Absent::Null) => Value::Null,
            (None, Absent::Zero) => zero,
            (None, Absent::Omitted) => return,
        };
        if !is_shorthand(json) {
            out.insert(json.to_owned(), value);
        }
    };
    if let Some(label) = spec.label {
        put(label, Absent::Zero, fields.get(label).cloned(), "".into());
    }
    for attribute in spec.attributes {
        put(attribute.json, attribute.absent, fields.get(attribute.json).cloned(), zero(attribute.kind));
    }
    for block in spec.blocks {
        for json in [Some(block.json), block.other_json].into_iter().flatten() {
            put(json, block.absent, fields.get(json).map(|value| printed_block(block, value)), Value::Null);
        }
    }
    out
}

fn printed_block(spec: &Block, value: &Value) -> Value {
    let one = |value: &Value| match value {
        Value::Object(fields) => Value::Object(printed(spec, fields)),
        other => other.clone(),
    };
    match (spec.shape, value) {
        (Shape::One, value) => one(value),
        (Shape::Many, Value::Array(items)) => items.iter().map(one).collect(),
        (Shape::ByLabel, Value::Object(entries)) => {
            entries.iter().map(|(label, entry)| (label.clone(), one(entry))).collect::<Map<_, _>>().into()
        }
        (_, value) => value.clone(),
    }
}

/// What Go gives a variable of a type before anything else does.
fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Text | Kind::Choice(..) => "".into(),
        Kind::Bool => false.into(),
        Kind::Whole(..) | Kind::Duration(_) => 0.into(),
        Kind::Texts | Kind::Wholes(..) | Kind::Strings | Kind::Any => Value::Null,
    }
}
