//! Which host paths a driver may name. Lexical only: backends resolve symbolic links and ask again.

use std::path::{Component, Path, PathBuf};

use super::{Policy, denied};
use crate::{
    caller::TaskDirs,
    error::{HostError, Result},
};

impl TaskDirs {
    /// The directories whose content belongs to the task: its own and its group's.
    pub fn roots(&self) -> [&Path; 5] {
        [&self.task, &self.alloc, &self.local, &self.secrets, &self.logs]
    }

    /// Whether a normalised absolute path is inside the allocation, as far as its text says.
    pub fn contains(&self, path: &Path) -> bool {
        self.roots().into_iter().any(|root| root.is_absolute() && path.starts_with(root))
    }
}

/// An absolute path without `.`, doubled slashes and a trailing slash; `..` is refused, since what it means
/// depends on links.
pub fn normalise(path: &Path) -> Result<PathBuf> {
    let refuse = |why: &str| Err(HostError::Invalid(format!("host path {:?} {why}", path.display().to_string())));
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return refuse("contains a NUL byte");
    }
    if !path.is_absolute() {
        return refuse("is not absolute");
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return refuse("contains `..`; write the path it means");
    }
    Ok(path.components().collect())
}

impl Policy {
    /// Whether `allow_host_binds` covers a normalised path outside the allocation.
    pub fn allows_outside(&self, path: &Path) -> bool {
        self.allow_host_binds.iter().any(|prefix| prefix == "*" || covers(Path::new(prefix), path))
    }

    pub(super) fn check_path(&self, path: &Path, dirs: &TaskDirs) -> Result<()> {
        let path = normalise(path)?;
        if dirs.contains(&path) || self.allows_outside(&path) {
            return Ok(());
        }
        let path = path.display();
        Err(denied(
            &format!("host path \"{path}\" is outside the allocation"),
            &format!("add {path:?} to `allow_host_binds`"),
        ))
    }
}

/// A prefix covers itself and what is below; a relative one covers nothing.
fn covers(prefix: &Path, path: &Path) -> bool {
    prefix.is_absolute() && path.starts_with(prefix)
}
