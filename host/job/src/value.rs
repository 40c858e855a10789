//! Single values against the types of the table, from HCL and from JSON.

use serde_json::{Map, Value};

use crate::hcl::convert::{to_bool, to_text, to_whole};
use crate::hcl::value::Value as Evaluated;
use crate::model::parse_duration;
use crate::spec::Kind;
use crate::suggest::did_you_mean;

/// Why a value does not fit.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// As [`Diagnostic::summary`](crate::Diagnostic::summary).
    pub summary: String,
    /// What is required, if the summary does not say.
    required: String,
}

impl Wrong {
    fn required(what: impl Into<String>) -> Self {
        Self { summary: "Incorrect attribute value type".into(), required: what.into() }
    }

    /// As [`Diagnostic::detail`](crate::Diagnostic::detail), for the attribute of this name.
    pub fn detail(&self, name: &str) -> String {
        if self.summary == "Incorrect attribute value type" {
            format!("Inappropriate value for attribute {name:?}: {}.", self.required)
        } else {
            self.required.clone()
        }
    }
}

/// A value from HCL, where text, numbers and booleans stand for each other and durations are text.
pub fn from_hcl(kind: Kind, value: &Evaluated) -> Result<Value, Wrong> {
    let wrong = |what: &str| Wrong::required(format!("{what} required"));
    let as_text = |item: &Evaluated| to_text(item).map(Value::String);
    let as_whole = |item: &Evaluated| to_whole(item).map(Value::from);
    match kind {
        Kind::Any => value.json().ok_or_else(|| wrong("a number of a usual size")),
        Kind::Text | Kind::Choice(..) => as_text(value).ok_or_else(|| wrong("string")),
        Kind::Bool => to_bool(value).map(Value::from).ok_or_else(|| wrong("bool")),
        Kind::Whole(..) => as_whole(value).ok_or_else(|| wrong("a whole number")),
        Kind::Duration(_) => match value {
            Evaluated::String(text) => parse_duration(text)
                .map(Value::from)
                .map_err(|why| Wrong { summary: "Unsuitable duration value".into(), required: why }),
            other => as_whole(other).ok_or_else(|| wrong("a duration such as \"30s\"")),
        },
        Kind::Texts => list(value, as_text).ok_or_else(|| wrong("list of string")),
        Kind::Wholes(..) => list(value, as_whole).ok_or_else(|| wrong("list of number")),
        Kind::Strings => match value {
            Evaluated::Object(fields) => fields
                .iter()
                .map(|(key, item)| Some((key.clone(), as_text(item)?)))
                .collect::<Option<Map<_, _>>>()
                .map(Value::Object)
                .ok_or_else(|| wrong("map of string")),
            _ => Err(wrong("map of string")),
        },
    }
}

fn list(value: &Evaluated, item: impl Fn(&Evaluated) -> Option<Value>) -> Option<Value> {
    value.as_array()?.iter().map(item).collect()
}

/// A value from API JSON, where types are strict and durations are integer nanoseconds.
pub fn from_json(kind: Kind, value: &Value) -> Result<Value, Wrong> {
    let wrong = |go: &str| Wrong::required(format!("cannot read {} as Go type {go}", json_type(value)));
    match kind {
        Kind::Text | Kind::Choice(..) if !value.is_string() => Err(wrong("string")),
        Kind::Bool if !value.is_boolean() => Err(wrong("bool")),
        Kind::Whole(..) if value.as_i64().is_none() => Err(wrong("int")),
        Kind::Duration(_) if value.as_i64().is_none() => Err(Wrong::required(format!(
            "cannot read {} as Go type time.Duration: integer nanoseconds required",
            json_type(value)
        ))),
        _ => from_hcl(kind, &value.clone().into()),
    }
}

/// What is wrong with a value that has the right type: out of range, or none of those that may stand there.
pub fn judge(kind: Kind, value: &Value) -> Option<Wrong> {
    let within = |value: &Value, from: i64, to: i64, error: &str| {
        let number = value.as_i64().filter(|number| !(from..=to).contains(number))?;
        Some(Wrong { summary: error.into(), required: format!("Got {number}.") })
    };
    match kind {
        Kind::Choice(names, error) => choice(value.as_str()?, names, error),
        Kind::Whole(from, to, error) => within(value, from, to, error),
        Kind::Duration(error) => within(value, 0, i64::MAX, error),
        Kind::Wholes(from, to, error) => value.as_array()?.iter().find_map(|item| within(item, from, to, error)),
        _ => None,
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn choice(text: &str, names: &[&str], error: &str) -> Option<Wrong> {
    // What is filled in when the task starts cannot be judged yet.
    if names.contains(&text) || text.is_empty() || text.contains("${") {
        return None;
    }
    let hint = did_you_mean(text, names.iter().copied());
    Some(Wrong {
        summary: format!("{error}: {text:?}"),
        required: format!("It must be one of {}.{hint}", names.join(", ")),
    })
}
