//! YAML, read and written as HCL does.

use super::Parameter::{Any, Text};
use super::{Call, Function, fits, function};
use crate::hcl::value::{Map, Value};
use crate::yaml;

pub(super) static FUNCTIONS: &[Function] = &[
    function("yamldecode", &[Text], |c| Ok(yaml::read(c.text(0), yaml::Words::Many)?.into())),
    function("yamlencode", &[Any], yamlencode),
];

fn yamlencode(c: &Call) -> Result<Value, String> {
    let mut out = String::new();
    match c.value(0) {
        Value::Array(items) if !items.is_empty() => sequence(items, 0, &mut out)?,
        Value::Object(fields) if !fields.is_empty() => mapping(fields, 0, &mut out)?,
        plain => {
            line(plain, 0, &mut out)?;
            // What stands without quotes could go on, so its end is marked.
            if !matches!(plain, Value::String(_) | Value::Array(_) | Value::Object(_)) {
                out.push_str("...\n");
            }
        }
    }
    Ok(out.trim_start().into())
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
            plain => line(plain, depth, out)?,
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
            plain => line(plain, depth, out)?,
        }
    }
    Ok(())
}

fn indent(depth: usize, out: &mut String) -> Result<(), String> {
    fits(out.len().saturating_add(depth))?;
    (0..depth).for_each(|_| out.push_str("  "));
    Ok(())
}

/// Every text in quotes, so that none is taken for a number; text of several lines as a block, if it can be one.
fn line(value: &Value, depth: usize, out: &mut String) -> Result<(), String> {
    match value {
        Value::String(text) if is_block(text) => block(text, depth + 1, out),
        plain => {
            out.push_str(&format!(" {plain}\n"));
            Ok(())
        }
    }
}

/// Spaces at the end of a line, and characters that cannot be seen, need quotes.
fn is_block(text: &str) -> bool {
    let seen = |letter: char| letter == '\n' || !letter.is_control();
    text.contains('\n') && text.chars().all(seen) && !text.split('\n').any(|line| line.ends_with(' '))
}

/// After `|` comes the indentation, where the text does not show it, and what becomes of the line breaks at its end.
fn block(text: &str, depth: usize, out: &mut String) -> Result<(), String> {
    out.push_str(" |");
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 if !body.is_empty() => {}
        _ => out.push('+'),
    }
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            indent(depth, out)?;
        }
        fits(out.len().saturating_add(line.len()))?;
        out.push_str(line);
        out.push('\n');
    }
    Ok(())
}
