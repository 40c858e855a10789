//! Templates that are evaluated when a task starts, with everything known.

use hcl_edit::template::Template;
use hcl_edit::visit::Visit;
use serde_json::{Map, Value};

use super::budget::Budget;
use super::eval::{Evaluator, Unknown};
use super::fault::Fault;
use super::functions::{Files, Functions};
use super::names::Names;
use super::scope::Scope;
use super::value::Value as Evaluated;

/// Evaluates one text with the functions of the runtime; the error is a sentence.
pub fn evaluate(text: &str, names: &Map<String, Value>) -> Result<Value, String> {
    let template = read(text)?;
    let mut scope = Scope::new();
    for (name, value) in names {
        scope.set(name.as_str(), Evaluated::from(value.clone()));
    }
    run(text, &template, &scope)
}

/// Names that a text uses, first parts only; the error is a sentence.
pub fn roots(text: &str) -> Result<Vec<String>, String> {
    let template = read(text)?;
    let mut names = Names::default();
    names.visit_template(&template);
    Ok(names.found.into_iter().map(|name| name.root).collect())
}

fn read(text: &str) -> Result<Template, String> {
    hcl_edit::parser::parse_template(text).map_err(|error| format!("{text:?} is not a template: {}.", error.message()))
}

fn run(text: &str, template: &Template, scope: &Scope) -> Result<Value, String> {
    let evaluator = Evaluator {
        text,
        unknown: Unknown::Refuse,
        functions: &Functions::RUNTIME,
        files: &Files::Disabled,
        budget: &Budget::default(),
        unset: None,
    };
    let whole = hcl_edit::expr::Expression::from(text);
    let value = evaluator.template_value(template, &whole, scope).map_err(Fault::into_detail)?;
    value.json().ok_or_else(|| format!("{text:?} gives a number that is too large."))
}
