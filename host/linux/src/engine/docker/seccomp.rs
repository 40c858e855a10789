//! Seccomp profiles: a task names a file of the host, the engine wants what is in it.

use longshore_core::error::{HostError, Result};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use super::Docker;

/// Largest profile, bytes.
const MAX_BYTES: u64 = 1 << 20;

impl Docker {
    /// Puts profiles in place of their paths. Podman opens them itself: there they are only looked at. Whether the task
    /// may name one was policy's to say.
    pub(super) async fn read_profiles(&self, options: Option<&mut Vec<String>>) -> Result<()> {
        for option in options.into_iter().flatten() {
            let path = ["seccomp=", "seccomp:"].iter().find_map(|prefix| option.strip_prefix(prefix));
            let Some(path) = path.filter(|path| path.starts_with('/')) else { continue };
            let profile = read(path).await?;
            *option = if self.is_podman().await? { format!("seccomp={path}") } else { format!("seccomp={profile}") };
        }
        Ok(())
    }
}

/// A profile as compact JSON.
async fn read(path: &str) -> Result<Value> {
    let failed =
        |why: &dyn std::fmt::Display| HostError::Invalid(format!("opening seccomp profile ({path}) failed: {why}"));
    let file = tokio::fs::File::open(path).await.map_err(|error| failed(&error))?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).await.map_err(|error| failed(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(&"it is larger than 1 MiB"));
    }
    serde_json::from_str(&text).map_err(|error| failed(&error))
}
