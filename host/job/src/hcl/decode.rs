//! Blocks to JSON, along the table of the language.

use std::collections::HashSet;
use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Attribute, Block, Body, Structure};
use serde_json::{Map, Value};

use super::convert::to_text;
use super::eval::{Evaluator, span};
use super::fault::Fault;
use super::scope::Scope;
use super::value::Value as Evaluated;
use super::{Damaged, Document, header};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::Source;
use crate::source_map::{SourceMap, join};
use crate::spec::{self, Absent, Effect, Kind, Shape};
use crate::suggest::did_you_mean;
use crate::value;

/// Decodes one job; errors are collected, not returned, so that all are shown at once.
pub struct Decoder<'a> {
    pub(super) evaluator: Evaluator<'a>,
    source: &'a Source,
    found: Diagnostics,
    /// How many errors are in `found`.
    errors: usize,
    /// Blocks that hold an error, directly or further in.
    damaged: Damaged,
    unfit: Vec<String>,
    /// What was warned of, which is done once.
    warned: HashSet<String>,
    pub(super) map: SourceMap,
}

/// A block as it stands, or as a `dynamic` block made it.
pub(super) struct Instance<'b> {
    /// Labels and where they stand.
    pub labels: Vec<(String, Range<usize>)>,
    /// Where it starts.
    pub place: Range<usize>,
    /// What it holds.
    pub body: &'b Body,
}

impl<'b> Instance<'b> {
    pub(super) fn of(block: &'b Block) -> Self {
        let place = header(block);
        let labels = block.labels.iter();
        let labels = labels.map(|label| (label.as_str().to_owned(), label.span().unwrap_or(place.clone()))).collect();
        Self { labels, place, body: &block.body }
    }
}

impl<'a> Decoder<'a> {
    /// Starts with what was found so far.
    pub fn new(evaluator: Evaluator<'a>, source: &'a Source, found: Diagnostics) -> Self {
        let map = SourceMap::new(source);
        let warned = HashSet::new();
        Self { evaluator, source, found, errors: 0, damaged: Damaged::default(), unfit: Vec::new(), warned, map }
    }

    /// The `job` block.
    pub fn job(mut self, spec: &'static spec::Block, block: &Block, scope: &Scope) -> Document {
        self.map.note("", Some(header(block)));
        let mut out = Map::new();
        let groups = self.tasks_alone(spec, block, scope);
        if !groups.is_empty() {
            out.insert("TaskGroups".into(), Value::Array(groups));
        }
        self.fill(spec, &Instance::of(block), scope, "", &mut out);
        if let Some(label) = block.labels.first() {
            out.entry("Name").or_insert_with(|| label.as_str().into());
        }
        let Self { found, damaged, unfit, map, .. } = self;
        Document { value: Value::Object(out), map, found, damaged, unfit }
    }

    /// A task right in the job is a group of its own, before the others.
    fn tasks_alone(&mut self, spec: &'static spec::Block, job: &Block, scope: &Scope) -> Vec<Value> {
        let mut groups = Vec::new();
        let Some(task_spec) = spec.block("group").and_then(|group| group.block("task")) else {
            return groups;
        };
        for task in job.body.get_blocks("task") {
            let at = format!("/TaskGroups/{}", groups.len());
            self.map.note(&at, Some(header(task)));
            let value = self.body(task_spec, &Instance::of(task), scope, &format!("{at}/Tasks/0"));
            groups.push(spec::task_alone(value));
        }
        groups
    }

    pub(super) fn error(&mut self, fault: Fault) {
        self.errors += 1;
        self.found.push(fault.diagnostic(self.source));
    }

    pub(super) fn complain(&mut self, place: Range<usize>, summary: &str, detail: impl Into<String>) {
        self.error(Fault::new(place, summary, detail));
    }

    /// As [`Self::complain`], of what can be read and printed, but not run.
    fn judged(&mut self, place: Range<usize>, summary: &str, detail: String) {
        self.errors += 1;
        let mut item = Fault::new(place, summary, detail).diagnostic(self.source);
        item.readable = true;
        self.found.push(item);
    }

    fn warn(&mut self, place: Range<usize>, summary: String) {
        if self.warned.insert(summary.clone()) {
            self.found.push(Diagnostic::warning(summary, "").in_source(self.source, &place));
        }
    }

    fn body(&mut self, spec: &'static spec::Block, instance: &Instance, scope: &Scope, at: &str) -> Map<String, Value> {
        let mut out = Map::new();
        self.fill(spec, instance, scope, at, &mut out);
        out
    }

    /// Adds what a block holds to the JSON of it.
    fn fill(
        &mut self,
        spec: &'static spec::Block,
        instance: &Instance,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let before = self.errors;
        self.label(spec, instance, at, out);
        for structure in instance.body.iter() {
            match structure {
                Structure::Attribute(attribute) => self.attribute(spec, attribute, scope, at, out),
                Structure::Block(block) => self.block(spec, block, scope, at, out),
            }
        }
        self.required(spec, instance);
        if let Some(Err(summary)) = spec.finish.map(|finish| finish(out)) {
            self.complain(instance.place.clone(), &summary, String::new());
        }
        if self.errors > before {
            self.damaged.insert(at.to_owned());
        }
    }

    fn required(&mut self, spec: &spec::Block, instance: &Instance) {
        let missing = |attribute: &&spec::Attribute| attribute.required && !instance.body.has_attribute(attribute.name);
        for attribute in spec.attributes.iter().filter(missing) {
            let detail = format!("The argument {:?} is required, but no definition was found.", attribute.name);
            self.complain(instance.place.clone(), "Missing required argument", detail);
        }
    }

    fn label(&mut self, spec: &spec::Block, instance: &Instance, at: &str, out: &mut Map<String, Value>) {
        let wanted = usize::from(spec.label.is_some());
        if instance.labels.len() < wanted {
            let detail = format!("All {} blocks must have 1 label (name).", spec.name);
            self.complain(instance.place.clone(), &format!("Missing name for {}", spec.name), detail);
        } else if let Some((_, place)) = instance.labels.get(wanted) {
            let count = if wanted == 0 { "No labels are" } else { "Only 1 label (name) is" };
            let detail = format!("{count} expected for {} blocks.", spec.name);
            self.complain(place.clone(), &format!("Extraneous label for {}", spec.name), detail);
        }
        if let (Some(key), Some((label, place))) = (spec.label, instance.labels.first()) {
            self.map.note(&join(at, key), Some(place.clone()));
            out.insert(key.into(), label.as_str().into());
        }
    }

    fn attribute(
        &mut self,
        spec: &'static spec::Block,
        attribute: &Attribute,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let name = attribute.key.as_str();
        let place = attribute.key.span().unwrap_or_default();
        if let Some(block) = spec.block(name).filter(|block| block.shape == Shape::Strings) {
            return self.strings_attribute(block, attribute, scope, at, out);
        }
        let Some(known) = spec.attribute(name) else {
            let detail = unexpected_argument(spec, name);
            return self.complain(place, "Unsupported argument", detail);
        };
        let value = match self.evaluator.value(&attribute.value, scope) {
            Ok(Evaluated::Null) => return self.null(spec, known, span(&attribute.value)),
            Ok(value) => value,
            Err(fault) => return self.error(fault),
        };
        if !self.accept(known.effect, name, place.clone()) {
            return;
        }
        let pointer = join(at, known.json);
        match value::from_hcl(known.kind, &value) {
            Ok(value) => {
                self.map.note(&pointer, attribute.value.span());
                self.places(&attribute.value, &pointer);
                if let Some(wrong) = value::judge(known.kind, &value) {
                    self.judged(span(&attribute.value), &wrong.summary, wrong.detail(name));
                    self.unfit.push(pointer);
                }
                out.insert(known.json.into(), value);
            }
            Err(wrong) => self.complain(span(&attribute.value), &wrong.summary, wrong.detail(name)),
        }
    }

    /// Null is the same as nothing written, where Nomad can tell that from the zero of the type.
    fn null(&mut self, spec: &spec::Block, known: &spec::Attribute, place: Range<usize>) {
        let collection = matches!(known.kind, Kind::Texts | Kind::Wholes(..) | Kind::Strings | Kind::Any);
        let told_apart = collection || known.absent != Absent::Zero || LOOSE.contains(&spec.name);
        if matches!(known.kind, Kind::Duration(_)) || !told_apart {
            self.complain(place, "Unsuitable value type", no_null(known.name));
        }
    }

    /// Whether something may stand here; warns or complains as its effect says.
    fn accept(&mut self, effect: Effect, name: &str, place: Range<usize>) -> bool {
        match effect {
            Effect::Acts | Effect::Refused(_) => true,
            Effect::NoEffect => {
                let summary = format!("{name:?} has no effect on a single machine");
                self.warn(place, summary);
                true
            }
            Effect::Warned(text) => {
                self.warn(place, text.to_owned());
                true
            }
            Effect::Removed(reason) => {
                self.complain(place, &format!("{name:?} cannot be used here"), reason);
                false
            }
        }
    }

    fn block(
        &mut self,
        spec: &'static spec::Block,
        block: &Block,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let name = block.ident.as_str();
        if name == "dynamic" {
            return self.dynamic(spec, block, scope, at, out);
        }
        match spec.block(name) {
            Some(inner) => self.one(inner, &Instance::of(block), scope, at, out),
            None if spec.name == "job" && name == "task" => {}
            None => {
                let detail = unexpected_block(spec, name);
                self.complain(header(block), "Unsupported block type", detail);
            }
        }
    }

    /// One block of a known kind, put into the JSON of the block around it.
    pub(super) fn one(
        &mut self,
        spec: &'static spec::Block,
        instance: &Instance,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let place = instance.place.clone();
        if !self.accept(spec.effect, spec.name, place.clone()) {
            return;
        }
        let alone = !matches!(spec.shape, Shape::Many | Shape::ByLabel);
        if alone && out.contains_key(spec.json) {
            let before = self.map.find(&join(at, spec.json));
            let before = before.map(|place| format!(" Another was defined at {place}.")).unwrap_or_default();
            let detail = format!("Only one {} block is allowed.{before}", spec.name);
            return self.complain(place, &format!("Duplicate {} block", spec.name), detail);
        }
        let list = join(at, spec.json);
        if !matches!(spec.shape, Shape::One | Shape::Many | Shape::ByLabel) {
            self.label(spec, instance, at, out);
        }
        match spec.shape {
            Shape::One => {
                self.map.note(&list, Some(place));
                let value = self.body(spec, instance, scope, &list);
                out.insert(spec.json.into(), Value::Object(value));
            }
            Shape::Strings | Shape::StringsBlock => {
                self.map.note(&list, Some(place));
                let value = self.strings(instance.body, scope, &list);
                out.insert(spec.json.into(), Value::Object(value));
            }
            Shape::Free => {
                self.map.note(&list, Some(place));
                let before = self.errors;
                let mut value = self.free(instance.body, scope, &list);
                if self.errors > before {
                    self.damaged.insert(list);
                }
                value.retain(|_, value| !value.is_null());
                out.insert(spec.json.into(), Value::Object(value));
            }
            Shape::Lists => {
                self.map.note(&list, Some(place));
                let value = self.lists(instance.body, scope);
                out.insert(spec.json.into(), Value::Object(value));
            }
            Shape::Many => self.listed(spec, instance, scope, at, out),
            Shape::ByLabel => self.by_label(spec, instance, scope, &list, out),
        }
    }

    fn listed(
        &mut self,
        spec: &'static spec::Block,
        instance: &Instance,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let count = |out: &Map<String, Value>, key: &str| out.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        let Some(place) = spec.place else {
            let pointer = format!("{}/{}", join(at, spec.json), count(out, spec.json));
            self.map.note(&pointer, Some(instance.place.clone()));
            let value = self.body(spec, instance, scope, &pointer);
            return push(out, spec.json, value);
        };
        // The block's place in JSON depends on what it holds, so its parts are noted apart.
        let outer = std::mem::replace(&mut self.map, SourceMap::new(self.source));
        self.map.note("", Some(instance.place.clone()));
        let before = self.unfit.len();
        let value = self.body(spec, instance, scope, "");
        let key = place(&value);
        let inner = std::mem::replace(&mut self.map, outer);
        let pointer = format!("{}/{}", join(at, key), count(out, key));
        self.unfit[before..].iter_mut().for_each(|unfit| unfit.insert_str(0, &pointer));
        self.map.graft(&pointer, inner);
        push(out, key, value);
    }

    /// `volume "data" { … }`: an entry of the map, under its label.
    fn by_label(
        &mut self,
        spec: &'static spec::Block,
        instance: &Instance,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let label = instance.labels.first().map(|(label, _)| label.clone()).unwrap_or_default();
        let pointer = join(at, &label);
        if out.get(spec.json).is_some_and(|known| known.get(&label).is_some()) {
            let place = instance.place.clone();
            self.warn(place, format!("there is another {} block named {label:?}; only this one counts", spec.name));
        }
        self.map.note(&pointer, Some(instance.place.clone()));
        let value = self.body(spec, instance, scope, &pointer);
        if let Value::Object(fields) = out.entry(spec.json).or_insert_with(|| Value::Object(Map::new())) {
            fields.insert(label, Value::Object(value));
        }
    }

    /// `header { Accept = ["text/plain"] }`: every value a list of texts.
    fn lists(&mut self, body: &Body, scope: &Scope) -> Map<String, Value> {
        let mut out = Map::new();
        for attribute in body.attributes() {
            let name = attribute.key.as_str();
            match self.evaluator.value(&attribute.value, scope).map(|value| value::from_hcl(Kind::Texts, &value)) {
                Ok(Ok(value)) => {
                    out.insert(name.into(), value);
                }
                Ok(Err(wrong)) => self.complain(span(&attribute.value), &wrong.summary, wrong.detail(name)),
                Err(fault) => self.error(fault),
            }
        }
        out
    }

    /// `env { A = "b" }`: every value as text.
    fn strings(&mut self, body: &Body, scope: &Scope, at: &str) -> Map<String, Value> {
        let mut out = Map::new();
        for structure in body.iter() {
            match structure {
                Structure::Attribute(attribute) => {
                    let value = self.evaluator.value(&attribute.value, scope);
                    self.string(attribute.key.as_str(), value, &attribute.value, at, &mut out);
                }
                Structure::Block(block) => {
                    let detail = format!("Blocks of type {:?} are not expected here.", block.ident.as_str());
                    self.complain(header(block), "Unsupported block type", detail);
                }
            }
        }
        out
    }

    fn string(
        &mut self,
        key: &str,
        value: Result<Evaluated, Fault>,
        expr: &Expression,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        match value.map(|value| (to_text(&value), value)) {
            Ok((_, Evaluated::Null)) => self.complain(span(expr), "Unsuitable value type", no_null(key)),
            Ok((Some(text), _)) => {
                self.map.note(&join(at, key), expr.span());
                out.insert(key.into(), text.into());
            }
            Ok((None, _)) => {
                let detail = format!("Inappropriate value for attribute {key:?}: string required.");
                self.complain(span(expr), "Incorrect attribute value type", detail);
            }
            Err(fault) => self.error(fault),
        }
    }

    /// `env = { "FOO.BAR" = "b" }`.
    fn strings_attribute(
        &mut self,
        spec: &'static spec::Block,
        attribute: &Attribute,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let place = attribute.key.span().unwrap_or_default();
        if out.contains_key(spec.json) {
            let detail = format!("Only one {} block or attribute is allowed.", spec.name);
            return self.complain(place, &format!("Duplicate {} block", spec.name), detail);
        }
        let pointer = join(at, spec.json);
        self.map.note(&pointer, Some(place));
        self.places(&attribute.value, &pointer);
        let fields = match self.evaluator.value(&attribute.value, scope) {
            Ok(Evaluated::Object(fields)) => fields,
            Ok(Evaluated::Null) => return,
            Ok(_) => {
                let detail = format!("Inappropriate value for attribute {:?}: map of string required.", spec.name);
                return self.complain(span(&attribute.value), "Incorrect attribute value type", detail);
            }
            Err(fault) => return self.error(fault),
        };
        let mut strings = Map::new();
        for (key, value) in fields {
            self.string(&key, Ok(value), &attribute.value, &pointer, &mut strings);
        }
        out.insert(spec.json.into(), Value::Object(strings));
    }

    /// Notes the places of the parts of a list or map that is written out.
    pub(super) fn places(&mut self, expr: &Expression, at: &str) {
        match expr {
            Expression::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let pointer = join(at, &index.to_string());
                    self.map.note(&pointer, item.span());
                    self.places(item, &pointer);
                }
            }
            Expression::Object(fields) => {
                for (key, field) in fields.iter() {
                    let name = match key {
                        ObjectKey::Ident(name) => name.as_str(),
                        ObjectKey::Expression(Expression::Variable(name)) => name.as_str(),
                        ObjectKey::Expression(Expression::String(name)) => name.as_str(),
                        ObjectKey::Expression(_) => continue,
                    };
                    let pointer = join(at, name);
                    self.map.note(&pointer, field.expr().span());
                    self.places(field.expr(), &pointer);
                }
            }
            _ => {}
        }
    }
}

/// Blocks whose attributes may all be null: Nomad reads them in a way of their own.
const LOOSE: [&str; 2] = ["affinity", "constraint"];

fn no_null(name: &str) -> String {
    format!("Unsuitable value for {name:?}: null value is not allowed.")
}

/// Appends to the list of this name.
fn push(out: &mut Map<String, Value>, key: &str, value: Map<String, Value>) {
    if let Value::Array(items) = out.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
        items.push(Value::Object(value));
    }
}

fn unexpected_argument(spec: &spec::Block, name: &str) -> String {
    let hint = if spec.block(name).is_some() {
        format!(" Did you mean to define a block of type {name:?}?")
    } else {
        did_you_mean(name, spec.attribute_names())
    };
    format!("An argument named {name:?} is not expected here.{hint}")
}

fn unexpected_block(spec: &spec::Block, name: &str) -> String {
    let hint = if spec.attribute(name).is_some() {
        format!(" Did you mean to define argument {name:?}? If so, use the equals sign to assign it a value.")
    } else {
        did_you_mean(name, spec.block_names())
    };
    format!("Blocks of type {name:?} are not expected here.{hint}")
}
