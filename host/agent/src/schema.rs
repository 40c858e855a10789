//! A task's `config` against its driver's JSON Schema.
//!
//! Twice: when the job is submitted, where strings with `${…}` are given the benefit of the doubt, and again
//! when all is known. As in Nomad, numbers and booleans may be written as strings and the other way round.
//!
//! A pattern or a bound says little to people: `errorMessage` beside it in the schema is what they are told instead.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind as Kind},
    types::JsonType,
};
use longshore_core::driver::DriverInfo;
use longshore_job::nearest;
use serde_json::Value;

/// Most conversions made in one `config`.
const MAX_CONVERSIONS: usize = 1_000;
/// Longest value shown in a message, characters.
const SHOWN: usize = 60;

/// One value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// JSON pointer into the `config`; empty for all of it.
    pub(crate) pointer: String,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

/// The drivers' schemas. Each is compiled when it is first needed, which takes longer than the check.
#[derive(Default)]
pub(crate) struct Schemas {
    compiled: Mutex<BTreeMap<String, Arc<Compiled>>>,
}

/// A schema, and whose it is: a driver that took another's place has one of its own.
struct Compiled {
    info: Arc<DriverInfo>,
    /// None if it is no schema: that is the driver's fault, and was refused when the driver was loaded.
    validator: Option<Validator>,
}

impl Schemas {
    /// Checks a `config` of a driver's, converting scalars where the schema wants another type. `unknown_yet` is set
    /// while `${…}` is not replaced.
    pub(crate) fn check(&self, info: &Arc<DriverInfo>, config: &mut Value, unknown_yet: bool) -> Vec<Misfit> {
        match &self.of(info).validator {
            Some(validator) => check(&info.config_schema, validator, config, unknown_yet),
            None => Vec::new(),
        }
    }

    fn of(&self, info: &Arc<DriverInfo>) -> Arc<Compiled> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &info.description.name;
        if let Some(known) = compiled.get(name).filter(|known| Arc::ptr_eq(&known.info, info)) {
            return known.clone();
        }
        let validator = jsonschema::validator_for(&info.config_schema).ok();
        let new = Arc::new(Compiled { info: info.clone(), validator });
        compiled.insert(name.clone(), new.clone());
        new
    }
}

fn check(schema: &Value, validator: &Validator, config: &mut Value, unknown_yet: bool) -> Vec<Misfit> {
    convert(validator, config);
    let errors = validator.iter_errors(config);
    let counted = errors.filter(|error| !(unknown_yet && may_yet_fit(error)));
    counted.map(|error| describe(schema, &error)).collect()
}

/// Converts scalars that have the wrong type but the right meaning, one after the other.
fn convert(validator: &Validator, config: &mut Value) {
    for _ in 0..MAX_CONVERSIONS {
        let fix = validator.iter_errors(config).find_map(|error| {
            let Kind::Type { kind } = error.kind() else { return None };
            Some((error.instance_path().to_string(), converted(error.instance(), kind)?))
        });
        let Some((pointer, value)) = fix else { return };
        let Some(place) = config.pointer_mut(&pointer) else { return };
        *place = value;
    }
}

fn wanted(kind: &TypeKind) -> Vec<JsonType> {
    match kind {
        TypeKind::Single(one) => vec![*one],
        TypeKind::Multiple(set) => set.iter().collect(),
    }
}

fn converted(value: &Value, kind: &TypeKind) -> Option<Value> {
    wanted(kind).into_iter().find_map(|kind| match (value, kind) {
        (Value::String(text), JsonType::Integer) => text.parse::<i64>().ok().map(Value::from),
        (Value::String(text), JsonType::Number) => {
            text.parse::<i64>().map(Value::from).ok().or_else(|| text.parse::<f64>().ok().map(Value::from))
        }
        (Value::String(text), JsonType::Boolean) => text.parse::<bool>().ok().map(Value::from),
        (Value::Number(number), JsonType::String) => Some(Value::from(number.to_string())),
        (Value::Bool(flag), JsonType::String) => Some(Value::from(flag.to_string())),
        (Value::Array(blocks), JsonType::Object) => merged(blocks),
        _ => None,
    })
}

/// Blocks, and maps that are written out, come as lists of maps: `labels { a = "b" }` is `[{"a": "b"}]`.
fn merged(blocks: &[Value]) -> Option<Value> {
    let maps: Option<Vec<_>> = blocks.iter().map(Value::as_object).collect();
    Some(maps?.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// Whether an error may go away when `${…}` is replaced: keys that are missing or unknown stay so.
fn may_yet_fit(error: &ValidationError) -> bool {
    let about_keys = matches!(
        error.kind(),
        Kind::AdditionalProperties { .. }
            | Kind::UnevaluatedProperties { .. }
            | Kind::Required { .. }
            | Kind::PropertyNames { .. }
    );
    !about_keys && has_deferred(error.instance())
}

fn has_deferred(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(has_deferred),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains("${") || has_deferred(value)),
        _ => false,
    }
}

fn describe(schema: &Value, error: &ValidationError) -> Misfit {
    let mut pointer = error.instance_path().to_string();
    let message = match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            if let [only] = unexpected.as_slice() {
                pointer = format!("{pointer}/{}", only.replace('~', "~0").replace('/', "~1"));
            }
            let known = known_keys(schema, error);
            unexpected.iter().map(|key| unknown_key(key, &known)).collect::<Vec<_>>().join("; ")
        }
        Kind::Required { property } => format!("the key {property} is missing"),
        Kind::Type { kind } => format!("expected {}, got {}", type_names(kind), shown(error.instance())),
        Kind::Enum { options } => one_of(options, error.instance()),
        Kind::Pattern { .. } | Kind::MinLength { .. } | Kind::Minimum { .. } | Kind::Maximum { .. } => {
            match beside(schema, error, "errorMessage").and_then(Value::as_str) {
                Some(message) => format!("{}: {message}", shown(error.instance())),
                None => format!("{error}"),
            }
        }
        _ => format!("{error}"),
    };
    Misfit { pointer, message }
}

fn unknown_key(key: &str, known: &[String]) -> String {
    match nearest(key, known.iter().map(String::as_str)) {
        Some(name) => format!("unknown key {key:?}; did you mean {name:?}?"),
        None if known.is_empty() => format!("unknown key {key:?}"),
        None => format!("unknown key {key:?}; the keys are {}", known.join(", ")),
    }
}

/// The keys that the schema knows where an unknown one was found.
fn known_keys(schema: &Value, error: &ValidationError) -> Vec<String> {
    let properties = beside(schema, error, "properties").and_then(Value::as_object);
    properties.map(|known| known.keys().cloned().collect()).unwrap_or_default()
}

/// What the schema has beside the keyword that is not met.
fn beside<'s>(schema: &'s Value, error: &ValidationError, key: &str) -> Option<&'s Value> {
    let path = error.schema_path().to_string();
    let (parent, _) = path.rsplit_once('/')?;
    schema.pointer(parent)?.get(key)
}

fn one_of(options: &Value, found: &Value) -> String {
    let options: Vec<&Value> = options.as_array().into_iter().flatten().collect();
    let texts = options.iter().filter_map(|option| option.as_str());
    let hint = found.as_str().and_then(|found| nearest(found, texts));
    let listed = options.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match hint {
        Some(name) => format!("expected one of {listed}, got {}; did you mean {name:?}?", shown(found)),
        None => format!("expected one of {listed}, got {}", shown(found)),
    }
}

fn type_names(kind: &TypeKind) -> String {
    let names: Vec<String> = wanted(kind).into_iter().map(|kind| kind.to_string()).collect();
    names.join(" or ")
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "image": { "type": "string" },
                "count": { "type": "integer", "minimum": 1 },
                "tty": { "type": "boolean" },
                "mode": { "enum": ["host", "bridge"] },
                "name": { "type": "string", "pattern": "^[a-z]+$", "errorMessage": "letters are expected" },
                "args": { "type": "array", "items": { "type": "string" } },
                "auth": {
                    "type": "object",
                    "properties": { "username": { "type": "string" } },
                    "additionalProperties": false
                },
            },
            "required": ["image"],
            "additionalProperties": false,
        })
    }

    fn checked(config: &mut Value, unknown_yet: bool) -> Vec<Misfit> {
        check(&schema(), &jsonschema::validator_for(&schema()).unwrap(), config, unknown_yet)
    }

    fn misfits(mut config: Value, unknown_yet: bool) -> Vec<(String, String)> {
        let found = checked(&mut config, unknown_yet);
        found.into_iter().map(|misfit| (misfit.pointer, misfit.message)).collect()
    }

    #[test]
    fn messages_say_where_what_and_the_nearest_name() {
        for (config, pointer, message) in [
            (json!({}), "", r#"the key "image" is missing"#),
            (json!({ "image": "a", "imge": 1 }), "/imge", r#"unknown key "imge"; did you mean "image"?"#),
            (
                json!({ "image": "a", "zzz": 1 }),
                "/zzz",
                r#"unknown key "zzz"; the keys are image, count, tty, mode, name, args, auth"#,
            ),
            (json!({ "image": ["a"] }), "/image", r#"expected string, got ["a"]"#),
            (json!({ "image": "a", "name": "7" }), "/name", r#""7": letters are expected"#),
            (json!({ "image": "a", "count": "many" }), "/count", r#"expected integer, got "many""#),
            (
                json!({ "image": "a", "mode": "brige" }),
                "/mode",
                r#"expected one of "host", "bridge", got "brige"; did you mean "bridge"?"#,
            ),
            (json!({ "image": "a", "args": ["x", {}] }), "/args/1", "expected string, got {}"),
            (
                json!({ "image": "a", "auth": { "usrname": "u" } }),
                "/auth/usrname",
                r#"unknown key "usrname"; did you mean "username"?"#,
            ),
        ] {
            assert_eq!(misfits(config.clone(), false), [(pointer.to_owned(), message.to_owned())], "{config}");
        }
    }

    #[test]
    fn scalars_are_converted_as_nomad_does() {
        let auth = json!([{ "username": "u" }]);
        let mut config = json!({ "image": 5, "count": "3", "tty": "true", "args": [1, true, "x"], "auth": auth });
        assert_eq!(checked(&mut config, false), []);
        let auth = json!({ "username": "u" });
        assert_eq!(config, json!({ "image": "5", "count": 3, "tty": true, "args": ["1", "true", "x"], "auth": auth }));
    }

    #[test]
    fn what_is_not_known_yet_gets_the_benefit_of_the_doubt() {
        let config = json!({ "image": "${NOMAD_META_image}", "count": "${NOMAD_META_n}", "mode": "${x}" });
        assert_eq!(misfits(config.clone(), true), []);
        assert_eq!(misfits(config, false).len(), 2, "count and mode");
        let unknown_key = json!({ "image": "${a}", "imge": "${b}" });
        assert_eq!(misfits(unknown_key, true).len(), 1, "an unknown key stays unknown");
    }
}
