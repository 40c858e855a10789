//! Descriptors the runtime watches.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// What answers the same descriptor always and keeps it open for as long as it is there.
pub(crate) trait Steady: AsRawFd {}
impl Steady for OwnedFd {}
impl Steady for BorrowedFd<'_> {}

/// Has the runtime watch a descriptor, until the answer is dropped.
#[allow(unsafe_code, reason = "the safe constructors are deprecated, for types that may close their descriptor")]
pub(crate) fn watched<T: Steady>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: a `Steady` one does not; it is dropped after `AsyncFd` has taken the descriptor off the watch.
    unsafe { Ok(AsyncFd::register_with_interest(fd, interest)?) }
}
