//! Making and reading errors.

use crate::{Error, StartError};

macro_rules! constructors {
    ($($name:ident $variant:ident $doc:literal)*) => {$(
        #[doc = $doc]
        pub fn $name(text: impl Into<String>) -> Self {
            Self::$variant(text.into())
        }
    )*};
}

impl Error {
    constructors! {
        denied Denied "The operator has not allowed this; name the setting that would."
        limit Limit "A quota or size limit was reached."
        not_found NotFound "There is no such thing."
        conflict Conflict "Something of this name is already there."
        invalid Invalid "The job asks for something malformed or contradictory."
        unavailable Unavailable "An engine or service does not answer; trying again may help."
        timeout Timeout "The time allowed ran out; the effect is unknown."
        other Other "Anything else."
    }

    /// The text, without the kind.
    pub fn text(&self) -> &str {
        match self {
            Self::Denied(text)
            | Self::Limit(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Invalid(text)
            | Self::Unavailable(text)
            | Self::Timeout(text)
            | Self::Other(text) => text,
        }
    }

    /// The same kind of error with words before its text: `error.context("cannot create container")`.
    pub fn context(self, words: impl AsRef<str>) -> Self {
        let told = |text: String| format!("{}: {text}", words.as_ref());
        match self {
            Self::Denied(text) => Self::Denied(told(text)),
            Self::Limit(text) => Self::Limit(told(text)),
            Self::NotFound(text) => Self::NotFound(told(text)),
            Self::Conflict(text) => Self::Conflict(told(text)),
            Self::Invalid(text) => Self::Invalid(told(text)),
            Self::Unavailable(text) => Self::Unavailable(told(text)),
            Self::Timeout(text) => Self::Timeout(told(text)),
            Self::Other(text) => Self::Other(told(text)),
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout(_) | Self::Conflict(_))
    }
}

impl StartError {
    /// The task fails for good.
    pub fn fatal(reason: Error) -> Self {
        Self { reason, recoverable: false }
    }

    /// The job's restart policy may try again.
    pub fn recoverable(reason: Error) -> Self {
        Self { reason, recoverable: true }
    }
}

/// Recoverable exactly when the error [is transient](Error::is_transient).
impl From<Error> for StartError {
    fn from(reason: Error) -> Self {
        Self { recoverable: reason.is_transient(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_errors_are_worth_another_start() {
        let table = [
            (Error::denied("x"), false),
            (Error::invalid("x"), false),
            (Error::not_found("x"), false),
            (Error::unavailable("x"), true),
            (Error::timeout("x"), true),
            (Error::conflict("x"), true),
        ];
        for (error, recoverable) in table {
            assert_eq!(StartError::from(error.clone()).recoverable, recoverable, "{error:?}");
        }
    }

    #[test]
    fn context_keeps_the_kind() {
        assert_eq!(Error::denied("no").context("cannot create"), Error::denied("cannot create: no"));
    }
}
