//! The directory of compiled code, and when it may be trusted.
//!
//! A cache entry is machine code that runs as it is read, and wasmtime checks only that it was made by the same
//! version and settings. So the directory must be ours alone, and each entry is sealed: a ledger beside the
//! entries holds their hashes, and at start every entry that is not as the ledger says is removed, which only
//! means that its component is compiled again.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Name of the ledger in the cache directory: `<sha256> <path>` on each line.
const LEDGER: &str = "sealed";
/// Where in the cache directory wasmtime keeps its entries. Not beside the ledger: its clean-up removes every file it
/// does not know.
pub(crate) const CODE: &str = "code";

/// Why a directory cannot hold compiled code.
#[derive(Debug, Error)]
pub enum CacheError {
    /// It cannot be used at all.
    #[error("the compile cache {}: {error}", path.display())]
    Io {
        /// The directory or a file in it.
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

/// Makes the directory if need be, checks that it is ours alone, and removes entries that cannot be trusted.
pub(crate) fn prepare(directory: &Path) -> Result<(), CacheError> {
    let io = |error| CacheError::Io { path: directory.into(), error };
    match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        }
        Err(error) => return Err(io(error)),
        Ok(metadata) => check_directory(directory, &metadata)?,
    }
    sweep(directory).map_err(io)
}

fn check_directory(directory: &Path, metadata: &fs::Metadata) -> Result<(), CacheError> {
    let untrusted =
        |problem: String, remedy: String| Err(CacheError::Untrusted { path: directory.into(), problem, remedy });
    let user = rustix::process::geteuid().as_raw();
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_dir() {
        untrusted("is not a directory".into(), "name a directory of its own as the cache".into())
    } else if metadata.uid() != user {
        let remedy = format!("name a directory of user {user} as the cache, or remove this one");
        untrusted(format!("belongs to user {}", metadata.uid()), remedy)
    } else if mode & 0o077 != 0 {
        let remedy = format!("run `chmod 700 {}`, after removing what is in it if in doubt", directory.display());
        untrusted(format!("has mode {mode:04o}"), remedy)
    } else {
        Ok(())
    }
}

/// Removes every entry that the ledger does not vouch for, and forgets it.
fn sweep(directory: &Path) -> io::Result<()> {
    let ledger = read_ledger(directory);
    let mut kept = BTreeMap::new();
    for path in entries(directory)? {
        let found = hash(&directory.join(&path))?;
        match ledger.get(&path) {
            Some(known) if found.as_ref() == Some(known) => {
                kept.insert(path, known.clone());
            }
            _ => {
                tracing::info!(entry = %path.display(), "removing a cache entry that is not as it was written");
                remove(&directory.join(&path))?;
            }
        }
    }
    if kept == ledger { Ok(()) } else { write_ledger(directory, &kept) }
}

/// Removes a file or directory; another process that shares the cache may have been quicker.
fn remove(path: &Path) -> io::Result<()> {
    let removed = fs::symlink_metadata(path)
        .and_then(|found| if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Adds new entries to the ledger, so that the next start trusts them.
pub(crate) fn seal(directory: &Path) {
    if let Err(error) = try_seal(directory) {
        tracing::warn!(%error, "the compile cache could not be sealed; components are compiled again next time");
    }
}

/// Entries sealed before keep their hash: what changed since is not trusted.
fn try_seal(directory: &Path) -> io::Result<()> {
    let before = read_ledger(directory);
    let mut ledger = BTreeMap::new();
    for path in entries(directory)? {
        let sealed = match before.get(&path) {
            Some(hash) => Some(hash.clone()),
            None => hash(&directory.join(&path))?,
        };
        ledger.extend(sealed.map(|hash| (path, hash)));
    }
    if ledger == before { Ok(()) } else { write_ledger(directory, &ledger) }
}

fn write_ledger(directory: &Path, ledger: &BTreeMap<PathBuf, String>) -> io::Result<()> {
    let text: String = ledger.iter().map(|(path, hash)| format!("{hash} {}\n", path.display())).collect();
    let fresh = directory.join(format!("{LEDGER}.{}", std::process::id()));
    fs::write(&fresh, text)?;
    fs::rename(fresh, directory.join(LEDGER))
}

fn read_ledger(directory: &Path) -> BTreeMap<PathBuf, String> {
    let text = fs::read_to_string(directory.join(LEDGER)).unwrap_or_default();
    let entry = |line: &str| line.split_once(' ').map(|(hash, path)| (PathBuf::from(path), hash.to_owned()));
    text.lines().filter_map(entry).collect()
}

/// Compiled code in the directory: `code/modules/<compiler>/<key>`, relative. wasmtime's statistics and half-written
/// files have an extension, entries have none.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for compiler in read_dir_or_nothing(&directory.join(CODE).join("modules"))? {
        for entry in read_dir_or_nothing(&compiler)? {
            if entry.extension().is_none()
                && let Ok(relative) = entry.strip_prefix(directory)
            {
                found.push(relative.to_owned());
            }
        }
    }
    Ok(found)
}

fn read_dir_or_nothing(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Hex SHA-256 of a plain file; none for anything else, or when it is gone.
fn hash(path: &Path) -> io::Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(digest(&fs::read(path)?))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// SHA-256 in lower-case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
