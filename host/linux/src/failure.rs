//! One way to say what a failed system call was about.

use std::{fmt::Display, io};

use longshore_core::error::HostError;

/// Turns an I/O error into `<what>: <error>`.
pub(crate) fn because<E: Into<io::Error>>(what: impl Display) -> impl FnOnce(E) -> HostError {
    move |error| HostError::Other(format!("{what}: {}", error.into()))
}

/// Runs blocking work off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(HostError::Other(format!("the work was cut short: {error}"))),
    }
}
