//! `/v1/client/fs/{ls,stat,cat}/:alloc`: files of an allocation's directory, none outside it, no secrets.

use std::{io, path::Path as FilePath, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use cap_std::{
    ambient_authority,
    fs::{Dir, Metadata, PermissionsExt},
};
use serde::{Deserialize, Serialize};

use super::{
    Api,
    allocations::find,
    answer::{Query, Refused, Result},
};
use crate::Allocation;

/// Largest file that is answered whole, bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most entries of one directory that are answered.
const MAX_ENTRIES: usize = 10_000;
/// Name of each task's directory of secrets.
const SECRETS: &str = "secrets";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    path: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FileInfo {
    name: String,
    is_dir: bool,
    size: u64,
    file_mode: String,
    mod_time: String,
    content_type: String,
}

pub(super) async fn list(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<FileInfo>>> {
    on_files(find(&api, &id)?, wanted, |dir, path| {
        let entries = dir.read_dir(path)?.take(MAX_ENTRIES);
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // What vanished since it was listed is left out.
            if let Ok(metadata) = entry.metadata() {
                found.push(info(entry.file_name().to_string_lossy().into_owned(), &metadata));
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    })
    .await
    .map(Json)
}

pub(super) async fn stat(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<FileInfo>> {
    on_files(find(&api, &id)?, wanted, |dir, path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "/".into());
        Ok(info(name, &dir.metadata(path)?))
    })
    .await
    .map(Json)
}

pub(super) async fn cat(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response> {
    let content = on_files(find(&api, &id)?, wanted, |dir, path| {
        let metadata = dir.metadata(path)?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return Err(io::Error::other(format!("is no plain file of at most {MAX_FILE_BYTES} bytes")));
        }
        dir.read(path)
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], content).into_response())
}

/// Runs `look` on a path of an allocation's directory, links followed only inside it.
async fn on_files<T: Send + 'static>(
    alloc: Arc<Allocation>,
    wanted: Wanted,
    look: impl FnOnce(&Dir, &FilePath) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let shown = wanted.path.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let dir = Dir::open_ambient_dir(&alloc.dir, ambient_authority())?;
        let relative = wanted.path.trim_start_matches('/');
        let path = dir.canonicalize(if relative.is_empty() { "." } else { relative })?;
        if path.components().nth(1).is_some_and(|part| part.as_os_str() == SECRETS) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "secrets are not shown"));
        }
        look(&dir, if path.as_os_str().is_empty() { FilePath::new(".") } else { &path })
    });
    match looking.await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(Refused::not_found(format!("file {shown:?} not found")))
        }
        Ok(Err(error)) => Err(Refused::invalid(format!("file {shown:?}: {error}"))),
        Err(_) => Err(Refused::invalid(format!("file {shown:?} could not be read"))),
    }
}

fn info(name: String, metadata: &Metadata) -> FileInfo {
    let mod_time = metadata.modified().map(cap_std::time::SystemTime::into_std).ok();
    FileInfo {
        name,
        is_dir: metadata.is_dir(),
        size: metadata.len(),
        file_mode: file_mode(metadata.is_dir(), metadata.permissions().mode()),
        mod_time: super::document::rfc3339(mod_time),
        content_type: String::new(),
    }
}

/// As `ls -l` shows it: `-rw-r--r--`.
fn file_mode(directory: bool, mode: u32) -> String {
    let bits = (0..9).rev().zip("rwxrwxrwx".chars());
    let shown = bits.map(|(bit, letter)| if mode >> bit & 1 == 1 { letter } else { '-' });
    std::iter::once(if directory { 'd' } else { '-' }).chain(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::file_mode;

    #[test]
    fn modes_are_shown_as_ls_does() {
        let table = [(false, 0o644, "-rw-r--r--"), (true, 0o755, "drwxr-xr-x"), (false, 0o4700, "-rwx------")];
        for (directory, mode, expected) in table {
            assert_eq!(file_mode(directory, mode), expected);
        }
    }
}
