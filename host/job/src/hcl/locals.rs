//! Locals: named values, in any order, each of which may use others.

use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::Span;
use hcl_edit::expr::{Expression, Traversal, TraversalOperator};
use hcl_edit::structure::{Attribute, Body};
use hcl_edit::visit::{Visit, visit_expr, visit_traversal};

use super::eval::Evaluator;
use super::fault::Fault;
use super::header;
use super::scope::Scope;
use super::value::{Map, Value};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::Source;

/// The scope of the job block: `var` and `local`.
pub fn read(
    body: &Body,
    source: &Source,
    evaluator: Evaluator,
    variables: Map<String, Value>,
    found: &mut Diagnostics,
) -> Scope<'static> {
    let mut scope = Scope::new();
    scope.set("var", Value::Object(variables));
    scope.set("local", Value::Object(Map::new()));
    let locals = collect(body, source, found);
    let (order, circle) = in_order(&locals);
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    for (name, local) in order {
        if local.needs.iter().any(|need| failed.contains(need.as_str())) {
            failed.insert(name);
            continue;
        }
        match evaluator.value(&local.attribute.value, &scope) {
            Ok(value) => scope.set_field("local", name, value),
            Err(fault) => {
                failed.insert(name);
                found.push(fault.diagnostic(source));
            }
        }
    }
    report_circle(&circle, source, found);
    scope
}

type Named<'l, 'b> = (&'l str, &'l Local<'b>);

/// Locals in an order in which each comes after those it needs, and those that need each other in a circle.
fn in_order<'l, 'b>(locals: &'l BTreeMap<String, Local<'b>>) -> (Vec<Named<'l, 'b>>, Vec<Named<'l, 'b>>) {
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, local) in locals {
        let needs = local.needs.iter().filter(|need| locals.contains_key(*need));
        open.insert(name, needs.clone().count());
        for need in needs {
            users.entry(need).or_default().push(name);
        }
    }
    let mut ready: Vec<&str> = open.iter().rev().filter(|(_, needs)| **needs == 0).map(|(name, _)| *name).collect();
    let mut order = Vec::new();
    while let Some(name) = ready.pop() {
        open.remove(name);
        order.extend(locals.get_key_value(name).map(|(name, local)| (name.as_str(), local)));
        for user in users.remove(name).unwrap_or_default() {
            if let Some(needs) = open.get_mut(user) {
                *needs -= 1;
                if *needs == 0 {
                    ready.push(user);
                }
            }
        }
    }
    let circle = locals.iter().map(|(name, local)| (name.as_str(), local));
    (order, circle.filter(|(name, _)| open.contains_key(name)).collect())
}

struct Local<'b> {
    attribute: &'b Attribute,
    needs: BTreeSet<String>,
}

fn collect<'b>(body: &'b Body, source: &Source, found: &mut Diagnostics) -> BTreeMap<String, Local<'b>> {
    let mut locals: BTreeMap<String, Local> = BTreeMap::new();
    for block in body.blocks().filter(|block| block.ident.as_str() == "locals") {
        if let Some(label) = block.labels.first() {
            let place = label.span().unwrap_or_default();
            let detail = "No labels are expected for locals blocks.";
            found.push(Fault::new(place, "Extraneous label for locals", detail).diagnostic(source));
        }
        for inner in block.body.blocks() {
            let detail = "Only name = value may stand in a \"locals\" block.";
            found.push(Fault::new(header(inner), "Unsupported block type", detail).diagnostic(source));
        }
        for attribute in block.body.attributes() {
            let name = attribute.key.as_str().to_owned();
            if let Some(first) = locals.get(&name) {
                let before = source.locate(&first.attribute.key.span().unwrap_or_default());
                let summary = format!("local {name:?} has a value already, at {before}; only this one counts");
                let place = attribute.key.span().unwrap_or_default();
                found.push(Diagnostic::warning(summary, "").in_source(source, &place));
            }
            let mut needs = Needs::default();
            needs.visit_expr(&attribute.value);
            locals.insert(name, Local { attribute, needs: needs.names });
        }
    }
    if locals.values().any(|local| local.needs.contains(EVERY)) {
        settle_every(&mut locals);
    }
    locals
}

/// Stands for a use of `local` as a whole, which needs all others.
const EVERY: &str = "*";

fn settle_every(locals: &mut BTreeMap<String, Local>) {
    let names: Vec<String> = locals.keys().cloned().collect();
    for (name, local) in locals.iter_mut().filter(|(_, local)| local.needs.contains(EVERY)) {
        local.needs.extend(names.iter().filter(|other| *other != name).cloned());
    }
}

fn report_circle(circle: &[Named], source: &Source, found: &mut Diagnostics) {
    let Some((_, first)) = circle.first() else { return };
    let names: Vec<&str> = circle.iter().map(|(name, _)| *name).collect();
    let detail = format!("These locals need each other's value: {}.", names.join(", "));
    let place = first.attribute.key.span().unwrap_or_default();
    found.push(Fault::new(place, "Circular reference in locals", detail).diagnostic(source));
}

/// Collects which locals an expression uses.
#[derive(Default)]
struct Needs {
    names: BTreeSet<String>,
}

impl Visit for Needs {
    fn visit_expr(&mut self, expr: &Expression) {
        if expr.as_variable().is_some_and(|name| name.as_str() == "local") {
            self.names.insert(EVERY.into());
        }
        visit_expr(self, expr);
    }

    fn visit_traversal(&mut self, path: &Traversal) {
        let local = path.expr.as_variable().is_some_and(|name| name.as_str() == "local");
        match path.operators.first().map(|step| step.value()) {
            Some(TraversalOperator::GetAttr(name)) if local => {
                self.names.insert(name.as_str().to_owned());
                for step in &path.operators[1..] {
                    self.visit_traversal_operator(step);
                }
            }
            _ => visit_traversal(self, path),
        }
    }
}
