//! Rules: `validation` blocks of variables.

use hcl_edit::structure::Block;
use hcl_edit::visit::Visit;

use super::{Reader, Variable, with_evaluator};
use crate::hcl::eval::span;
use crate::hcl::fault::{Fault, Outcome};
use crate::hcl::header;
use crate::hcl::names::{Name, Names};
use crate::hcl::scope::Scope;
use crate::hcl::value::Value;

impl Reader<'_, '_> {
    /// Whether a rule looks at its own variable and at nothing else; complains if not.
    pub(super) fn is_rule(&mut self, name: &str, rule: &Block) -> bool {
        let Some(condition) = rule.body.get_attribute("condition") else { return true };
        let mut names = Names::default();
        names.visit_expr(&condition.value);
        let is_own = |used: &Name| used.root == "var" && used.first.as_deref() == Some(name);
        let (own, others): (Vec<_>, Vec<_>) = names.found.into_iter().partition(is_own);
        let fits = !own.is_empty() && others.is_empty();
        for Name { place, .. } in others {
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
