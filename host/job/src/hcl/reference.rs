//! References: `var.region`, `local.ports[0]`, and names that only the machine will know.

use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, Traversal, TraversalOperator};

use super::convert::{to_text, to_whole};
use super::eval::{Evaluator, Unknown, span};
use super::fault::{Fault, Outcome};
use super::scope::Scope;
use super::value::{Map, Value};
use crate::suggest::did_you_mean;

type Steps<'e> = &'e [hcl_edit::Decorated<TraversalOperator>];

impl Evaluator<'_> {
    /// The value a reference leads to, or its own text where it starts with an unknown name.
    pub(super) fn reference(&self, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        match expr {
            Expression::Variable(name) => match scope.get(name.as_str()) {
                Some(value) => self.copy(value, expr),
                None => self.unknown_name(name.as_str(), span(expr)),
            },
            Expression::Traversal(path) => self.traversal(path, expr, scope),
            _ => self.value(expr, scope),
        }
    }

    fn traversal(&self, path: &Traversal, whole: &Expression, scope: &Scope) -> Outcome<Value> {
        let Expression::Variable(root) = &path.expr else {
            let start = self.value(&path.expr, scope)?;
            return self.walk(&start, &path.operators, whole, scope);
        };
        let root = root.as_str();
        if let Some(start) = scope.get(root) {
            self.check_unset(root, path)?;
            return self.walk(start, &path.operators, whole, scope);
        }
        // A literal path belongs to the name; a computed index or a splat is applied to the name's text.
        let literal = path.operators.iter().take_while(|step| is_literal(step)).count();
        let (kept, rest) = path.operators.split_at(literal);
        let start = span(&path.expr).start;
        let end = kept.last().and_then(step_end).unwrap_or(span(&path.expr).end);
        let end = if rest.is_empty() { span(whole).end } else { end };
        let text = self.unknown_name(root, start..end)?;
        self.walk(&text, rest, whole, scope)
    }

    /// What an unknown name becomes: its source text, with the `${ … }` around it as it was written.
    fn unknown_name(&self, name: &str, span: Range<usize>) -> Outcome<Value> {
        if self.unknown == Unknown::Refuse {
            let detail = format!("There is no variable named {name:?}.");
            return Err(Fault::new(span, "Unknown variable", detail));
        }
        let text = self.text.get(span.clone()).unwrap_or(name);
        let before = self.text.get(..span.start).unwrap_or_default().trim_end_matches(' ');
        let after = self.text.get(span.end..).unwrap_or_default();
        let spaces = after.len() - after.trim_start_matches(' ').len();
        if before.ends_with("${") && after[spaces..].starts_with('}') {
            let kept = &self.text[before.len() - 2..span.end + spaces + 1];
            return Ok(Value::String(kept.to_owned()));
        }
        Ok(Value::String(format!("${{{text}}}")))
    }

    fn check_unset(&self, root: &str, path: &Traversal) -> Outcome<()> {
        let Some(TraversalOperator::GetAttr(name)) = path.operators.first().map(|step| step.value()) else {
            return Ok(());
        };
        if root != "var" || !self.unset.is_some_and(|unset| unset.contains_key(name.as_str())) {
            return Ok(());
        }
        let (summary, detail) = unset_variable(name.as_str());
        Err(Fault::new(path.span().unwrap_or_default(), summary, detail))
    }

    fn copy(&self, value: &Value, blame: &Expression) -> Outcome<Value> {
        self.charge(value, blame)?;
        Ok(value.clone())
    }

    fn walk(&self, start: &Value, steps: Steps, blame: &Expression, scope: &Scope) -> Outcome<Value> {
        let mut here = start;
        for (index, step) in steps.iter().enumerate() {
            let place = step.span().unwrap_or_else(|| span(blame));
            here = match step.value() {
                TraversalOperator::GetAttr(name) => attribute(here, name.as_str(), place)?,
                TraversalOperator::LegacyIndex(number) => self.index(here, &Value::from(**number), place)?,
                TraversalOperator::Index(key) => {
                    let key = self.value(key, scope)?;
                    self.index(here, &key, place)?
                }
                TraversalOperator::FullSplat(_) => {
                    return self.splat(here, &steps[index + 1..], blame, scope);
                }
                TraversalOperator::AttrSplat(_) => {
                    let rest = &steps[index + 1..];
                    let each = rest.iter().take_while(|step| is_attribute(step)).count();
                    let list = self.splat(here, &rest[..each], blame, scope)?;
                    return self.walk(&list, &rest[each..], blame, scope);
                }
            };
        }
        self.copy(here, blame)
    }

    /// `list[*].name`; a single value counts as a list of one, null as an empty one.
    fn splat(&self, value: &Value, each: Steps, blame: &Expression, scope: &Scope) -> Outcome<Value> {
        let items = match value {
            Value::Null => &[],
            Value::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        items.iter().map(|item| self.walk(item, each, blame, scope)).collect::<Result<_, _>>().map(Value::Array)
    }

    fn index<'v>(&self, value: &'v Value, key: &Value, place: Range<usize>) -> Outcome<&'v Value> {
        let found = match value {
            Value::Array(items) => to_whole(key).and_then(|index| items.get(usize::try_from(index).ok()?)),
            Value::Object(fields) => to_text(key).and_then(|key| fields.get(&key)),
            Value::Null => {
                let detail = "This value is null, so it does not have any indices.";
                return Err(Fault::new(place, "Attempt to index null value", detail));
            }
            _ => {
                let detail = "This value does not have any indices.";
                return Err(Fault::new(place, "Invalid index", detail));
            }
        };
        found.ok_or_else(|| {
            let detail = "The given key does not identify an element in this collection value.".to_owned();
            Fault::new(place, "Invalid index", detail)
        })
    }
}

fn attribute<'v>(value: &'v Value, name: &str, place: Range<usize>) -> Outcome<&'v Value> {
    let detail = match value {
        Value::Object(fields) => match fields.get(name) {
            Some(found) => return Ok(found),
            None => missing(fields, name),
        },
        Value::Null => {
            let detail = "This value is null, so it does not have any attributes.";
            return Err(Fault::new(place, "Attempt to get attribute from null value", detail));
        }
        _ => "This value does not have any attributes.".to_owned(),
    };
    Err(Fault::new(place, "Unsupported attribute", detail))
}

fn missing(fields: &Map<String, Value>, name: &str) -> String {
    let hint = did_you_mean(name, fields.keys().map(String::as_str));
    format!("This object does not have an attribute named {name:?}.{hint}")
}

/// Summary and detail for a variable that has neither value nor default.
pub fn unset_variable(name: &str) -> (String, String) {
    let detail = "A used variable must be set or have a default value; set it with \
                  -var, -var-file or NOMAD_VAR_, or give it a default.";
    (format!("Unset variable {name:?}"), detail.to_owned())
}

fn is_attribute(step: &hcl_edit::Decorated<TraversalOperator>) -> bool {
    matches!(step.value(), TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_))
}

fn is_literal(step: &hcl_edit::Decorated<TraversalOperator>) -> bool {
    match step.value() {
        TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_) => true,
        TraversalOperator::Index(key) => key.is_str() || key.is_number(),
        TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => false,
    }
}

fn step_end(step: &hcl_edit::Decorated<TraversalOperator>) -> Option<usize> {
    step.span().map(|span| span.end)
}
