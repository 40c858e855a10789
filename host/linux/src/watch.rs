//! Descriptors the runtime watches.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Has the runtime watch a descriptor.
#[allow(unsafe_code, reason = "the safe constructors are deprecated, for types that may close their descriptor")]
pub(crate) fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` answers the same descriptor always and keeps it open until it is dropped, which is after
    // `AsyncFd` has taken it off the watch.
    unsafe { Ok(AsyncFd::register_with_interest(fd, interest)?) }
}
