//! `${…}` when a task starts: environment and facts of the machine are known now.
//!
//! Two rules, as Nomad has them. In environment variables and the like ([`interpolate`]), `${name}` is replaced and an
//! unknown name stays as it is. In driver configuration ([`interpolate_config`]), text is a full HCL template with a
//! few functions, and an unknown name is an error.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::hcl::runtime::{evaluate, roots};
use crate::source_map::join;

/// Everything a task's `${…}` may name.
#[derive(Debug, Clone, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    facts: BTreeMap<String, String>,
    nested: Map<String, Value>,
}

/// One value of a configuration that could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct ConfigError {
    /// JSON pointer into the configuration.
    pub pointer: String,
    /// A sentence that names the variable or function at fault.
    pub message: String,
}

impl Env {
    /// The task's environment (`NOMAD_PORT_http`, …), and the machine's facts by full name (`attr.kernel.name`,
    /// `node.class`, `meta.rack`).
    pub fn new(variables: BTreeMap<String, String>, facts: BTreeMap<String, String>) -> Self {
        let mut nested = nest(variables.iter().chain(&facts));
        let all = variables.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
        nested.insert("env".into(), Value::Object(all.collect()));
        Self { variables, facts, nested }
    }

    /// The value of `NAME`, `attr.x`, `node.x`, `meta.x` or `env["NAME"]`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let quoted = name.strip_prefix("env[\"").and_then(|rest| rest.strip_suffix("\"]"));
        let found = match quoted {
            Some(variable) => self.variables.get(variable),
            None => self.variables.get(name).or_else(|| self.facts.get(name)),
        };
        found.map(String::as_str)
    }
}

/// Replaces every `${name}` that is known; everything else stays.
pub fn interpolate(text: &str, env: &Env) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, marked) = rest.split_at(start);
        out.push_str(before);
        // A name ends before the next `$`, so that no text is looked at twice.
        let end = marked[2..].find(['}', '$', '\n']).filter(|end| marked[end + 2..].starts_with('}'));
        let known = end.and_then(|end| Some((end + 3, env.get(&marked[2..end + 2])?)));
        let used = match known {
            Some((length, value)) => {
                out.push_str(value);
                length
            }
            None => {
                out.push_str("${");
                2
            }
        };
        rest = &marked[used..];
    }
    out.push_str(rest);
    out
}

/// Evaluates every text in a driver's configuration, keys included; all errors are returned together.
pub fn interpolate_config(config: &Value, env: &Env) -> Result<Value, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let value = fill(config, env, "", &mut errors);
    if errors.is_empty() { Ok(value) } else { Err(errors) }
}

/// What of a configuration could never be filled in, as far as that is known before the task starts: text that is no
/// template, and names that neither a task's environment (`is_known` says which) nor the machine has. `facts` are the
/// machine's, as in [`Env::new`].
pub fn hopeless(config: &Value, is_known: &dyn Fn(&str) -> bool, facts: &Env) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    look(config, "", &mut |text, pointer| {
        let message = match roots(text) {
            Err(message) => Some(message),
            Ok(roots) => match roots.iter().find(|root| !OF_MACHINE.contains(&root.as_str()) && !is_known(root)) {
                Some(root) => Some(format!("There is no variable named {root:?}.")),
                // Nothing of it depends on the task.
                None if !roots.is_empty() && roots.iter().all(|root| root != "env" && !is_known(root)) => {
                    evaluate(text, &facts.nested).err()
                }
                None => None,
            },
        };
        errors.extend(message.map(|message| ConfigError { pointer: pointer.to_owned(), message }));
    });
    errors
}

/// First parts of names that are no environment variables.
const OF_MACHINE: [&str; 4] = ["attr", "env", "meta", "node"];

/// Shows every text that has something to fill in.
fn look(value: &Value, at: &str, see: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) if is_template(text) => see(text, at),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| look(item, &join(at, &index.to_string()), see));
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let pointer = join(at, key);
                if is_template(key) {
                    see(key, &pointer);
                }
                look(item, &pointer, see);
            }
        }
        _ => {}
    }
}

fn is_template(text: &str) -> bool {
    text.contains("${") || text.contains("%{")
}

fn fill(value: &Value, env: &Env, at: &str, errors: &mut Vec<ConfigError>) -> Value {
    match value {
        Value::String(text) => fill_text(text, env, at, errors),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| fill(item, env, &join(at, &index.to_string()), errors))
            .collect(),
        Value::Object(fields) => {
            let mut out = Map::new();
            for (key, item) in fields {
                let pointer = join(at, key);
                let key = match fill_text(key, env, &pointer, errors) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                out.insert(key, fill(item, env, &pointer, errors));
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

fn fill_text(text: &str, env: &Env, at: &str, errors: &mut Vec<ConfigError>) -> Value {
    if !is_template(text) {
        return text.into();
    }
    evaluate(text, &env.nested).unwrap_or_else(|message| {
        errors.push(ConfigError { pointer: at.to_owned(), message });
        Value::Null
    })
}

/// Parts a dotted key may have to be reached as nested objects.
const MOST_PARTS: usize = 32;

/// Dotted keys as nested objects: `attr.cpu.arch` is `arch` in `cpu` in `attr`. Where a key is also a prefix of
/// others, the object wins; a key with empty parts (`foo..bar`) is left out, and reached through `env["foo..bar"]`.
fn nest<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Map<String, Value> {
    let mut root = Map::new();
    for (key, value) in pairs {
        let parts: Vec<&str> = key.split('.').collect();
        if parts.len() > MOST_PARTS || parts.iter().any(|part| part.is_empty()) {
            continue;
        }
        insert(&mut root, &parts, value);
    }
    root
}

fn insert(object: &mut Map<String, Value>, parts: &[&str], value: &str) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    if rest.is_empty() {
        if !object.get(*first).is_some_and(Value::is_object) {
            object.insert((*first).into(), value.into());
        }
        return;
    }
    let inner = object.entry(*first).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        insert(inner, rest, value);
    }
}
