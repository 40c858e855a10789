//! Rules: `validation` blocks of variables.

use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ForExpr, Traversal, TraversalOperator};
use hcl_edit::structure::Block;
use hcl_edit::visit::{Visit, visit_expr, visit_for_expr, visit_traversal};

use super::{Reader, Variable, with_evaluator};
use crate::hcl::eval::span;
use crate::hcl::fault::{Fault, Outcome};
use crate::hcl::header;
use crate::hcl::scope::Scope;
use crate::hcl::value::Value;

impl Reader<'_, '_> {
    /// Whether a rule looks at its own variable and at nothing else; complains if not.
    pub(super) fn is_rule(&mut self, name: &str, rule: &Block) -> bool {
        let Some(condition) = rule.body.get_attribute("condition") else { return true };
        let mut names = Names::default();
        names.visit_expr(&condition.value);
        let (own, others): (Vec<_>, Vec<_>) =
            names.found.into_iter().partition(|(used, _)| used.as_deref() == Some(name));
        let fits = !own.is_empty() && others.is_empty();
        for (_, place) in others {
            let detail =
                format!("The condition for variable {name:?} can only refer to the variable itself, using var.{name}.");
            self.error(Fault::new(place, "Invalid reference in variable validation", detail));
        }
        if own.is_empty() {
            let detail = format!(
                "The condition for variable {name:?} must refer to var.{name} in order to test incoming values."
            );
            self.error(Fault::new(span(&condition.value), "Invalid variable validation condition", detail));
        }
        fits
    }

    /// Whether a value is as a rule says.
    pub(super) fn check(&self, variable: &Variable, value: &Value, rule: &Block) -> Outcome<()> {
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

/// Collects the names an expression uses: of a variable, or `None` for anything else.
#[derive(Default)]
struct Names {
    found: Vec<(Option<String>, Range<usize>)>,
    /// What surrounding `for` expressions call their elements.
    bound: Vec<String>,
}

impl Names {
    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|bound| bound == name)
    }
}

impl Visit for Names {
    fn visit_expr(&mut self, expr: &Expression) {
        if let Expression::Variable(name) = expr
            && !self.is_bound(name.as_str())
        {
            self.found.push((None, span(expr)));
        }
        visit_expr(self, expr);
    }

    fn visit_traversal(&mut self, path: &Traversal) {
        let Some(root) = path.expr.as_variable().filter(|root| !self.is_bound(root.as_str())) else {
            return visit_traversal(self, path);
        };
        let used = match path.operators.first().map(|step| step.value()) {
            Some(TraversalOperator::GetAttr(name)) if root.as_str() == "var" => Some(name.as_str().to_owned()),
            _ => None,
        };
        self.found.push((used, path.span().unwrap_or_default()));
        for step in &path.operators {
            self.visit_traversal_operator(step);
        }
    }

    fn visit_for_expr(&mut self, comprehension: &ForExpr) {
        let before = self.bound.len();
        let intro = &comprehension.intro;
        self.bound.extend(intro.key_var.iter().chain([&intro.value_var]).map(|name| name.as_str().to_owned()));
        visit_for_expr(self, comprehension);
        self.bound.truncate(before);
    }
}
