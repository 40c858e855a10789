//! Which names an expression uses, without evaluating it.

use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ForExpr, Traversal, TraversalOperator};
use hcl_edit::visit::{Visit, visit_expr, visit_for_expr, visit_traversal};

use super::eval::span;

/// A name that is used: `root`, or `root.first…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub root: String,
    pub first: Option<String>,
    pub place: Range<usize>,
}

/// Collects them.
#[derive(Default)]
pub struct Names {
    pub found: Vec<Name>,
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
            self.found.push(Name { root: name.as_str().to_owned(), first: None, place: span(expr) });
        }
        visit_expr(self, expr);
    }

    fn visit_traversal(&mut self, path: &Traversal) {
        let Some(root) = path.expr.as_variable().filter(|root| !self.is_bound(root.as_str())) else {
            return visit_traversal(self, path);
        };
        let first = match path.operators.first().map(|step| step.value()) {
            Some(TraversalOperator::GetAttr(name)) => Some(name.as_str().to_owned()),
            _ => None,
        };
        self.found.push(Name { root: root.as_str().to_owned(), first, place: path.span().unwrap_or_default() });
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
