//! Why a call to the host failed; the Rust face of `longshore:host/types.error`.

use thiserror::Error;

/// Result of a call to the host.
pub type Result<T, E = HostError> = std::result::Result<T, E>;

/// Why a call to the host failed. Every text is one line for the person who wrote the job or runs the machine.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostError {
    /// Not allowed by the operator; the text names the grant or setting that would allow it.
    #[error("denied: {0}")]
    Denied(String),
    /// A quota or size limit was reached.
    #[error("limit reached: {0}")]
    Limit(String),
    /// No such thing, or it belongs to another driver.
    #[error("not found: {0}")]
    NotFound(String),
    /// Something with this name, port or revision is already there.
    #[error("conflict: {0}")]
    Conflict(String),
    /// An argument is malformed or contradicts another.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The engine or service behind the call does not answer; later may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The time allowed ran out; the effect is unknown.
    #[error("timed out: {0}")]
    Timeout(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl HostError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout(_))
    }
}
