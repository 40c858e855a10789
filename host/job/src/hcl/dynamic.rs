//! `dynamic "port" { for_each = … content { … } }`: one block per element.

use hcl_edit::Span;
use hcl_edit::structure::{Block, Body};
use serde_json::{Map, Value};

use super::convert::{elements, to_text};
use super::decode::{Decoder, Instance};
use super::eval::{span, too_large};
use super::fault::{Fault, Outcome};
use super::header;
use super::scope::Scope;
use super::value::Value as Evaluated;
use crate::spec;
use crate::suggest::did_you_mean;

/// What one generated block costs, beside its values.
const COST: usize = 256;

/// A `dynamic` block, taken apart.
struct Dynamic<'b> {
    kind: &'b str,
    iterator: &'b str,
    items: Vec<(Evaluated, Evaluated)>,
    block: &'b Block,
    content: &'b Body,
}

impl Decoder<'_> {
    /// Puts the generated blocks where ordinary ones of their type would go.
    pub(super) fn dynamic(
        &mut self,
        spec: &'static spec::Block,
        block: &Block,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let dynamic = match self.take_apart(block, scope) {
            Ok(dynamic) => dynamic,
            Err(fault) => return self.error(fault),
        };
        let Some(inner) = spec.block(dynamic.kind) else {
            let hint = did_you_mean(dynamic.kind, spec.block_names());
            let detail = format!("Blocks of type {:?} are not expected here.{hint}", dynamic.kind);
            return self.complain(header(block), "Unsupported block type", detail);
        };
        for (key, value) in &dynamic.items {
            let scope = dynamic.scope(key, value, scope);
            match self.instance(&dynamic, &scope) {
                Ok(instance) => self.one(inner, &instance, &scope, at, out),
                Err(fault) => return self.error(fault),
            }
        }
    }

    /// As [`Self::dynamic`], in a free-form body.
    pub(super) fn dynamic_free(&mut self, block: &Block, scope: &Scope, at: &str, out: &mut Map<String, Value>) {
        let dynamic = match self.take_apart(block, scope) {
            Ok(dynamic) => dynamic,
            Err(fault) => return self.error(fault),
        };
        for (key, value) in &dynamic.items {
            let scope = dynamic.scope(key, value, scope);
            match self.instance(&dynamic, &scope) {
                Ok(instance) => self.free_block(dynamic.kind, &instance, &scope, at, out),
                Err(fault) => return self.error(fault),
            }
        }
    }

    fn take_apart<'b>(&self, block: &'b Block, scope: &Scope) -> Outcome<Dynamic<'b>> {
        let place = header(block);
        let [kind] = block.labels.as_slice() else {
            let detail = "A dynamic block has exactly one label, the type of the blocks it makes.";
            return Err(Fault::new(place, "Invalid dynamic block", detail));
        };
        let Some(each) = block.body.get_attribute("for_each") else {
            let detail = "The argument \"for_each\" is required, but no definition was found.";
            return Err(Fault::new(place, "Missing required argument", detail));
        };
        let Some(content) = block.body.get_blocks("content").next() else {
            let detail =
                "A dynamic block must have a nested \"content\" block to describe the body of each generated block.";
            return Err(Fault::new(place, "Missing content block", detail));
        };
        let collection = self.evaluator.value(&each.value, scope)?;
        let items = elements(&collection).ok_or_else(|| {
            let detail = "Cannot use this value in for_each: a list, a map or an object known now is required.";
            Fault::new(span(&each.value), "Invalid dynamic for_each value", detail)
        })?;
        Ok(Dynamic {
            kind: kind.as_str(),
            iterator: iterator(block)?.unwrap_or(kind.as_str()),
            items: items.into_iter().map(|(key, value)| (key, value.clone())).collect(),
            block,
            content: &content.body,
        })
    }

    fn instance<'b>(&self, dynamic: &Dynamic<'b>, scope: &Scope) -> Outcome<Instance<'b>> {
        let place = header(dynamic.block);
        let budget = self.evaluator.budget;
        budget.charge_bytes(COST).map_err(|detail| too_large(place.clone(), detail))?;
        let mut labels = Vec::new();
        if let Some(attribute) = dynamic.block.body.get_attribute("labels") {
            let place = span(&attribute.value);
            let wrong = || {
                let detail = "The labels of a dynamic block must be a list of strings.";
                Fault::new(place.clone(), "Invalid dynamic block label", detail)
            };
            let value = self.evaluator.value(&attribute.value, scope)?;
            for label in value.as_array().ok_or_else(wrong)? {
                labels.push((to_text(label).ok_or_else(wrong)?, place.clone()));
            }
        }
        Ok(Instance { labels, place, body: dynamic.content })
    }
}

impl Dynamic<'_> {
    fn scope<'s>(&self, key: &Evaluated, value: &Evaluated, outer: &'s Scope<'s>) -> Scope<'s> {
        let mut scope = outer.inner();
        scope.set_field(self.iterator, "key", key.clone());
        scope.set_field(self.iterator, "value", value.clone());
        scope
    }
}

/// The name chosen with `iterator = name`.
fn iterator(block: &Block) -> Outcome<Option<&str>> {
    let Some(attribute) = block.body.get_attribute("iterator") else {
        return Ok(None);
    };
    match attribute.value.as_variable() {
        Some(name) => Ok(Some(name.as_str())),
        None => {
            let detail = "Dynamic iterator must be a single variable name.";
            let place = attribute.value.span().unwrap_or_default();
            Err(Fault::new(place, "Invalid expression", detail))
        }
    }
}
