//! What is wrong with a job, where, and how it is shown: plain, drawn with the source line, or as JSON.

mod draw;

use std::ops::Range;

use serde::Serialize;

use crate::source::{Location, Source};

/// More than this many are counted, not shown.
const SHOWN: usize = 50;

/// Whether the job can run in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The job is refused.
    Error,
    /// The job runs, but perhaps not as its author thinks.
    Warning,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A few words, the same for every case of its kind.
    pub summary: String,
    /// This case: names, values, remedy. May be empty.
    pub detail: String,
    /// JSON pointer into the `Job` document (`/TaskGroups/0/Count`), where one value is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it is an error of a value that could be read: the job can be printed, but not run.
    #[serde(skip)]
    pub readable: bool,
    /// Place in the source, where there is one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            summary: summary.into(),
            detail: detail.into(),
            path: None,
            readable: false,
            location: None,
        }
    }

    /// A warning without a place.
    pub fn warning(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(summary, detail) }
    }

    /// Blames one value of the `Job` document, by JSON pointer.
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Blames a range of bytes of a source.
    pub fn in_source(mut self, source: &Source, span: &Range<usize>) -> Self {
        self.location = Some(source.locate(span));
        self
    }
}

impl std::fmt::Display for Diagnostic {
    /// `file:12,3-9: summary; detail`
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.location, &self.path) {
            (Some(location), _) => write!(out, "{location}: ")?,
            (None, Some(path)) => write!(out, "{}: ", path.trim_start_matches('/'))?,
            (None, None) => {}
        }
        out.write_str(&self.summary)?;
        if self.detail.is_empty() { Ok(()) } else { write!(out, "; {}", self.detail) }
    }
}

/// Everything found in one job, errors and warnings, with the sources they point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    sources: Vec<Source>,
}

impl Diagnostics {
    /// Nothing found.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Adds all of another, and its sources.
    pub fn extend(&mut self, other: Self) {
        self.items.extend(other.items);
        for source in other.sources {
            self.add_source(&source);
        }
    }

    /// Makes a source known, so that its lines can be drawn.
    pub fn add_source(&mut self, source: &Source) {
        if !self.sources.iter().any(|known| known.name() == source.name()) {
            self.sources.push(source.clone());
        }
    }

    /// In the order found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.items.iter()
    }

    /// Whether the job cannot even be read.
    pub fn unreadable(&self) -> bool {
        self.errors().any(|item| !item.readable)
    }

    /// For changing them in place, such as adding the location to a path.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Diagnostic> {
        self.items.iter_mut()
    }

    /// Nothing, not even a warning.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the job must be refused.
    pub fn has_errors(&self) -> bool {
        self.iter().any(|item| item.severity == Severity::Error)
    }

    /// The errors alone.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.iter().filter(|item| item.severity == Severity::Error)
    }

    /// The warnings alone.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.iter().filter(|item| item.severity == Severity::Warning)
    }

    /// `Ok` with these as warnings, or `Err` with these if one of them is an error.
    pub fn into_result(self) -> Result<Self, Self> {
        if self.has_errors() { Err(self) } else { Ok(self) }
    }

    /// One line each: `file:12,3-9: summary; detail`.
    pub fn plain(&self) -> String {
        let mut out = String::new();
        for item in self.iter().take(SHOWN) {
            if item.severity == Severity::Warning {
                out.push_str("warning: ");
            }
            out.push_str(&item.to_string());
            out.push('\n');
        }
        out.push_str(&self.not_shown());
        out
    }

    /// Drawn with the source line and a caret, for people; `colour` for terminals.
    pub fn graphical(&self, colour: bool) -> String {
        draw::graphical(self, colour)
    }

    /// A JSON list of objects with `severity`, `summary`, `detail`, `path`, `file`, `line`, `column`, ….
    pub fn to_json(&self) -> serde_json::Value {
        self.iter().map(|item| serde_json::to_value(item).unwrap_or_default()).collect()
    }

    fn not_shown(&self) -> String {
        match self.items.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("and {more} more\n"),
        }
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.plain().trim_end())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(item: Diagnostic) -> Self {
        Self { items: vec![item], sources: Vec::new() }
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(items: I) -> Self {
        Self { items: items.into_iter().collect(), sources: Vec::new() }
    }
}
