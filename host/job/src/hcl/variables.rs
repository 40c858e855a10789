//! Variables: what is declared in the file, and the values given from outside.

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body, Structure};
use serde_json::{Map, Value};

use super::budget::Budget;
use super::eval::{Evaluator, Unknown};
use super::fault::{Fault, Outcome};
use super::functions::{Files, Functions};
use super::header;
use super::scope::Scope;
use super::types::Type;
use crate::ParseOptions;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::Source;
use crate::suggest::did_you_mean;

/// Prefix of environment variables that set variables.
const PREFIX: &str = "NOMAD_VAR_";

/// Values of all variables that have one, and the names of the others.
#[derive(Default)]
pub struct Variables {
    pub values: Map<String, Value>,
    pub unset: Vec<String>,
}

/// One declared variable.
struct Variable<'b> {
    name: String,
    kind: Type,
    /// Whether a type was written; without one, outside values are text.
    typed: bool,
    value: Option<Value>,
    /// What the value came from, for error messages.
    origin: &'static str,
    rules: Vec<&'b Block>,
    place: std::ops::Range<usize>,
}

/// Reads `variable` and `variables` blocks and fills in values: default < environment < files < options.
pub fn read(
    body: &Body,
    source: &Source,
    options: &ParseOptions,
    budget: &Budget,
    found: &mut Diagnostics,
) -> Variables {
    let mut reader = Reader { source, budget, found, declared: Vec::new() };
    for block in body.blocks() {
        match block.ident.as_str() {
            "variable" => reader.declare(block),
            "variables" => reader.declare_all(block),
            _ => {}
        }
    }
    reader.from_environment(options);
    reader.from_files(options);
    reader.from_options(options);
    reader.finish()
}

struct Reader<'b, 'a> {
    source: &'a Source,
    budget: &'a Budget,
    found: &'a mut Diagnostics,
    declared: Vec<Variable<'b>>,
}

impl<'b> Reader<'b, '_> {
    fn error(&mut self, fault: Box<Fault>) {
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
        if !hcl_edit::Ident::try_new(name.as_str()).is_ok() {
            let detail = "Name must start with a letter or underscore and may contain only \
                          letters, digits, underscores, and dashes.";
            return self.error(Fault::new(place, "Invalid variable name", detail));
        }
        let mut variable =
            Variable { name, kind: Type::Any, typed: false, value: None, origin: "default", rules: Vec::new(), place };
        let mut default = None;
        for structure in block.body.iter() {
            match structure {
                Structure::Attribute(attribute) => match attribute.key.as_str() {
                    "description" => {}
                    "default" => default = Some(&attribute.value),
                    "type" => match Type::read(&attribute.value) {
                        Ok(kind) => (variable.kind, variable.typed) = (kind, true),
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
        if let Some(default) = default {
            match self.default_value(&variable, default) {
                Ok(value) => variable.value = Some(value),
                Err(fault) => self.error(fault),
            }
        }
        self.add(variable);
    }

    fn default_value(&self, variable: &Variable, expr: &Expression) -> Outcome<Value> {
        let value = evaluate(self.source.text(), self.budget, expr, &Scope::new())?;
        variable.kind.convert(value).map_err(|why| {
            let detail = format!("This default value is not compatible with the variable's type constraint: {why}.");
            Fault::new(super::eval::span(expr), "Invalid default value for variable", detail)
        })
    }

    /// `variables { a = 1 }` declares `a` with default 1.
    fn declare_all(&mut self, block: &'b Block) {
        for attribute in block.body.attributes() {
            let value = evaluate(self.source.text(), self.budget, &attribute.value, &Scope::new());
            match value {
                Ok(value) => self.add(Variable {
                    name: attribute.key.as_str().to_owned(),
                    kind: Type::Any,
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
        match self.declared.iter().find(|other| other.name == variable.name) {
            None => self.declared.push(variable),
            Some(other) => {
                let before = self.source.locate(&other.place);
                let detail =
                    format!("Duplicate {} variable definition found; the first is at {before}.", variable.name);
                self.error(Fault::new(variable.place, "Duplicate variable", detail));
            }
        }
    }

    fn from_environment(&mut self, options: &ParseOptions) {
        for (key, text) in &options.env {
            if let Some(name) = key.strip_prefix(PREFIX) {
                if self.declared.iter().any(|variable| variable.name == name) {
                    self.set_text(name, text, "environment", &format!("<value for var.{name} from {key}>"));
                }
            }
        }
    }

    fn from_options(&mut self, options: &ParseOptions) {
        for (name, text) in &options.variables {
            if self.declared.iter().any(|variable| variable.name == *name) {
                self.set_text(name, text, "command line", &format!("<value for var.{name} from -var>"));
            } else if options.strict {
                let hint = did_you_mean(name, self.declared.iter().map(|v| v.name.as_str()));
                self.found.push(Diagnostic::error(
                    "Undefined -var variable",
                    format!(
                        "A {name:?} variable was passed in the command line but was not found in \
                         known variables. To declare variable {name:?}, place this block in your \
                         job file: variable {name:?} {{}}.{hint}"
                    ),
                ));
            }
        }
    }

    /// Text is taken as it is for variables of type string or without type, and read as HCL for others.
    fn set_text(&mut self, name: &str, text: &str, origin: &'static str, shown: &str) {
        let Some(index) = self.declared.iter().position(|variable| variable.name == name) else {
            return;
        };
        let source = Source::new(shown, text);
        let variable = &self.declared[index];
        let literal = !variable.typed || variable.kind == Type::Text;
        let value = if literal { Ok(Value::from(text)) } else { parse_value(&source, self.budget) };
        self.found.add_source(&source);
        match value.and_then(|value| compatible(variable, value, origin, 0..text.len())) {
            Ok(value) => {
                self.declared[index].value = Some(value);
                self.declared[index].origin = origin;
            }
            Err(fault) => self.found.push(fault.diagnostic(&source)),
        }
    }

    fn from_files(&mut self, options: &ParseOptions) {
        for path in &options.var_files {
            let name = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) if text.len() <= crate::LARGEST_SOURCE => {
                    self.from_file(&Source::new(name, text), options);
                }
                Ok(_) => self.found.push(Diagnostic::error("Variable file too large", name)),
                Err(error) => {
                    self.found.push(Diagnostic::error("Failed to read variable file", format!("{name}: {error}")))
                }
            }
        }
    }

    fn from_file(&mut self, source: &Source, options: &ParseOptions) {
        self.found.add_source(source);
        let body = match super::json_body::variables(source)
            .and_then(|source| super::parse(&source).map(|body| (source, body)))
        {
            Ok(parsed) => parsed,
            Err(found) => return self.found.extend(found),
        };
        let (source, body) = (&body.0, &body.1);
        for block in body.blocks() {
            let detail = format!(
                "A .var file gives values, name = value; {:?} blocks belong in the job file.",
                block.ident.as_str()
            );
            let item = Diagnostic::error("Variable declaration in a .var file", detail);
            self.found.push(item.in_source(source, &header(block)));
        }
        for attribute in body.attributes() {
            let name = attribute.key.as_str();
            let place = attribute.key.span().unwrap_or_default();
            let Some(index) = self.declared.iter().position(|variable| variable.name == name) else {
                if options.strict {
                    let hint = did_you_mean(name, self.declared.iter().map(|v| v.name.as_str()));
                    let detail = format!("A {name:?} variable was set but was not found in known variables.{hint}");
                    let item = Diagnostic::error("Undefined variable", detail);
                    self.found.push(item.in_source(source, &place));
                }
                continue;
            };
            let value = evaluate(source.text(), self.budget, &attribute.value, &Scope::new());
            let place = super::eval::span(&attribute.value);
            match value.and_then(|value| compatible(&self.declared[index], value, "var-file", place)) {
                Ok(value) => {
                    self.declared[index].value = Some(value);
                    self.declared[index].origin = "var-file";
                }
                Err(fault) => self.found.push(fault.diagnostic(source)),
            }
        }
    }

    /// Checks each value by the variable's own rules.
    fn finish(mut self) -> Variables {
        let mut variables = Variables::default();
        for variable in std::mem::take(&mut self.declared) {
            let Some(value) = variable.value.clone() else {
                variables.unset.push(variable.name);
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

    fn check(&self, variable: &Variable, value: &Value, rule: &Block) -> Outcome<()> {
        let mut scope = Scope::new();
        scope.set_field("var", &variable.name, value.clone());
        let attribute = |name: &str| {
            rule.body.get_attribute(name).map(|attribute| &attribute.value).ok_or_else(|| {
                let detail = format!("The argument {name:?} is required, but no definition was found.");
                Fault::new(header(rule), "Missing required argument", detail)
            })
        };
        let (condition, message) = (attribute("condition")?, attribute("error_message")?);
        let evaluator = with_evaluator(self.source.text(), self.budget);
        if evaluator.truth(condition, &scope, "condition")? {
            return Ok(());
        }
        let message = evaluator.text(message, &scope, "error message")?;
        let place = self.source.locate(&header(rule));
        let detail = format!("{message} (This was checked by the validation rule at {place}.)");
        let summary = format!("Invalid value for {} variable", variable.origin);
        Err(Fault::new(variable.place.clone(), summary, detail))
    }
}

fn compatible(variable: &Variable, value: Value, origin: &str, place: std::ops::Range<usize>) -> Outcome<Value> {
    variable.kind.convert(value).map_err(|why| {
        let detail =
            format!("The value for variable {:?} from {origin} is not compatible with its type: {why}.", variable.name);
        Fault::new(place, format!("Invalid value for {origin} variable"), detail)
    })
}

fn parse_value(source: &Source, budget: &Budget) -> Outcome<Value> {
    let expr = hcl_edit::parser::parse_expr(source.text()).map_err(|error| {
        let at = error.location().offset();
        Fault::new(at..at, "Invalid expression", format!("The parser says: {}.", error.message()))
    })?;
    evaluate(source.text(), budget, &expr, &Scope::new())
}

fn evaluate(text: &str, budget: &Budget, expr: &Expression, scope: &Scope) -> Outcome<Value> {
    with_evaluator(text, budget).value(expr, scope)
}

/// Without files: a value from outside may not read any.
fn with_evaluator<'a>(text: &'a str, budget: &'a Budget) -> Evaluator<'a> {
    Evaluator {
        text,
        unknown: Unknown::Refuse,
        functions: &Functions::JOB,
        files: &Files::Disabled,
        budget,
        unset: &[],
    }
}
