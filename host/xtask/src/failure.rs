//! How a chore fails: one sentence for the person at the terminal, with the remedy in it.

use std::fmt;

/// What went wrong and what to do about it.
#[derive(Debug)]
pub struct Failure(String);

/// What a chore returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds to an error what was being done when it came.
pub trait Doing<T> {
    /// Turns an error into `<what>: <error>`.
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{}: {error:#}", what())))
    }
}

/// Joins all findings into one failure, or succeeds when there are none.
pub fn none_found(findings: Vec<String>) -> Outcome {
    if findings.is_empty() { Ok(()) } else { Err(Failure(findings.join("\n  "))) }
}
