//! YAML, read and written as HCL does.

use serde_json::{Map, Value};

use super::Parameter::{Any, Text};
use super::{Call, Function, fits, function};

pub(super) static FUNCTIONS: &[Function] =
    &[function("yamldecode", &[Text], |c| crate::yaml::read(c.text(0))), function("yamlencode", &[Any], yamlencode)];

fn yamlencode(c: &Call) -> Result<Value, String> {
    let mut out = String::new();
    match c.value(0) {
        Value::Array(items) if !items.is_empty() => sequence(items, 0, &mut out)?,
        Value::Object(fields) if !fields.is_empty() => mapping(fields, 0, &mut out)?,
        plain => {
            out.push_str(&scalar(plain));
            out.push('\n');
        }
    }
    Ok(out.into())
}

fn mapping(fields: &Map<String, Value>, depth: usize, out: &mut String) -> Result<(), String> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(key, _)| *key);
    for (index, (key, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            indent(depth, out)?;
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                indent(depth + 1, out)?;
                mapping(inner, depth + 1, out)?;
            }
            // A list stands as far to the left as its key.
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                indent(depth, out)?;
                sequence(items, depth, out)?;
            }
            plain => line(plain, out),
        }
    }
    Ok(())
}

fn sequence(items: &[Value], depth: usize, out: &mut String) -> Result<(), String> {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            indent(depth, out)?;
        }
        out.push('-');
        match item {
            Value::Object(inner) if !inner.is_empty() => {
                out.push(' ');
                mapping(inner, depth + 1, out)?;
            }
            Value::Array(inner) if !inner.is_empty() => {
                out.push(' ');
                sequence(inner, depth + 1, out)?;
            }
            plain => line(plain, out),
        }
    }
    Ok(())
}

fn indent(depth: usize, out: &mut String) -> Result<(), String> {
    fits(out.len().saturating_add(depth))?;
    (0..depth).for_each(|_| out.push_str("  "));
    Ok(())
}

fn line(value: &Value, out: &mut String) {
    out.push(' ');
    out.push_str(&scalar(value));
    out.push('\n');
}

/// Every text in quotes, so that none is taken for a number; text of several lines as a block.
fn scalar(value: &Value) -> String {
    value.to_string()
}
