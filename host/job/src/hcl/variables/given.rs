//! Values from outside: environment, files, options, in this order, the last one counting.

use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::structure::{Attribute, Body};

use super::{Reader, Variable, evaluate};
use crate::ParseOptions;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::hcl::budget::Budget;
use crate::hcl::eval::span;
use crate::hcl::fault::{Fault, Outcome};
use crate::hcl::scope::Scope;
use crate::hcl::types::Type;
use crate::hcl::value::Value;
use crate::hcl::{header, json_body, parse};
use crate::source::Source;
use crate::suggest::did_you_mean;

/// Prefix of environment variables that set variables.
const PREFIX: &str = "NOMAD_VAR_";

impl Reader<'_, '_> {
    /// Takes over all values from outside.
    pub(super) fn take_given(&mut self, options: &ParseOptions) {
        for (key, text) in &options.env {
            let name = key.strip_prefix(PREFIX).filter(|name| self.index.contains_key(*name));
            if let Some(name) = name {
                self.set_text(name, text, "environment", key);
            }
        }
        for path in &options.var_files {
            if let Err(found) = self.file(path, options) {
                self.found.extend(found);
            }
        }
        if !options.var_text.is_empty()
            && let Err(found) = self.assignments(&Source::new("input.vars", options.var_text.as_str()), options)
        {
            self.found.extend(found);
        }
        for (name, text) in &options.variables {
            if self.index.contains_key(name) {
                self.set_text(name, text, "command line", "-var");
            } else if options.strict {
                let hint = self.hint(name);
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

    fn hint(&self, name: &str) -> String {
        did_you_mean(name, self.index.keys().map(String::as_str))
    }

    /// Text is taken as it is for variables of type string or number, and those that may be anything; and read as HCL
    /// for others.
    fn set_text(&mut self, name: &str, text: &str, origin: &'static str, from: &str) {
        let source = Source::new(format!("<value for var.{name} from {from}>"), text);
        let Some(variable) = self.index.get(name).map(|index| &self.declared[*index]) else {
            return;
        };
        let literal = matches!(variable.kind, None | Some(Type::Text | Type::Number));
        let value = if literal { Ok(Value::from(text)) } else { parse_value(&source, self.budget) };
        self.set(name, value, origin, 0..text.len(), &source);
    }

    /// Gives a declared variable its value, or says why not.
    fn set(&mut self, name: &str, value: Outcome<Value>, origin: &'static str, place: Range<usize>, source: &Source) {
        let Some(variable) = self.index.get(name).and_then(|index| self.declared.get_mut(*index)) else {
            return;
        };
        match value.and_then(|value| compatible(variable, value, origin, place.clone())) {
            Ok((value, lost)) => {
                (variable.value, variable.origin) = (Some(value), origin);
                if !lost.is_empty() {
                    let summary = format!(
                        "variable {name:?} loses {}: without a type it is of its default's, which has no such key",
                        lost.join(", ")
                    );
                    self.found.add_source(source);
                    self.found.push(Diagnostic::warning(summary, "").in_source(source, &place));
                }
            }
            Err(fault) => {
                self.found.add_source(source);
                self.found.push(fault.diagnostic(source));
            }
        }
    }

    fn file(&mut self, path: &std::path::Path, options: &ParseOptions) -> Result<(), Diagnostics> {
        let name = path.display().to_string();
        let refuse = |why: String| Diagnostic::error("Failed to read variable file", format!("{name}: {why}"));
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        if text.len() > crate::LARGEST_SOURCE {
            return Err(refuse(format!("more than {} bytes", crate::LARGEST_SOURCE)).into());
        }
        self.assignments(&Source::new(name, text), options)
    }

    /// `name = value`, any number of times.
    fn assignments(&mut self, given: &Source, options: &ParseOptions) -> Result<(), Diagnostics> {
        let source = json_body::variables(given)?;
        let body: Body = parse(&source)?;
        self.found.add_source(&source);
        for block in body.blocks() {
            let detail = format!(
                "A .var file gives values, name = value; {:?} blocks belong in the job file.",
                block.ident.as_str()
            );
            let item = Diagnostic::error("Variable declaration in a .var file", detail);
            self.found.push(item.in_source(&source, &header(block)));
        }
        for attribute in body.attributes() {
            self.line(attribute, &source, options);
        }
        Ok(())
    }

    /// `name = value` of a file.
    fn line(&mut self, attribute: &Attribute, source: &Source, options: &ParseOptions) {
        let name = attribute.key.as_str();
        if self.index.contains_key(name) {
            let value = evaluate(source.text(), self.budget, &attribute.value, &Scope::new());
            self.set(name, value, "var-file", span(&attribute.value), source);
        } else if options.strict {
            let hint = self.hint(name);
            let detail = format!("A {name:?} variable was set but was not found in known variables.{hint}");
            let item = Diagnostic::error("Undefined variable", detail);
            self.found.push(item.in_source(source, &attribute.key.span().unwrap_or_default()));
        }
    }
}

/// A value as the variable's type, and the keys that it loses by that although nobody wrote such a type.
fn compatible(variable: &Variable, value: Value, origin: &str, place: Range<usize>) -> Outcome<(Value, Vec<String>)> {
    let before = keys(&value);
    let value = variable.converted(value).map_err(|why| {
        let name = &variable.name;
        let detail = format!("The value for variable {name:?} from {origin} is not compatible with its type: {why}.");
        Fault::new(place, format!("Invalid value for {origin} variable"), detail)
    })?;
    let after = keys(&value);
    let lost = before.into_iter().filter(|key| !variable.typed && !after.contains(key)).collect();
    Ok((value, lost))
}

fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn parse_value(source: &Source, budget: &Budget) -> Outcome<Value> {
    let expr = hcl_edit::parser::parse_expr(source.text()).map_err(|error| {
        let at = error.location().offset();
        Fault::new(at..at, "Invalid expression", format!("The parser says: {}.", error.message()))
    })?;
    evaluate(source.text(), budget, &expr, &Scope::new())
}
