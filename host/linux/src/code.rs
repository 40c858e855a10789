//! Compiled code of components, kept in files: trusted as far as it is known to be ours, mapped when it is used.
//!
//! A file holds machine code that runs as it is read, and wasmtime checks only that it was made by the same version
//! and settings. So the directory must be ours alone, and each file is sealed: its name holds the hash of its content.
//! When the directory is opened, every file that is not as its name says is removed, which only means that its
//! component is compiled again.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use longshore_core::code::CodeStore;
use sha2::{Digest, Sha256};
use thiserror::Error;
use wasmtime::{Engine, component::Component};

use crate::lock::lock;

/// Most files kept: of more, those that were not used for the longest time go.
const MOST: usize = 64;
/// End of the name of a file that is being written, by this process or another.
const FRESH: &str = ".new";
/// When a file that is being written is one that nobody writes any more.
const STALE: Duration = Duration::from_secs(3600);

/// Why a directory cannot hold compiled code.
#[derive(Debug, Error)]
pub enum CodeError {
    /// It cannot be used at all.
    #[error("the compile cache {}: {error}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Somebody else could put code there.
    #[error(
        "the compile cache {} {problem}, so others could put code there that this program would run; {remedy}",
        path.display()
    )]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

/// A directory of compiled code, ours alone.
#[derive(Debug)]
pub struct CodeDirectory {
    path: PathBuf,
    /// Names of files that are as their names say, by key.
    sealed: Mutex<BTreeMap<String, String>>,
    written: AtomicU32,
}

impl CodeDirectory {
    /// Makes the directory if need be (mode 0700), checks that it is ours alone, and removes what cannot be trusted.
    pub fn open(path: &Path) -> Result<Self, CodeError> {
        let io = |error| CodeError::Io { path: path.into(), error };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
            }
            Err(error) => return Err(io(error)),
            Ok(metadata) => check(path, &metadata)?,
        }
        let sealed = sweep(path).map_err(io)?;
        Ok(Self { path: path.into(), sealed: Mutex::new(sealed), written: AtomicU32::new(0) })
    }
}

impl CodeStore<Engine, Component> for CodeDirectory {
    /// Mapped, not read.
    fn load(&self, engine: &Engine, key: &str) -> Option<Component> {
        let path = self.path.join(lock(&self.sealed).get(key)?);
        // For `sweep`, which keeps what was used last.
        let marked = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        let mapped = marked.map_err(Into::into).and_then(|()| map(engine, &path));
        mapped.inspect_err(|error| tracing::info!(key, %error, "kept code cannot be used; compiling again")).ok()
    }

    fn keep(&self, key: &str, code: &[u8]) -> io::Result<()> {
        let name = format!("{key}.{}", digest(code));
        let nth = self.written.fetch_add(1, Ordering::Relaxed);
        let fresh = self.path.join(format!("{key}.{}-{nth}{FRESH}", std::process::id()));
        let kept = write(&fresh, code).and_then(|()| fs::rename(&fresh, self.path.join(&name)));
        if let Err(error) = kept {
            // Best effort: `sweep` removes it later.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        lock(&self.sealed).insert(key.into(), name);
        Ok(())
    }
}

fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(code)
}

/// Maps a file of the directory.
#[allow(unsafe_code, reason = "wasmtime cannot know that a file holds code it made; this module does")]
fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file holds what `keep` was given, which wasmtime compiled: its directory is ours alone, and its
    // content had the hash of its name when it was written or when the directory was opened. Files are never written
    // in place, only made and removed, so the mapping cannot change.
    unsafe { Component::deserialize_file(engine, path) }
}

fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), CodeError> {
    let untrusted = |problem: String, remedy: String| Err(CodeError::Untrusted { path: path.into(), problem, remedy });
    let user = rustix::process::geteuid().as_raw();
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_dir() {
        untrusted("is not a directory".into(), "name a directory of its own as the cache".into())
    } else if metadata.uid() != user {
        let remedy = format!("name a directory of user {user} as the cache, or remove this one");
        untrusted(format!("belongs to user {}", metadata.uid()), remedy)
    } else if mode & 0o077 != 0 {
        let remedy = format!("run `chmod 700 {}`, after removing what is in it if in doubt", path.display());
        untrusted(format!("has mode {mode:04o}"), remedy)
    } else {
        Ok(())
    }
}

/// Removes all that is not sealed, and what was not used for the longest time. Answers the names left, by key.
fn sweep(directory: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match (sealed_key(&entry), used(&entry)) {
            (Some(key), used) => kept.push((used, key, entry)),
            (None, used) if is_being_written(&entry, used) => {}
            (None, _) => {
                tracing::info!(path = %entry.path().display(), "removing from the compile cache what it did not write");
                remove(&entry.path())?;
            }
        }
    }
    kept.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
    for (.., entry) in kept.drain(MOST.min(kept.len())..) {
        remove(&entry.path())?;
    }
    Ok(kept.into_iter().filter_map(|(_, key, entry)| Some((key, entry.file_name().into_string().ok()?))).collect())
}

/// The key of a plain file whose content has the hash of its name.
fn sealed_key(entry: &fs::DirEntry) -> Option<String> {
    let name = entry.file_name().into_string().ok()?;
    let (key, hash) = name.rsplit_once('.')?;
    let is_file = entry.file_type().ok()?.is_file();
    (is_file && fs::read(entry.path()).ok().is_some_and(|content| digest(&content) == hash)).then(|| key.into())
}

fn used(entry: &fs::DirEntry) -> Option<SystemTime> {
    entry.metadata().ok()?.modified().ok()
}

fn is_being_written(entry: &fs::DirEntry, since: Option<SystemTime>) -> bool {
    let young = || since.and_then(|since| since.elapsed().ok()).is_some_and(|age| age < STALE);
    entry.file_name().to_string_lossy().ends_with(FRESH) && young()
}

/// Removes a file or directory; another process that shares the cache may have been quicker.
fn remove(path: &Path) -> io::Result<()> {
    let removed = fs::symlink_metadata(path)
        .and_then(|found| if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// SHA-256 in lower-case hex.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
