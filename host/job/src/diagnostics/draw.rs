//! Drawing with miette: the source line, a caret, the remedy below.

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use super::{Diagnostic, Diagnostics, SHOWN, Severity};

/// Columns of the drawing; longer help is wrapped.
const WIDTH: usize = 100;
/// Bytes a line may have that is drawn. Longer ones are of no use to people, and too much for the library.
const LONGEST_LINE: usize = 10_000;

pub(super) fn graphical(found: &Diagnostics, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
    let mut out = String::new();
    for item in found.iter().take(SHOWN) {
        if handler.render_report(&mut out, report(found, item).as_ref()).is_err() {
            out.push_str(&item.to_string());
        }
        out.push('\n');
    }
    out.push_str(&found.not_shown());
    out
}

fn report(found: &Diagnostics, item: &Diagnostic) -> Report {
    let severity = match item.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
    };
    let mut drawn = MietteDiagnostic::new(item.summary.clone()).with_severity(severity);
    if !item.detail.is_empty() {
        drawn = drawn.with_help(item.detail.clone());
    }
    let Some(location) = &item.location else {
        if let Some(path) = &item.path {
            drawn.message = format!("{}: {}", path.trim_start_matches('/'), item.summary);
        }
        return Report::new(drawn);
    };
    let source = found.sources.iter().find(|source| source.name() == location.file);
    // A line before and after is drawn, too.
    let lines = location.line.saturating_sub(1)..=location.end_line + 1;
    let Some(source) = source.filter(|source| lines.clone().all(|line| source.line(line).len() <= LONGEST_LINE)) else {
        drawn.message = format!("{location}: {}", item.summary);
        return Report::new(drawn);
    };
    let length = location.end - location.start;
    drawn = drawn.with_label(LabeledSpan::underline((location.start, length)));
    Report::new(drawn).with_source_code(NamedSource::new(source.name(), source.text().to_owned()))
}
