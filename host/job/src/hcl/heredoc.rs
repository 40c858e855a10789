//! Heredocs: how far the lines of an indented one (`<<-EOF`) move to the left, and what `~` eats in one.
//!
//! hcl-edit and HCL differ in both. To HCL every line is a text of its own: `~}` at the end of a line eats the end
//! of that line, and nothing of the next; lines move by the least indentation of those that are not blank, counted
//! after that, and blank ones stay as they are. So the texts are made anew here, from what stands in the source.

use hcl_edit::Span;
use hcl_edit::structure::Body;
use hcl_edit::template::{Directive, Element, HeredocTemplate, Strip, Template};
use hcl_edit::visit_mut::{VisitMut, visit_heredoc_template_mut};

/// Settles all heredocs of a text.
pub fn settle(body: &mut Body, text: &str) {
    Settler { text }.visit_body_mut(body);
}

struct Settler<'t> {
    text: &'t str,
}

impl VisitMut for Settler<'_> {
    fn visit_heredoc_template_mut(&mut self, heredoc: &mut HeredocTemplate) {
        let indented = heredoc.indent().is_some();
        let mut parts = Vec::new();
        collect(&mut heredoc.template, &mut parts);
        let strips = parts.iter().any(|part| matches!(part, Part::Marker(strip) if **strip != Strip::None));
        if indented || strips {
            let mut lines = self.lines(&parts);
            if indented {
                flush(&mut lines);
            }
            put(lines, parts);
        }
        visit_heredoc_template_mut(self, heredoc);
    }
}

/// Part of a heredoc, those within directives too.
enum Part<'t> {
    Text(&'t mut hcl_edit::Spanned<String>),
    /// `${…}` or `%{…}`, and where it has a `~`.
    Marker(&'t mut Strip),
}

fn collect<'t>(template: &'t mut Template, parts: &mut Vec<Part<'t>>) {
    for element in template.iter_mut() {
        match element {
            Element::Literal(text) => parts.push(Part::Text(text)),
            Element::Interpolation(interpolation) => parts.push(Part::Marker(&mut interpolation.strip)),
            Element::Directive(directive) => match &mut **directive {
                Directive::If(choice) => {
                    parts.push(Part::Marker(&mut choice.if_expr.strip));
                    collect(&mut choice.if_expr.template, parts);
                    if let Some(otherwise) = &mut choice.else_expr {
                        parts.push(Part::Marker(&mut otherwise.strip));
                        collect(&mut otherwise.template, parts);
                    }
                    parts.push(Part::Marker(&mut choice.endif_expr.strip));
                }
                Directive::For(repeat) => {
                    parts.push(Part::Marker(&mut repeat.for_expr.strip));
                    collect(&mut repeat.for_expr.template, parts);
                    parts.push(Part::Marker(&mut repeat.endfor_expr.strip));
                }
            },
        }
    }
}

/// The part of a line that is text, by the part of the heredoc it is of; a marker has none.
struct Line {
    part: usize,
    text: Option<String>,
}

impl Settler<'_> {
    /// The lines as they were written, less what `~` eats.
    fn lines(&self, parts: &[Part]) -> Vec<Line> {
        let mut lines = Vec::new();
        for (part, it) in parts.iter().enumerate() {
            let Part::Text(literal) = it else {
                lines.push(Line { part, text: None });
                continue;
            };
            let written = literal.span().and_then(|span| self.text.get(span)).unwrap_or_default();
            let text = written.replace("$${", "${").replace("%%{", "%{");
            let mut texts: Vec<&str> = text.split_inclusive('\n').collect();
            let before = part.checked_sub(1).and_then(|before| parts.get(before));
            if let (Some(Part::Marker(strip)), Some(first)) = (before, texts.first_mut()) {
                *first = if strip.strip_end() { first.trim_start() } else { first };
            }
            if let (Some(Part::Marker(strip)), Some(last)) = (parts.get(part + 1), texts.last_mut()) {
                *last = if strip.strip_start() { last.trim_end() } else { last };
            }
            lines.extend(texts.into_iter().map(|text| Line { part, text: Some(text.to_owned()) }));
        }
        lines
    }
}

/// Moves all lines that are not blank by the least indentation; a marker at the start of a line has none.
fn flush(lines: &mut [Line]) {
    let mut at_start = true;
    let mut least = usize::MAX;
    let mut moving = Vec::new();
    for line in lines {
        let starts = std::mem::replace(&mut at_start, line.text.as_ref().is_some_and(|text| text.ends_with('\n')));
        match &mut line.text {
            Some(text) if starts && !(at_start && text.trim().is_empty()) => {
                least = least.min(text.chars().take_while(|letter| letter.is_whitespace()).count());
                moving.push(text);
            }
            None if starts => least = 0,
            _ => {}
        }
    }
    for text in moving {
        *text = text.chars().skip(least).collect();
    }
}

/// Puts the lines back, and takes the `~` away, which have done their work.
fn put(lines: Vec<Line>, mut parts: Vec<Part>) {
    for part in &mut parts {
        match part {
            Part::Text(text) => text.as_mut().clear(),
            Part::Marker(strip) => **strip = Strip::None,
        }
    }
    for line in lines {
        if let (Some(Part::Text(literal)), Some(text)) = (parts.get_mut(line.part), line.text) {
            literal.as_mut().push_str(&text);
        }
    }
}
