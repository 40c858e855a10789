//! Last touches on single blocks: shorthands spelled out, so that JSON holds the one long form.

use serde_json::{Map, Value};

type Fields = Map<String, Value>;

/// Operators that may stand in place of `value`, as `version = ">= 1.2"`.
const WITH_VALUE: [&str; 6] = ["regexp", "version", "semver", "set_contains", "set_contains_all", "set_contains_any"];
/// Operators that may stand as a flag.
const FLAGS: [&str; 3] = ["distinct_hosts", "is_set", "is_not_set"];

/// `constraint { distinct_hosts = true }` means `operator = "distinct_hosts"`, and so on.
pub fn constraint(fields: &mut Fields) -> Result<(), String> {
    for operator in WITH_VALUE {
        if let Some(value) = fields.shift_remove(operator) {
            fields.insert("Operand".into(), operator.into());
            fields.insert("RTarget".into(), value);
        }
    }
    if let Some(property) = fields.shift_remove("distinct_property") {
        fields.insert("Operand".into(), "distinct_property".into());
        fields.insert("LTarget".into(), property);
    }
    for operator in FLAGS {
        match fields.shift_remove(operator) {
            Some(Value::Bool(true)) => {
                fields.insert("Operand".into(), operator.into());
            }
            Some(_) => return Err(format!("{operator} should be set to true or left out")),
            None => {}
        }
    }
    fields.entry("Operand").or_insert_with(|| "=".into());
    Ok(())
}

/// `logs { enabled = false }` is the old spelling of `disabled = true`.
pub fn logs(fields: &mut Fields) -> Result<(), String> {
    let Some(enabled) = fields.shift_remove("Enabled") else {
        return Ok(());
    };
    let disabled = enabled == Value::Bool(false);
    match fields.insert("Disabled".into(), disabled.into()) {
        Some(other) if other != Value::Bool(disabled) => {
            Err("only one of \"disabled\" and \"enabled\" may be set".into())
        }
        _ => Ok(()),
    }
}

/// A lifecycle without a hook says nothing.
pub fn lifecycle(fields: &mut Fields) -> Result<(), String> {
    if fields.contains_key("Hook") { Ok(()) } else { Err("no lifecycle hook provided".into()) }
}

/// A port with a number goes to another list than one without.
pub fn port_list(fields: &Fields) -> &'static str {
    match fields.get("Value").and_then(Value::as_i64) {
        Some(number) if number > 0 => "ReservedPorts",
        _ => "DynamicPorts",
    }
}
