//! The `Job` document as others write it: nulls, keys in any case, fields nobody knows.
//!
//! [`tidy`] brings it to the form that the HCL reader makes too: known keys in their own case, no nulls, each value
//! of its type. [`print()`] writes it as `nomad job run -output` does: every field of Nomad's own types is there, `null`
//! or the zero of its type where it was not written. Warnings of the table apply here as they do to HCL; only values
//! that say nothing (null, empty, zero) pass, for tools that write documents fill every field.

mod print;
mod support;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source_map::join;
use crate::spec::{Absent, Attribute, Block, Effect, JOB, Kind, Shape, is_shorthand};
use crate::value;

pub use print::print;
pub use support::unsupported;

/// How far a document is brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it was written.
    Written,
    /// With the last touches that Nomad's agent gives it: see [`Block::finish`]. Empty choices are none.
    Finished,
}

/// The document in its tidy form; problems are added to `found` with their JSON pointers.
pub fn tidy(document: &Value, form: Form, found: &mut Diagnostics) -> Value {
    Tidier { form, found, warned: HashSet::new() }.block(&JOB, document, "").map_or(Value::Null, Value::Object)
}

/// What labels are in JSON.
const UNNAMED: Attribute =
    Attribute { name: "", json: "", kind: Kind::Any, effect: Effect::Acts, absent: Absent::Zero, required: false };

struct Tidier<'a> {
    form: Form,
    found: &'a mut Diagnostics,
    /// What was warned of, which is done once.
    warned: HashSet<String>,
}

/// A JSON object by keys in lower case, as Go finds them.
struct Fields<'v>(HashMap<String, &'v Value>);

impl<'v> Fields<'v> {
    fn of(object: &'v Map<String, Value>) -> Self {
        Self(object.iter().map(|(key, value)| (key.to_lowercase(), value)).collect())
    }

    fn get(&self, key: &str) -> Option<&'v Value> {
        self.0.get(&key.to_lowercase()).copied().filter(|value| !value.is_null())
    }
}

impl Tidier<'_> {
    fn error(&mut self, at: &str, summary: impl Into<String>, detail: impl Into<String>) {
        self.found.push(Diagnostic::error(summary, detail).at(at));
    }

    /// As [`Self::error`], of what can be read and printed, but not run.
    fn judged(&mut self, at: &str, summary: &str, detail: String) {
        let mut item = Diagnostic::error(summary, detail).at(at);
        item.readable = true;
        self.found.push(item);
    }

    fn block(&mut self, spec: &'static Block, value: &Value, at: &str) -> Option<Map<String, Value>> {
        let Value::Object(object) = value else {
            self.error(at, "Incorrect value type", format!("{} must be an object.", spec.json));
            return None;
        };
        let fields = Fields::of(object);
        let mut out = Map::new();
        // The label of a job is one of its attributes, too.
        if let Some(key) = spec.label.filter(|key| spec.attributes.iter().all(|attribute| attribute.json != *key)) {
            let label = Attribute { json: key, kind: Kind::Text, ..UNNAMED };
            self.attribute(&label, &fields, at, &mut out);
        }
        for attribute in spec.attributes {
            self.attribute(attribute, &fields, at, &mut out);
        }
        for inner in spec.blocks {
            for key in [Some(inner.json), inner.other_json].into_iter().flatten() {
                if let Some(value) = fields.get(key) {
                    self.inner(inner, value, &join(at, key), &mut out);
                }
            }
        }
        for attribute in spec.attributes.iter().filter(|attribute| attribute.required) {
            if !out.contains_key(attribute.json) {
                let detail = format!("{:?} is required in {}.", attribute.json, spec.json);
                self.error(at, "Missing required argument", detail);
            }
        }
        let finish = spec.finish.filter(|_| self.form == Form::Finished);
        if let Some(Err(summary)) = finish.map(|finish| finish(&mut out)) {
            self.error(at, summary, "");
        }
        Some(out)
    }

    fn attribute(&mut self, attribute: &Attribute, fields: &Fields, at: &str, out: &mut Map<String, Value>) {
        let Some(value) = fields.get(attribute.json).filter(|_| !is_shorthand(attribute.json)) else {
            return;
        };
        let pointer = join(at, attribute.json);
        match value::from_json(attribute.kind, value) {
            Ok(Value::Null) => {}
            Ok(value) if value == "" && self.form == Form::Finished && matches!(attribute.kind, Kind::Choice(..)) => {}
            Ok(value) => {
                if let Some(wrong) = value::judge(attribute.kind, &value) {
                    self.judged(&pointer, &wrong.summary, wrong.detail(attribute.json));
                }
                out.insert(attribute.json.into(), value);
            }
            Err(wrong) => self.error(&pointer, &wrong.summary, wrong.detail(attribute.json)),
        }
    }

    /// Of what has no effect, if it says anything: tools that write documents fill every field.
    fn warn(&mut self, spec: &Block, value: &Value, at: &str) {
        let name = spec.name;
        let summary = match spec.effect {
            Effect::NoEffect => format!("{name:?} has no effect on a single machine"),
            Effect::Warned(text) => text.to_owned(),
            Effect::Acts | Effect::Refused(_) | Effect::Removed(_) => return,
        };
        if !says_nothing(value) && self.warned.insert(summary.clone()) {
            self.found.push(Diagnostic::warning(summary, "").at(at));
        }
    }

    fn inner(&mut self, spec: &'static Block, value: &Value, pointer: &str, out: &mut Map<String, Value>) {
        if is_shorthand(spec.json) {
            return;
        }
        self.warn(spec, value, pointer);
        match spec.shape {
            Shape::One => {
                if let Some(value) = self.block(spec, value, pointer) {
                    out.insert(spec.json.into(), Value::Object(value));
                }
            }
            Shape::Many => self.list(spec, value, pointer, out),
            Shape::ByLabel => self.by_label(spec, value, pointer, out),
            Shape::Strings | Shape::StringsBlock => self.strings(spec, value, pointer, out),
            Shape::Lists | Shape::Free if value.is_object() => {
                out.insert(spec.json.into(), value.clone());
            }
            Shape::Lists | Shape::Free => {
                self.error(pointer, "Incorrect value type", format!("{} must be an object.", spec.json));
            }
        }
    }

    fn by_label(&mut self, spec: &'static Block, value: &Value, pointer: &str, out: &mut Map<String, Value>) {
        let Value::Object(entries) = value else {
            return self.error(pointer, "Incorrect value type", format!("{} must be an object.", spec.json));
        };
        let mut all = Map::new();
        for (label, entry) in entries {
            let Some(mut block) = self.block(spec, entry, &join(pointer, label)) else { continue };
            if let Some(key) = spec.label {
                block.entry(key).or_insert_with(|| label.as_str().into());
            }
            all.insert(label.clone(), Value::Object(block));
        }
        out.insert(spec.json.into(), Value::Object(all));
    }

    fn list(&mut self, spec: &'static Block, value: &Value, pointer: &str, out: &mut Map<String, Value>) {
        let Value::Array(items) = value else {
            let detail = format!("{} must be a list.", spec.json);
            return self.error(pointer, "Incorrect value type", detail);
        };
        for (index, item) in items.iter().enumerate() {
            let here = join(pointer, &index.to_string());
            let Some(block) = self.block(spec, item, &here) else { continue };
            let key = spec.place.map_or(spec.json, |place| place(&block));
            let list = out.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(Value::Object(block));
            }
        }
    }

    fn strings(&mut self, spec: &Block, value: &Value, pointer: &str, out: &mut Map<String, Value>) {
        let Value::Object(fields) = value else {
            let detail = format!("{} must be an object of strings.", spec.json);
            return self.error(pointer, "Incorrect value type", detail);
        };
        let mut strings = Map::new();
        for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            match value {
                Value::String(_) => {
                    strings.insert(key.clone(), value.clone());
                }
                _ => self.error(&join(pointer, key), "Incorrect value type", "A string is required."),
            }
        }
        out.insert(spec.json.into(), Value::Object(strings));
    }
}

/// Null, empty, zero, or made of nothing else.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}
