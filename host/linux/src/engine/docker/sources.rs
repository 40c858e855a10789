//! Where bind mounts truly lead. Policy has read their text; here the links in them are followed, and what
//! they lead to must be allowed as well. The engine is given the resolved path, and it is resolved again
//! just before the start, so that a link put in later is not followed either.

use std::path::{Path, PathBuf};

use longshore_core::{
    caller::{Caller, TaskScope},
    error::{HostError, Result},
    policy::{Policy, normalise},
    workload::Mount,
};

use super::{Docker, owner::Owner};

/// The mounts with bind sources resolved, and each source as written and as resolved.
pub(super) type Resolved = (Vec<Mount>, Vec<(PathBuf, PathBuf)>);

impl Docker {
    pub(super) async fn resolve_mounts(
        &self,
        caller: &Caller,
        scope: &TaskScope,
        mounts: &[Mount],
    ) -> Result<Resolved> {
        let policy = self.policy(&caller.driver);
        let (mut resolved, mut sources) = (Vec::new(), Vec::new());
        for mount in mounts {
            let mut mount = mount.clone();
            if mount.kind.is_bind() {
                let written = normalise(Path::new(&mount.source))?;
                let real = resolve(&written).await?;
                check(&policy, scope, &written, &real).await?;
                mount.source = real.to_str().ok_or_else(|| not_text(&real))?.to_owned();
                sources.push((written, real));
            }
            resolved.push(mount);
        }
        Ok((resolved, sources))
    }

    /// Refuses a start when a bind source no longer is what it was at creation.
    pub(super) async fn check_sources(&self, owner: &Owner) -> Result<()> {
        for (written, real) in &owner.sources {
            if resolve(written).await? != *real || resolve(real).await? != *real {
                return Err(HostError::Denied(format!(
                    "host path \"{}\" was replaced by a link after the container was created",
                    written.display()
                )));
            }
        }
        Ok(())
    }
}

async fn resolve(path: &Path) -> Result<PathBuf> {
    tokio::fs::canonicalize(path)
        .await
        .map_err(|error| HostError::Invalid(format!("cannot mount host path \"{}\": {error}", path.display())))
}

async fn check(policy: &Policy, scope: &TaskScope, written: &Path, real: &Path) -> Result<()> {
    if written == real || policy.allows_outside(real) {
        return policy.check_host_path(real, scope);
    }
    // The allocation and what the operator allows may be reached through links themselves.
    let allowed = policy.allow_host_binds.iter().map(PathBuf::from);
    for root in scope.dirs.roots().into_iter().map(Path::to_path_buf).chain(allowed) {
        if root.is_absolute() && tokio::fs::canonicalize(&root).await.is_ok_and(|root| real.starts_with(root)) {
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

fn not_text(path: &Path) -> HostError {
    HostError::Invalid(format!("host path {path:?} is not UTF-8"))
}
