//! Last touches on single blocks: what Nomad's own reader of job files does once a block is read, so that a document
//! holds the one long form.

use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// Operators that may stand in place of `value`, as `version = ">= 1.2"`; of several the last counts.
const WITH_VALUE: [&str; 6] = ["version", "semver", "regexp", "set_contains_any", "set_contains_all", "set_contains"];
/// Operators that may stand as a flag.
const FLAGS: [&str; 2] = ["is_set", "is_not_set"];

/// Whether a JSON name stands for a shorthand that is gone once its block is finished.
pub fn is_shorthand(json: &str) -> bool {
    json.starts_with(|first: char| first.is_ascii_lowercase())
}

/// `constraint { distinct_hosts = true }` means `operator = "distinct_hosts"`, and so on.
pub fn constraint(fields: &mut Fields) -> Result<(), String> {
    values(fields);
    if let Some(wanted) = fields.shift_remove("distinct_hosts") {
        fields.insert("Operand".into(), "distinct_hosts".into());
        fields.insert("RTarget".into(), wanted.to_string().into());
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
    equals_unless_given(fields);
    Ok(())
}

/// As [`constraint`], for the operators an affinity may have.
pub fn affinity(fields: &mut Fields) -> Result<(), String> {
    values(fields);
    equals_unless_given(fields);
    Ok(())
}

fn values(fields: &mut Fields) {
    for operator in WITH_VALUE {
        if let Some(value) = fields.shift_remove(operator) {
            fields.insert("Operand".into(), operator.into());
            fields.insert("RTarget".into(), value);
        }
    }
}

fn equals_unless_given(fields: &mut Fields) {
    if fields.get("Operand").and_then(Value::as_str).unwrap_or_default().is_empty() {
        fields.insert("Operand".into(), "=".into());
    }
}

/// A port with a number goes to another list than one without.
pub fn port_list(fields: &Fields) -> &'static str {
    match fields.get("Value").and_then(Value::as_i64) {
        Some(number) if number > 0 => "ReservedPorts",
        _ => "DynamicPorts",
    }
}

/// The lists of Nomad 0.1: a name is a port that is the same on both sides, a number is one in the container.
pub fn network(fields: &mut Fields) -> Result<(), String> {
    if let Some(ports) = fields.shift_remove("reserved_ports") {
        for port in items(&ports, "reserved_ports")? {
            let number = port_number(port).ok_or("reserved_ports must be a list of port numbers")?;
            append(fields, "ReservedPorts", json!({ "Label": number.to_string(), "Value": number, "To": number }));
        }
    }
    if let Some(ports) = fields.shift_remove("dynamic_ports") {
        for port in items(&ports, "dynamic_ports")? {
            let label = crate::hcl::convert::json_to_text(port).ok_or(NOT_LABELS)?;
            let port = match port_number(port) {
                Some(number) => json!({ "Label": label, "To": number }),
                None => json!({ "Label": legacy_label(&label, fields)?, "To": -1 }),
            };
            append(fields, "DynamicPorts", port);
        }
    }
    Ok(())
}

const NOT_LABELS: &str = "dynamic_ports must be a list of labels or port numbers";

fn items<'v>(list: &'v Value, name: &str) -> Result<&'v Vec<Value>, String> {
    list.as_array().ok_or_else(|| format!("{name} must be a list; a port block is written port \"label\" {{ … }}"))
}

fn port_number(value: &Value) -> Option<i64> {
    crate::hcl::convert::json_to_whole(value).filter(|number| (1..=65_535).contains(number))
}

fn legacy_label(label: &str, fields: &Fields) -> Result<String, String> {
    if label.is_empty() || !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("DynamicPort label does not conform to naming requirements ^[a-zA-Z0-9_]+$: {label:?}"));
    }
    let known = fields.get("DynamicPorts").and_then(Value::as_array).into_iter().flatten();
    let twin = known.filter_map(|port| port.get("Label")?.as_str()).find(|known| known.eq_ignore_ascii_case(label));
    match twin {
        Some(twin) => Err(format!("Found a port label collision: `{label}` overlaps with previous `{twin}`")),
        None => Ok(label.to_owned()),
    }
}

fn append(fields: &mut Fields, key: &str, item: Value) {
    if let Value::Array(list) = fields.entry(key).or_insert_with(|| json!([])) {
        list.push(item);
    }
}

fn default(fields: &mut Fields, key: &str, value: impl Into<Value>) {
    fields.entry(key).or_insert_with(|| value.into());
}

/// Nanoseconds; the wait that Nomad gives templates and their scripts.
const FIVE_SECONDS: i64 = 5_000_000_000;

/// What a template that says nothing else does.
pub fn template(fields: &mut Fields) -> Result<(), String> {
    default(fields, "ChangeMode", "restart");
    default(fields, "Perms", "0644");
    default(fields, "Splay", FIVE_SECONDS);
    default(fields, "ErrMissingKey", false);
    Ok(())
}

/// How a script of a template runs that says nothing else.
pub fn change_script(fields: &mut Fields) -> Result<(), String> {
    default(fields, "Args", json!([]));
    default(fields, "Timeout", FIVE_SECONDS);
    default(fields, "FailOnError", false);
    default(fields, "RunOnFirstRender", false);
    Ok(())
}

/// What a `vault` block that says nothing else asks for.
pub fn vault(fields: &mut Fields) -> Result<(), String> {
    default(fields, "Env", true);
    default(fields, "DisableFile", false);
    default(fields, "ChangeMode", "restart");
    Ok(())
}

/// There is one kind of schedule.
pub fn periodic(fields: &mut Fields) -> Result<(), String> {
    if fields.contains_key("Spec") || fields.contains_key("Specs") {
        fields.insert("SpecType".into(), "cron".into());
    }
    Ok(())
}

/// The policy of a group.
pub fn scaling(fields: &mut Fields) -> Result<(), String> {
    default(fields, "Type", "horizontal");
    match (fields.get("Type").and_then(Value::as_str), fields.contains_key("Max")) {
        (Some("horizontal" | ""), true) => Ok(()),
        (Some("horizontal" | ""), false) => Err("Missing required argument \"max\" in scaling".into()),
        (kind, _) => Err(format!("task group scaling policy had invalid type: {:?}", kind.unwrap_or_default())),
    }
}

/// The policy of a task, whose label says of what.
pub fn task_scaling(fields: &mut Fields) -> Result<(), String> {
    let label = fields.shift_remove("label");
    let expected = match label.as_ref().and_then(Value::as_str).map(str::to_lowercase).as_deref() {
        None => return Ok(()),
        Some("cpu") => "vertical_cpu",
        Some("mem") => "vertical_mem",
        Some(_) => return Err("scaling policy name must be \"cpu\" or \"mem\"".into()),
    };
    default(fields, "Type", expected);
    match fields.get("Type").and_then(Value::as_str) {
        Some(kind) if kind == expected => Ok(()),
        kind => Err(format!("Invalid policy type, expected {expected:?} but found {:?}", kind.unwrap_or_default())),
    }
}

/// A task's default identity has a place of its own.
pub fn task(fields: &mut Fields) -> Result<(), String> {
    scaled_once(fields)?;
    let Some(Value::Array(identities)) = fields.get_mut("Identities") else {
        return Ok(());
    };
    let is_default =
        |identity: &Value| matches!(identity.get("Name").and_then(Value::as_str).unwrap_or_default(), "" | "default");
    if let Some(at) = identities.iter().position(is_default) {
        let identity = identities.remove(at);
        fields.insert("Identity".into(), identity);
    }
    Ok(())
}

fn scaled_once(fields: &Fields) -> Result<(), String> {
    let policies = fields.get("ScalingPolicies").and_then(Value::as_array).into_iter().flatten();
    let kinds = policies.filter_map(|policy| policy.get("Type")?.as_str());
    let mut kinds: Vec<&str> = kinds.filter(|kind| kind.starts_with("vertical")).collect();
    kinds.sort_unstable();
    match kinds.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("Duplicate scaling block: there is another policy of type {:?}", pair[0])),
        None => Ok(()),
    }
}

/// Tasks inherit `vault` and `secret` from group and job; name and id of a job are its label.
pub fn job(fields: &mut Fields) -> Result<(), String> {
    let (vault, secrets) = (fields.shift_remove("vault"), fields.shift_remove("secrets"));
    let Some(Value::Array(groups)) = fields.get_mut("TaskGroups") else {
        return Ok(());
    };
    for group in groups.iter_mut().filter_map(Value::as_object_mut) {
        let own = (group.shift_remove("vault"), group.shift_remove("secrets"));
        let Some(Value::Array(tasks)) = group.get_mut("Tasks") else { continue };
        for task in tasks.iter_mut().filter_map(Value::as_object_mut) {
            inherit(task, own.0.as_ref(), own.1.as_ref());
            inherit(task, vault.as_ref(), secrets.as_ref());
        }
    }
    Ok(())
}

fn inherit(task: &mut Fields, vault: Option<&Value>, secrets: Option<&Value>) {
    if let Some(vault) = vault {
        default(task, "Vault", vault.clone());
    }
    for secret in secrets.and_then(Value::as_array).into_iter().flatten() {
        append(task, "Secrets", secret.clone());
    }
}

/// A task right in a job is a group of its own, of the same name.
pub fn task_alone(task: Fields) -> Value {
    json!({ "Name": task.get("Name").cloned().unwrap_or_default(), "Tasks": [task] })
}
