//! The agent's own limit of open files: it holds two sockets for each reserved port.

use std::sync::OnceLock;

use longshore_core::error::{HostError, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

/// What the limit was before [`raise_open_files`].
static INHERITED: OnceLock<Option<u64>> = OnceLock::new();

/// Raises this process's soft limit of open files to the hard one and answers that (none: unlimited). Tasks get
/// the former limit back: programs that use `select` break with a higher one. Call it once, early.
pub fn raise_open_files() -> Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    INHERITED.get_or_init(|| limit.current);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| HostError::Other(format!("raising the limit of open files: {error}")))?;
    Ok(limit.maximum)
}

/// The soft limit to give back to tasks; none when it was never changed.
pub(crate) fn inherited_open_files() -> Option<u64> {
    INHERITED.get().copied().flatten()
}
