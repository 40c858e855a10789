//! Images: find, pull, load, give back.

mod auth;
mod collect;
mod origin;
mod pause;
mod progress;
mod pull;

use bollard::query_parameters::ImportImageOptions;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    image::Image,
};
use tokio::{fs::File, io::AsyncReadExt};

pub use self::{auth::AuthSources, collect::ImageGc, pull::PullLimits};
pub(super) use self::{collect::Unused, origin::Lately, pull::Pulls};
use super::Docker;
use crate::files::AllocFiles;

/// How much of an archive is read at once, bytes.
const READ_BYTES: usize = 64 << 10;

impl Docker {
    pub(super) async fn find_image(&self, reference: &str) -> Result<Option<Image>> {
        check_reference(reference)?;
        self.unused.keep(reference).await;
        self.look_at_image(reference).await
    }

    /// An image as the engine describes it.
    async fn look_at_image(&self, reference: &str) -> Result<Option<Image>> {
        let seen = self.engine.retry(|client| async move { client.inspect_image(reference).await });
        let seen = match seen.await {
            Err(HostError::NotFound(_)) => return Ok(None),
            seen => seen?,
        };
        Ok(Some(Image {
            id: seen.id.unwrap_or_default(),
            digests: seen.repo_digests.unwrap_or_default(),
            size_bytes: seen.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            stop_signal: seen.config.and_then(|config| config.stop_signal).filter(|signal| !signal.is_empty()),
        }))
    }

    pub(super) async fn load_archive(&self, caller: &Caller, path: &str) -> Result<Vec<String>> {
        let file = File::from_std(AllocFiles.open(caller, path).await?);
        let client = self.engine.client()?;
        let mut said = std::pin::pin!(client.import_image_stream(ImportImageOptions::default(), pieces(file), None));
        let mut references = Vec::new();
        while let Some(line) = said.next().await {
            let line = line.map_err(|error| self.engine.explain(error)).map_err(|error| match error {
                HostError::Other(said) => HostError::Invalid(format!("cannot load image archive {path:?}: {said}")),
                error => error,
            })?;
            references.extend(line.stream.as_deref().and_then(loaded_reference));
        }
        if references.is_empty() {
            return Err(HostError::Invalid(format!("{path:?} holds no image; it must be made by `docker save`")));
        }
        Ok(references)
    }
}

/// `Loaded image: web:1` and `Loaded image ID: sha256:…`.
fn loaded_reference(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("Loaded image")?;
    let reference = rest.strip_prefix(" ID:").or_else(|| rest.strip_prefix(':'))?.trim();
    (!reference.is_empty()).then(|| reference.to_owned())
}

fn pieces(file: File) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(file, |mut file| async move {
        let mut buffer = vec![0; READ_BYTES];
        let read = file.read(&mut buffer).await?;
        buffer.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(buffer), file)))
    })
}

/// Only what can be a reference reaches a request's path.
pub(super) fn check_reference(reference: &str) -> Result<()> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_.-:/@+".contains(c);
    let wrong = reference.len() > 1024
        || !reference.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !reference.chars().all(part)
        || reference.contains("//")
        || reference.split('/').any(|part| part == "..")
        || reference.ends_with(['/', ':', '@']);
    if reference.is_empty() {
        return Err(HostError::Invalid("image name is empty".into()));
    }
    if wrong {
        let shown: String = reference.chars().take(120).collect();
        return Err(HostError::Invalid(format!("{shown:?} is not an image reference like \"registry/name:tag\"")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_checked() {
        let good = [
            "web",
            "web:1",
            "host:5000/library/web",
            "library/web@sha256:ab12",
            "r:9090/web:tag@sha256:ab",
            "sha256:ab",
        ];
        for reference in good {
            check_reference(reference).unwrap();
        }
        for reference in ["", "wrong:", "a/../b", "../x", "a b", "a?x", "a#x", "a%2e", "-a", "a//b", "a/", "é"] {
            assert!(check_reference(reference).is_err(), "{reference:?}");
        }
    }

    #[test]
    fn loaded_references_are_read() {
        assert_eq!(loaded_reference("Loaded image: web:1\n").as_deref(), Some("web:1"));
        assert_eq!(loaded_reference("Loaded image ID: sha256:ab\n").as_deref(), Some("sha256:ab"));
        assert_eq!(loaded_reference("Loading layer"), None);
    }
}
