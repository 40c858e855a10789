//! Templates: text with `${…}` and `%{…}` in it.

use hcl_edit::expr::Expression;
use hcl_edit::template::{Directive, Element, ForDirective, IfDirective, Strip, Template};

use super::convert::to_text;
use super::eval::{Evaluator, span, too_large};
use super::fault::{Fault, Outcome};
use super::scope::Scope;
use super::value::Value;

impl Evaluator<'_> {
    /// The value of a template: text, or, when it is nothing but one `${…}`, the value in it.
    pub fn template_value(&self, template: &Template, blame: &Expression, scope: &Scope) -> Outcome<Value> {
        if let Some(Element::Interpolation(only)) = template.as_single_element() {
            return self.value(&only.expr, scope);
        }
        let mut out = String::new();
        self.template(template, Strip::None, Strip::None, blame, scope, &mut out)?;
        Ok(Value::String(out))
    }

    /// Appends a template; `before` and `after` are the markers around it, whose `~` eats its outer spaces.
    fn template(
        &self,
        template: &Template,
        before: Strip,
        after: Strip,
        blame: &Expression,
        scope: &Scope,
        out: &mut String,
    ) -> Outcome<()> {
        let elements: Vec<&Element> = template.iter().collect();
        for (index, element) in elements.iter().enumerate() {
            match element {
                Element::Literal(text) => {
                    let left = match index.checked_sub(1) {
                        Some(previous) => strips_after(elements[previous]),
                        None => before.strip_end(),
                    };
                    let right = match elements.get(index + 1) {
                        Some(next) => strips_before(next),
                        None => after.strip_start(),
                    };
                    self.push(out, strip(text, left, right), blame)?;
                }
                Element::Interpolation(part) => {
                    let value = self.value(&part.expr, scope)?;
                    let text = to_text(&value).ok_or_else(|| not_text(&value, &part.expr))?;
                    self.push(out, &text, blame)?;
                }
                Element::Directive(directive) => match &**directive {
                    Directive::If(choice) => self.choose(choice, blame, scope, out)?,
                    Directive::For(repeat) => self.repeat(repeat, blame, scope, out)?,
                },
            }
        }
        Ok(())
    }

    fn push(&self, out: &mut String, text: &str, blame: &Expression) -> Outcome<()> {
        self.budget.charge_bytes(text.len() + 1).map_err(|detail| too_large(span(blame), detail))?;
        out.push_str(text);
        Ok(())
    }

    fn choose(&self, choice: &IfDirective, blame: &Expression, scope: &Scope, out: &mut String) -> Outcome<()> {
        let (yes, end) = (&choice.if_expr, choice.endif_expr.strip);
        if self.truth(&yes.cond_expr, scope, "condition")? {
            let after = choice.else_expr.as_ref().map_or(end, |otherwise| otherwise.strip);
            return self.template(&yes.template, yes.strip, after, blame, scope, out);
        }
        match &choice.else_expr {
            Some(no) => self.template(&no.template, no.strip, end, blame, scope, out),
            None => Ok(()),
        }
    }

    fn repeat(&self, repeat: &ForDirective, blame: &Expression, scope: &Scope, out: &mut String) -> Outcome<()> {
        let head = &repeat.for_expr;
        let collection = self.value(&head.collection_expr, scope)?;
        for (key, item) in self.iterable(&collection, &head.collection_expr)? {
            self.charge(item, blame)?;
            let mut inner = scope.inner();
            if let Some(name) = &head.key_var {
                inner.set(name.as_str(), key);
            }
            inner.set(head.value_var.as_str(), item.clone());
            let end = repeat.endfor_expr.strip;
            self.template(&head.template, head.strip, end, blame, &inner, out)?;
        }
        Ok(())
    }
}

fn not_text(value: &Value, blame: &Expression) -> Fault {
    let detail = if value.is_null() {
        "The expression result is null. Cannot include a null value in a string template."
    } else {
        "Cannot include the given value in a string template: string required."
    };
    Fault::new(span(blame), "Invalid template interpolation value", detail)
}

/// Whether the closing marker of an element carries `~`.
fn strips_after(element: &Element) -> bool {
    match element {
        Element::Literal(_) => false,
        Element::Interpolation(part) => part.strip.strip_end(),
        Element::Directive(directive) => match &**directive {
            Directive::If(choice) => choice.endif_expr.strip.strip_end(),
            Directive::For(repeat) => repeat.endfor_expr.strip.strip_end(),
        },
    }
}

/// Whether the opening marker of an element carries `~`.
fn strips_before(element: &Element) -> bool {
    match element {
        Element::Literal(_) => false,
        Element::Interpolation(part) => part.strip.strip_start(),
        Element::Directive(directive) => match &**directive {
            Directive::If(choice) => choice.if_expr.strip.strip_start(),
            Directive::For(repeat) => repeat.for_expr.strip.strip_start(),
        },
    }
}

fn strip(text: &str, left: bool, right: bool) -> &str {
    let text = if left { text.trim_start() } else { text };
    if right { text.trim_end() } else { text }
}
