//! What one expression can fail with.

use std::ops::Range;

use crate::diagnostics::Diagnostic;
use crate::source::Source;

/// An error and the bytes to blame for it, in the source the expression was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    span: Range<usize>,
    summary: String,
    detail: String,
}

/// What evaluating gives.
pub type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// Summary and detail as of a [`Diagnostic`].
    pub fn new(span: Range<usize>, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts { span, summary: summary.into(), detail: detail.into() }))
    }

    /// The detail alone, where there is no source to show.
    pub fn into_detail(self) -> String {
        self.0.detail
    }

    /// The error to show.
    pub fn diagnostic(self, source: &Source) -> Diagnostic {
        let Parts { span, summary, detail } = *self.0;
        Diagnostic::error(summary, detail).in_source(source, &span)
    }
}
