//! Variables: what is declared in the file, in [`given`] the values from outside, in [`rules`] what they must be like.

mod given;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body, Structure};

use super::budget::Budget;
use super::convert::to_text;
use super::eval::{Evaluator, Unknown};
use super::fault::{Fault, Outcome};
use super::functions::{Files, Functions};
use super::header;
use super::reference::unset_variable;
use super::scope::Scope;
use super::types::Type;
use super::unify::type_of;
use super::value::{Map, Value};
use crate::ParseOptions;
use crate::diagnostics::Diagnostics;
use crate::source::Source;
use crate::suggest::did_you_mean;

/// Values of all variables that have one, and the names of the others.
#[derive(Default)]
pub struct Variables {
    pub values: Map<String, Value>,
    /// With the places where they are declared.
    pub unset: BTreeMap<String, Range<usize>>,
}

impl Variables {
    /// Complains of every variable without a value that was not complained of where it is used.
    pub fn complain_of_unset(&self, source: &Source, found: &mut Diagnostics) {
        let told: HashSet<String> = found.errors().map(|item| item.summary.clone()).collect();
        for (name, place) in &self.unset {
            let (summary, detail) = unset_variable(name);
            if !told.contains(&summary) {
                found.push(Fault::new(place.clone(), summary, detail).diagnostic(source));
            }
        }
    }
}

/// One declared variable.
struct Variable<'b> {
    name: String,
    /// As written, else what the default shows by itself; without either, values may be anything.
    kind: Option<Type>,
    /// Whether the type was written.
    typed: bool,
    value: Option<Value>,
    /// What the value came from, for error messages.
    origin: &'static str,
    rules: Vec<&'b Block>,
    place: Range<usize>,
}

/// Reads `variable` and `variables` blocks and fills in values: default < environment < files < options.
pub fn read(
    body: &Body,
    source: &Source,
    options: &ParseOptions,
    budget: &Budget,
    found: &mut Diagnostics,
) -> Variables {
    let mut reader = Reader { source, budget, found, declared: Vec::new(), index: HashMap::new() };
    for block in body.blocks() {
        match block.ident.as_str() {
            "variable" => reader.declare(block),
            "variables" => reader.declare_all(block),
            _ => {}
        }
    }
    reader.take_given(options);
    reader.finish()
}

struct Reader<'b, 'a> {
    source: &'a Source,
    budget: &'a Budget,
    found: &'a mut Diagnostics,
    declared: Vec<Variable<'b>>,
    /// Place of each name in `declared`.
    index: HashMap<String, usize>,
}

impl Variable<'_> {
    fn converted(&self, value: Value) -> Result<Value, String> {
        self.kind.as_ref().unwrap_or(&Type::Any).convert(value)
    }
}

impl<'b> Reader<'b, '_> {
    fn error(&mut self, fault: Fault) {
        let item = fault.diagnostic(self.source);
        self.found.push(item);
    }

    fn declare(&mut self, block: &'b Block) {
        let place = header(block);
        let [label] = block.labels.as_slice() else {
            let detail = "A variable has exactly one label, its name: variable \"name\" { … }";
            return self.error(Fault::new(place, "Invalid variable block", detail));
        };
        let name = label.as_str().to_owned();
        if hcl_edit::Ident::try_new(name.as_str()).is_err() {
            let detail = "Name must start with a letter or underscore and may contain only \
                          letters, digits, underscores, and dashes.";
            return self.error(Fault::new(place, "Invalid variable name", detail));
        }
        let mut variable =
            Variable { name, kind: None, typed: false, value: None, origin: "default", rules: Vec::new(), place };
        let default = self.declaration(&mut variable, block);
        if let Some(default) = default {
            match self.default_value(&variable, default) {
                Ok(value) => {
                    variable.kind = variable.kind.or_else(|| Some(type_of(&value)));
                    variable.value = Some(value);
                }
                Err(fault) => self.error(fault),
            }
        }
        let Variable { name, rules, .. } = &mut variable;
        rules.retain(|rule| self.is_rule(name, rule));
        self.add(variable);
    }

    /// What the block says; the default is evaluated when the type is known.
    fn declaration(&mut self, variable: &mut Variable<'b>, block: &'b Block) -> Option<&'b Expression> {
        let mut default = None;
        for structure in block.body.iter() {
            match structure {
                Structure::Attribute(attribute) => match attribute.key.as_str() {
                    "description" => self.description(&attribute.value),
                    "default" => default = Some(&attribute.value),
                    "type" => match Type::read(&attribute.value) {
                        Ok(kind) if kind.is_exact() => (variable.kind, variable.typed) = (Some(kind), true),
                        Ok(_) => {
                            let detail = "An exact type is required: say what \"any\", or the elements of a list, \
                                          set or map are, as in list(string).";
                            let place = super::eval::span(&attribute.value);
                            self.error(Fault::new(place, "Invalid type specification", detail));
                        }
                        Err(fault) => self.error(fault),
                    },
                    other => {
                        let hint = did_you_mean(other, ["description", "default", "type"]);
                        let detail = format!("An argument named {other:?} is not expected here.{hint}");
                        let place = attribute.key.span().unwrap_or_default();
                        self.error(Fault::new(place, "Unsupported argument", detail));
                    }
                },
                Structure::Block(rule) if rule.ident.as_str() == "validation" => variable.rules.push(rule),
                Structure::Block(other) => {
                    let detail = format!("Blocks of type {:?} are not expected here.", other.ident.as_str());
                    self.error(Fault::new(header(other), "Unsupported block type", detail));
                }
            }
        }
        default
    }

    /// Is not needed for anything, and yet has to be a text.
    fn description(&mut self, expr: &Expression) {
        let text = evaluate(self.source.text(), self.budget, expr, &Scope::new());
        match text.map(|value| to_text(&value)) {
            Ok(Some(_)) => {}
            Ok(None) => {
                let detail = "Unsuitable value for \"description\": string required.";
                self.error(Fault::new(super::eval::span(expr), "Unsuitable value type", detail));
            }
            Err(fault) => self.error(fault),
        }
    }

    fn default_value(&self, variable: &Variable, expr: &Expression) -> Outcome<Value> {
        let value = evaluate(self.source.text(), self.budget, expr, &Scope::new())?;
        variable.converted(value).map_err(|why| {
            let detail = format!("This default value is not compatible with the variable's type constraint: {why}.");
            Fault::new(super::eval::span(expr), "Invalid default value for variable", detail)
        })
    }

    /// `variables { a = 1 }` declares `a` with default 1.
    fn declare_all(&mut self, block: &'b Block) {
        if let Some(label) = block.labels.first() {
            let place = label.span().unwrap_or_default();
            let detail = "No labels are expected for variables blocks.";
            self.error(Fault::new(place, "Extraneous label for variables", detail));
        }
        for attribute in block.body.attributes() {
            let value = evaluate(self.source.text(), self.budget, &attribute.value, &Scope::new());
            match value {
                Ok(value) => self.add(Variable {
                    name: attribute.key.as_str().to_owned(),
                    kind: Some(type_of(&value)),
                    typed: false,
                    value: Some(value),
                    origin: "default",
                    rules: Vec::new(),
                    place: attribute.key.span().unwrap_or_default(),
                }),
                Err(fault) => self.error(fault),
            }
        }
        for inner in block.body.blocks() {
            let detail = "Only name = default may stand here; declare a type in a \"variable\" block.";
            self.error(Fault::new(header(inner), "Unsupported block type", detail));
        }
    }

    fn add(&mut self, variable: Variable<'b>) {
        let known = self.index.get(&variable.name).and_then(|index| self.declared.get(*index));
        let Some(other) = known else {
            self.index.insert(variable.name.clone(), self.declared.len());
            return self.declared.push(variable);
        };
        let before = self.source.locate(&other.place);
        let detail = format!("Duplicate {} variable definition found; the first is at {before}.", variable.name);
        self.error(Fault::new(variable.place, "Duplicate variable", detail));
    }

    /// Checks each value by the variable's own rules.
    fn finish(mut self) -> Variables {
        let mut variables = Variables::default();
        for variable in std::mem::take(&mut self.declared) {
            let Some(value) = variable.value.clone() else {
                variables.unset.insert(variable.name, variable.place);
                continue;
            };
            for rule in &variable.rules {
                if let Err(fault) = self.check(&variable, &value, rule) {
                    self.error(fault);
                }
            }
            variables.values.insert(variable.name, value);
        }
        variables
    }
}

/// Of a default, or of a value from outside; neither may call functions.
fn evaluate(text: &str, budget: &Budget, expr: &Expression, scope: &Scope) -> Outcome<Value> {
    Evaluator { functions: &Functions::NONE, ..with_evaluator(text, budget) }.value(expr, scope)
}

/// Without files: a value from outside may not read any.
fn with_evaluator<'a>(text: &'a str, budget: &'a Budget) -> Evaluator<'a> {
    Evaluator {
        text,
        unknown: Unknown::Refuse,
        functions: &Functions::JOB,
        files: &Files::Disabled,
        budget,
        unset: None,
    }
}
