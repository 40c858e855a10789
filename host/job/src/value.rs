//! Single values against the types of the table, from HCL and from JSON.

use serde_json::Value;

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
pub fn from_hcl(kind: Kind, value: &Value) -> Result<Value, Wrong> {
    let wrong = |what: &str| Wrong::required(format!("{what} required"));
    match kind {
        Kind::Text => text(value).map(Value::String).ok_or_else(|| wrong("string")),
        Kind::Choice(names, error) => {
            let text = text(value).ok_or_else(|| wrong("string"))?;
            choice(&text, names, error)?;
            Ok(text.into())
        }
        Kind::Bool => match value {
            Value::Bool(truth) => Ok((*truth).into()),
            Value::String(text) if text == "true" => Ok(true.into()),
            Value::String(text) if text == "false" => Ok(false.into()),
            _ => Err(wrong("bool")),
        },
        Kind::Whole(from, to, error) => {
            let number = whole(value).ok_or_else(|| wrong("a whole number"))?;
            within(number, from, to, error)
        }
        Kind::Duration(error) => {
            let nanos = match value {
                Value::String(text) => parse_duration(text)
                    .map_err(|why| Wrong { summary: "Unsuitable duration value".into(), required: why })?,
                other => whole(other).ok_or_else(|| wrong("a duration such as \"30s\""))?,
            };
            within(nanos, 0, i64::MAX, error)
        }
        Kind::Texts => match value {
            Value::Array(items) => {
                items.iter().map(|item| text(item).map(Value::String).ok_or_else(|| wrong("list of string"))).collect()
            }
            _ => Err(wrong("list of string")),
        },
    }
}

/// A value from API JSON, where types are strict and durations are integer nanoseconds.
pub fn from_json(kind: Kind, value: &Value) -> Result<Value, Wrong> {
    let wrong = |go: &str| Wrong::required(format!("cannot read {} as Go type {go}", json_type(value)));
    match kind {
        Kind::Text if value.is_string() => Ok(value.clone()),
        Kind::Text => Err(wrong("string")),
        Kind::Choice(..) if !value.is_string() => Err(wrong("string")),
        // Empty means not given; the CLI sends it so.
        Kind::Choice(..) if value == "" => Ok(Value::Null),
        Kind::Bool if value.is_boolean() => Ok(value.clone()),
        Kind::Bool => Err(wrong("bool")),
        Kind::Whole(from, to, error) => match value.as_i64() {
            Some(number) => within(number, from, to, error),
            None => Err(wrong("int")),
        },
        Kind::Duration(error) => match value.as_i64() {
            Some(nanos) => within(nanos, 0, i64::MAX, error),
            None => Err(Wrong::required(format!(
                "cannot read {} as Go type time.Duration: integer nanoseconds required",
                json_type(value)
            ))),
        },
        Kind::Choice(..) | Kind::Texts => from_hcl(kind, value),
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

fn choice(text: &str, names: &[&str], error: &str) -> Result<(), Wrong> {
    if names.contains(&text) {
        return Ok(());
    }
    let hint = did_you_mean(text, names.iter().copied());
    Err(Wrong {
        summary: format!("{error}: {text:?}"),
        required: format!("It must be one of {}.{hint}", names.join(", ")),
    })
}

fn within(number: i64, from: i64, to: i64, error: &str) -> Result<Value, Wrong> {
    if (from..=to).contains(&number) {
        Ok(number.into())
    } else {
        Err(Wrong { summary: error.into(), required: format!("Got {number}.") })
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}
