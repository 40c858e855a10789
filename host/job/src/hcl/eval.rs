//! Expressions to values.
//!
//! hcl-edit reads the text; its own family's evaluator (hcl-rs) keeps no positions, converts no types, knows no
//! limits, and fails on names it does not know, which in a job file are most of them: `${NOMAD_PORT_http}` is for
//! the machine to fill in. So the tree is walked here.

use std::collections::BTreeMap;
use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Array, Conditional, Expression, ForExpr, FuncCall, Object, ObjectKey};

use super::budget::Budget;
use super::convert::{elements, to_bool, to_text};
use super::fault::{Fault, Outcome};
use super::functions::{Files, Functions};
use super::number::Number;
use super::scope::Scope;
use super::types::Type;
use super::unify::{type_of, unify};
use super::value::{Map, Value};

/// What becomes of a name that is not in scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It stays as text, to be filled in when the task starts: `"${NOMAD_PORT_http}"`.
    Keep,
    /// It is an error.
    Refuse,
}

/// Evaluates the expressions of one source.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'a> {
    /// The text that spans refer to.
    pub text: &'a str,
    /// What becomes of unknown names.
    pub unknown: Unknown,
    /// Functions that may be called.
    pub functions: &'a Functions,
    /// What file functions may read.
    pub files: &'a Files,
    /// What may still be produced.
    pub budget: &'a Budget,
    /// Variables without a value; using one is an error of its own.
    pub unset: Option<&'a BTreeMap<String, Range<usize>>>,
}

impl Evaluator<'_> {
    /// The value of an expression.
    pub fn value(&self, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        match expr {
            Expression::Null(_) => Ok(Value::Null),
            Expression::Bool(truth) => Ok(Value::Bool(*truth.value())),
            Expression::Number(literal) => self.number(literal.value(), expr),
            Expression::String(text) => Ok(Value::String(text.value().clone())),
            Expression::Array(array) => self.array(array, scope),
            Expression::Object(object) => self.object(object, scope),
            Expression::StringTemplate(template) => self.template_value(template, expr, scope),
            Expression::HeredocTemplate(heredoc) => self.template_value(&heredoc.template, expr, scope),
            Expression::Parenthesis(inner) => self.value(inner.inner(), scope),
            Expression::Variable(_) | Expression::Traversal(_) => self.reference(expr, scope),
            Expression::Conditional(choice) => self.choice(choice, expr, scope),
            Expression::FuncCall(call) => self.call(call, expr, scope),
            Expression::UnaryOp(operation) => self.unary(operation, scope),
            Expression::BinaryOp(operation) => self.binary(operation, scope),
            Expression::ForExpr(comprehension) => self.comprehension(comprehension, expr, scope),
        }
    }

    /// Both sides are brought to one type; what is wrong with the side not taken does not matter.
    fn choice(&self, choice: &Conditional, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        let truth = self.truth(&choice.cond_expr, scope, "condition")?;
        let (yes, no) = (&choice.true_expr, &choice.false_expr);
        let (taken, other) = if truth { (yes, no) } else { (no, yes) };
        let value = self.value(taken, scope)?;
        let Ok(other) = self.value(other, scope) else {
            return Ok(value);
        };
        let common = unify(type_of(&value), type_of(&other));
        common.and_then(|kind| kind.convert(value).ok()).ok_or_else(|| {
            let detail = "The true and false result expressions must have consistent types.";
            Fault::new(span(expr), "Inconsistent conditional result types", detail)
        })
    }

    /// A value that must be true or false; `what` names its role.
    pub fn truth(&self, expr: &Expression, scope: &Scope, what: &str) -> Outcome<bool> {
        let value = self.value(expr, scope)?;
        to_bool(&value).ok_or_else(|| {
            let detail = format!("Unsuitable value for {what}: a bool is required.");
            Fault::new(span(expr), format!("Incorrect {what} type"), detail)
        })
    }

    /// Charges a value to the budget.
    pub fn charge(&self, value: &Value, blame: &Expression) -> Outcome<()> {
        self.budget.charge(value).map_err(|detail| too_large(span(blame), detail))
    }

    /// As it is written; the library keeps no more than a float of it.
    fn number(&self, literal: &hcl_edit::Number, blame: &Expression) -> Outcome<Value> {
        let written = blame.span().and_then(|span| self.text.get(span)).map(str::trim);
        let number = written.map_or_else(|| Number::read(&literal.to_string()), Number::read);
        number
            .map(Value::Number)
            .ok_or_else(|| Fault::new(span(blame), "Invalid number literal", "The number is too large."))
    }

    fn array(&self, array: &Array, scope: &Scope) -> Outcome<Value> {
        array.iter().map(|item| self.value(item, scope)).collect::<Result<_, _>>().map(Value::Array)
    }

    fn object(&self, object: &Object, scope: &Scope) -> Outcome<Value> {
        let mut fields = Map::new();
        for (key, value) in object.iter() {
            let key = match key {
                ObjectKey::Ident(name) => name.as_str().to_owned(),
                ObjectKey::Expression(expr) => self.key(expr, scope)?,
            };
            fields.insert(key, self.value(value.expr(), scope)?);
        }
        Ok(Value::Object(fields))
    }

    /// A key of an object; a bare name stands for itself.
    fn key(&self, expr: &Expression, scope: &Scope) -> Outcome<String> {
        match expr {
            Expression::Variable(name) => Ok(name.as_str().to_owned()),
            Expression::Traversal(_) => {
                let detail = "Wrap it in parentheses if it is a reference, in quotes if it is a name with dots.";
                Err(Fault::new(span(expr), "Ambiguous attribute key", detail))
            }
            _ => self.text(expr, scope, "key"),
        }
    }

    /// A value as text; `what` names its role.
    pub fn text(&self, expr: &Expression, scope: &Scope, what: &str) -> Outcome<String> {
        let value = self.value(expr, scope)?;
        to_text(&value).ok_or_else(|| {
            let detail = format!("Can't use this value as a {what}: string required.");
            Fault::new(span(expr), format!("Incorrect {what} type"), detail)
        })
    }

    fn call(&self, call: &FuncCall, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        if !self.functions.are_any() {
            return Err(Fault::new(span(expr), "Function calls not allowed", "Functions may not be called here."));
        }
        let name = call.name.name.as_str();
        match name {
            "try" => return self.first_that_works(call, expr, scope),
            "can" => return self.works(call, expr, scope),
            "convert" => return self.convert(call, expr, scope),
            _ => {}
        }
        let mut arguments = Vec::new();
        for argument in call.args.iter() {
            arguments.push(self.value(argument, scope)?);
        }
        if call.args.expand_final() {
            expand_last(&mut arguments, expr)?;
        }
        let blame = |index: usize| call.args.iter().nth(index).map(span).unwrap_or(span(expr));
        for argument in &arguments {
            self.budget.charge(argument).map_err(|detail| too_large(span(expr), detail))?;
        }
        let value = self.functions.call(name, arguments, self.files).map_err(|refusal| {
            let place = refusal.argument.map_or(span(expr), blame);
            Fault::new(place, refusal.summary, refusal.detail)
        })?;
        self.charge(&value, expr)?;
        Ok(value)
    }

    /// `try(a, b, …)`: the first argument that evaluates without error.
    fn first_that_works(&self, call: &FuncCall, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        let mut reasons = Vec::new();
        for argument in call.args.iter() {
            match self.value(argument, scope) {
                Ok(value) => return Ok(value),
                Err(fault) => reasons.push(fault.into_detail()),
            }
        }
        let detail = format!("no expression succeeded: {}", reasons.join(" "));
        Err(Fault::new(span(expr), "Error in function call", detail))
    }

    /// `can(a)`: whether it evaluates without error.
    fn works(&self, call: &FuncCall, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        let mut arguments = call.args.iter();
        match (arguments.next(), arguments.next()) {
            (Some(argument), None) => Ok(Value::Bool(self.value(argument, scope).is_ok())),
            _ => {
                let detail = "Function \"can\" expects one argument.";
                Err(Fault::new(span(expr), "Wrong number of function arguments", detail))
            }
        }
    }

    /// `convert(a, list(string))`: the second argument is a type, not a value.
    fn convert(&self, call: &FuncCall, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        let arguments: Vec<_> = call.args.iter().collect();
        let [argument, wanted] = arguments.as_slice() else {
            let detail = "Function \"convert\" expects two arguments, a value and a type.";
            return Err(Fault::new(span(expr), "Wrong number of function arguments", detail));
        };
        let value = self.value(argument, scope)?;
        Type::read(wanted)?.convert(value).map_err(|why| {
            let detail = format!("Call to function \"convert\" failed: {why}.");
            Fault::new(span(argument), "Error in function call", detail)
        })
    }

    fn comprehension(&self, this: &ForExpr, expr: &Expression, scope: &Scope) -> Outcome<Value> {
        let collection = self.value(&this.intro.collection_expr, scope)?;
        let items = self.iterable(&collection, &this.intro.collection_expr)?;
        let (mut list, mut map) = (Vec::new(), Map::new());
        for (key, item) in items {
            self.charge(item, expr)?;
            let mut inner = scope.inner();
            if let Some(name) = &this.intro.key_var {
                inner.set(name.as_str(), key);
            }
            inner.set(this.intro.value_var.as_str(), item.clone());
            if let Some(condition) = &this.cond
                && !self.truth(&condition.expr, &inner, "'for' condition")?
            {
                continue;
            }
            let value = self.value(&this.value_expr, &inner)?;
            match &this.key_expr {
                None => list.push(value),
                Some(key) => self.put(&mut map, key, value, this.grouping, &inner)?,
            }
        }
        Ok(if this.key_expr.is_some() { Value::Object(map) } else { Value::Array(list) })
    }

    /// Puts one pair of a `for` into the map; with `...` after the value, equal keys are grouped.
    fn put(
        &self,
        map: &mut Map<String, Value>,
        key: &Expression,
        value: Value,
        grouping: bool,
        scope: &Scope,
    ) -> Outcome<()> {
        let name = self.text(key, scope, "key")?;
        if !grouping {
            return match map.insert(name.clone(), value) {
                None => Ok(()),
                Some(_) => {
                    let detail = format!(
                        "Two different items produced the key {name:?} in this 'for' expression. \
                         If duplicates are expected, use the ellipsis (...) after the value \
                         expression to enable grouping by key."
                    );
                    Err(Fault::new(span(key), "Duplicate object key", detail))
                }
            };
        }
        if let Value::Array(group) = map.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
            group.push(value);
        }
        Ok(())
    }

    /// The elements of a collection that a `for` goes through.
    pub fn iterable<'v>(&self, value: &'v Value, blame: &Expression) -> Outcome<Vec<(Value, &'v Value)>> {
        elements(value).ok_or_else(|| {
            let detail = "A value of type list or object is required to iterate over.";
            Fault::new(span(blame), "Iteration over non-iterable value", detail)
        })
    }
}

/// `f(list...)` passes the elements of the list as arguments.
fn expand_last(arguments: &mut Vec<Value>, blame: &Expression) -> Outcome<()> {
    match arguments.pop() {
        Some(Value::Array(rest)) => {
            arguments.extend(rest);
            Ok(())
        }
        _ => {
            let detail = "The expanding argument (indicated by ...) must be a list.";
            Err(Fault::new(span(blame), "Invalid expanding argument value", detail))
        }
    }
}

/// The bytes of an expression.
pub fn span(expr: &Expression) -> Range<usize> {
    expr.span().unwrap_or_default()
}

pub(super) fn too_large(span: Range<usize>, detail: String) -> Fault {
    Fault::new(span, "Result too large", detail)
}
