//! Where bind mounts truly lead. Policy has read their text; here the links in them are followed, and what
//! they lead to must be allowed as well. Engine and kernel are given the resolved path, and a link put in later is
//! not followed either: an engine's container is looked at again just before its start, and the shim follows none.
//! All of it blocks: whoever waits for it does so once for all the mounts of a container.

use std::path::{Path, PathBuf};

use cap_std::{ambient_authority, fs::Dir};
use longshore_core::{
    caller::TaskScope,
    error::{HostError, Result},
    policy::{Policy, normalise},
};

/// A bind source as it was written and as it was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) written: PathBuf,
    pub(crate) real: PathBuf,
}

impl Source {
    /// Follows the links in a path that policy has read, and has policy read where they lead.
    pub(crate) fn follow(policy: &Policy, scope: &TaskScope, path: &str) -> Result<Self> {
        let written = normalise(Path::new(path))?;
        let real = resolve(&written)?;
        check(policy, scope, &written, &real)?;
        Ok(Self { written, real })
    }

    /// Makes a directory of the allocation that is not there. What is elsewhere must be there.
    pub(crate) fn make(scope: &TaskScope, path: &str) -> Result<()> {
        let path = normalise(Path::new(path))?;
        let below = |root| path.strip_prefix(root).ok().map(|rest| (root, rest));
        // The agent's own directories; what is below them may be a link of the task's.
        let found = [&scope.dirs.task, &scope.dirs.alloc].into_iter().find_map(below);
        let Some((root, rest)) = found else { return Ok(()) };
        if path.try_exists().unwrap_or(true) {
            return Ok(());
        }
        let made = Dir::open_ambient_dir(root, ambient_authority()).and_then(|root| root.create_dir_all(rest));
        made.map_err(|error| HostError::Invalid(format!("cannot make directory {}: {error}", path.display())))
    }

    /// Refuses to go on when the source no longer is what it was.
    pub(crate) fn check_again(&self) -> Result<()> {
        if resolve(&self.written)? == self.real && resolve(&self.real)? == self.real {
            return Ok(());
        }
        Err(HostError::Denied(format!(
            "host path \"{}\" was replaced by a link after the container was created",
            self.written.display()
        )))
    }

    /// The resolved path, for those who speak text.
    pub(crate) fn text(&self) -> Result<String> {
        let text = self.real.to_str().map(str::to_owned);
        text.ok_or_else(|| HostError::Invalid(format!("host path {:?} is not UTF-8", self.real)))
    }
}

fn resolve(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|error| HostError::Invalid(format!("cannot mount host path \"{}\": {error}", path.display())))
}

fn check(policy: &Policy, scope: &TaskScope, written: &Path, real: &Path) -> Result<()> {
    if written == real || policy.allows_outside(real) {
        return policy.check_host_path(real, scope);
    }
    // The allocation and what the operator allows may be reached through links themselves. Of the allocation only what
    // its tasks cannot replace counts: `local` may be a link that one of them made.
    let allowed = policy.allow_host_binds.iter().map(PathBuf::from);
    for root in [scope.dirs.task.clone(), scope.dirs.alloc.clone()].into_iter().chain(allowed) {
        if root.is_absolute() && root.canonicalize().is_ok_and(|root| real.starts_with(root)) {
            return Ok(());
        }
    }
    Err(HostError::Denied(format!(
        "host path \"{}\" leads through a link to \"{}\", which is outside the allocation; add {:?} to `allow_host_binds` in the policy of this driver",
        written.display(),
        real.display(),
        real.display().to_string(),
    )))
}
