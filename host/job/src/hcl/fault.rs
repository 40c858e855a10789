//! What one expression can fail with.

use std::ops::Range;

use crate::diagnostics::Diagnostic;
use crate::source::Source;

/// An error and the bytes to blame for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In the source the expression was read from.
    pub span: Range<usize>,
    /// As [`Diagnostic::summary`].
    pub summary: String,
    /// As [`Diagnostic::detail`].
    pub detail: String,
}

/// Boxed, so that the common case stays small.
pub type Outcome<T> = Result<T, Box<Fault>>;

impl Fault {
    /// A fault to return with `Err`.
    pub fn new(span: Range<usize>, summary: impl Into<String>, detail: impl Into<String>) -> Box<Self> {
        Box::new(Self { span, summary: summary.into(), detail: detail.into() })
    }

    /// The error to show.
    pub fn diagnostic(self, source: &Source) -> Diagnostic {
        Diagnostic::error(self.summary, self.detail).in_source(source, &self.span)
    }
}
