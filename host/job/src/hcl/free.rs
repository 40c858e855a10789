//! Free-form bodies, such as `config`: no table says what may stand there, the driver's schema will.

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Body, Structure};
use serde_json::{Map, Value};

use super::decode::{Decoder, Instance};
use super::eval::span;
use super::scope::Scope;
use crate::source_map::join;

impl Decoder<'_> {
    /// Attributes become values, and blocks lists of maps: `mount { … } mount { … }` is `"mount": [{…}, {…}]`.
    /// A map that is written out, `labels = { … }`, is the same as a block: `"labels": [{…}]`.
    pub(super) fn free(&mut self, body: &Body, scope: &Scope, at: &str) -> Map<String, Value> {
        let mut out = Map::new();
        for structure in body.iter() {
            match structure {
                Structure::Attribute(attribute) => {
                    let name = attribute.key.as_str();
                    let pointer = join(at, name);
                    self.map.note(&pointer, attribute.value.span());
                    let is_map = matches!(attribute.value, Expression::Object(_));
                    let inner = if is_map { join(&pointer, "0") } else { pointer };
                    self.places(&attribute.value, &inner);
                    match self.evaluator.value(&attribute.value, scope) {
                        Ok(value) => match value.json() {
                            Some(value) => {
                                let value = if is_map { Value::from(vec![value]) } else { value };
                                out.insert(name.into(), value);
                            }
                            None => {
                                let detail =
                                    format!("Unsuitable value for {name:?}: a number in it is infinite or too large.");
                                self.complain(span(&attribute.value), "Unsuitable value type", detail);
                            }
                        },
                        Err(fault) => self.error(fault),
                    }
                }
                Structure::Block(block) if block.ident.as_str() == "dynamic" => {
                    self.dynamic_free(block, scope, at, &mut out);
                }
                Structure::Block(block) => {
                    let instance = Instance::of(block);
                    self.free_block(block.ident.as_str(), &instance, scope, at, &mut out);
                }
            }
        }
        out
    }

    /// Labels wrap the block in maps: `device "a" { … }` is `"device": [{"a": [{…}]}]`.
    pub(super) fn free_block(
        &mut self,
        name: &str,
        instance: &Instance,
        scope: &Scope,
        at: &str,
        out: &mut Map<String, Value>,
    ) {
        let list = out.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(items) = list else {
            let detail = format!("The argument {name:?} was already set.");
            return self.complain(instance.place.clone(), "Attribute redefined", detail);
        };
        let mut pointer = join(&join(at, name), &items.len().to_string());
        self.map.note(&join(at, name), Some(instance.place.clone()));
        self.map.note(&pointer, Some(instance.place.clone()));
        for (label, _) in &instance.labels {
            pointer = join(&join(&pointer, label), "0");
        }
        let mut value = Value::Object(self.free(instance.body, scope, &pointer));
        for (label, _) in instance.labels.iter().rev() {
            value = Value::Object(Map::from_iter([(label.clone(), Value::from(vec![value]))]));
        }
        items.push(value);
    }
}
