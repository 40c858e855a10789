//! Quoted strings end on the line they begin on. hcl-edit lets them go on; HCL does not.

use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{BlockLabel, Body};
use hcl_edit::template::{Element, HeredocTemplate};
use hcl_edit::visit::{Visit, visit_element, visit_expr};

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::Source;

/// What to do about one that goes on.
pub const DETAIL: &str = "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \
                      \\n escape to represent a newline character or use the \"heredoc\" multi-line template syntax.";

/// Complains of each quoted string of a text that goes over the end of a line.
pub fn check(body: &Body, source: &Source) -> Result<(), Diagnostics> {
    let mut checker = Checker { text: source.text(), torn: Vec::new() };
    checker.visit_body(body);
    if checker.torn.is_empty() {
        return Ok(());
    }
    let mut found = Diagnostics::new();
    for place in checker.torn {
        found.push(Diagnostic::error("Invalid multi-line string", DETAIL).in_source(source, &place));
    }
    found.add_source(source);
    Err(found)
}

struct Checker<'t> {
    text: &'t str,
    /// Where the first lines of such strings are.
    torn: Vec<Range<usize>>,
}

impl Checker<'_> {
    fn look(&mut self, place: Option<Range<usize>>) {
        let Some(place) = place else { return };
        if let Some(end) = self.text.get(place.clone()).and_then(|text| text.find('\n')) {
            self.torn.push(place.start..place.start + end);
        }
    }
}

impl Visit for Checker<'_> {
    fn visit_block_label(&mut self, label: &BlockLabel) {
        self.look(label.span());
    }

    fn visit_expr(&mut self, expression: &Expression) {
        match expression {
            Expression::String(text) => self.look(text.span()),
            other => visit_expr(self, other),
        }
    }

    /// Its lines are its own; what stands in `${…}` within is not looked at either.
    fn visit_heredoc_template(&mut self, _: &HeredocTemplate) {}

    fn visit_element(&mut self, element: &Element) {
        match element {
            Element::Literal(text) => self.look(text.span()),
            other => visit_element(self, other),
        }
    }
}
