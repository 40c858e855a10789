//! The files of an allocation, none outside it.
//!
//! A task can put links wherever it may write, also in place of its own directories, so every path is walked by
//! cap-std from the directory *above* the one it names: what leads out is refused by the kernel or by cap-std,
//! however the links are changed meanwhile.

use std::{
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use async_trait::async_trait;
use cap_std::{
    ambient_authority,
    fs::{Dir, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt, Permissions, PermissionsExt},
};
use longshore_core::{
    caller::{Caller, TaskDirs},
    error::{HostError, Result},
    file::{FileInfo, Files, MAX_ENTRIES, MAX_FILE_BYTES},
};

use crate::failure::{because, blocking};

/// Reads and writes below a task's directories, whatever links a task put there.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocFiles;

/// A path of the contract, split into the directory it begins with and the rest.
struct Place {
    /// `local`, `secrets` or `alloc` on the host.
    root: PathBuf,
    /// Below it; empty for itself.
    rest: PathBuf,
    /// As the driver wrote it.
    written: String,
}

impl Place {
    fn of(caller: &Caller, path: &str) -> Result<Self> {
        let dirs = &caller.require_task()?.dirs;
        let relative = Path::new(path.trim_start_matches('/'));
        let mut parts = relative.components();
        let first = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let root = root_of(dirs, first.as_deref()).ok_or_else(|| {
            HostError::Denied(format!(
                "{path:?} is outside the allocation; paths begin with local/, secrets/ or alloc/"
            ))
        })?;
        let rest = parts.as_path().to_owned();
        if path.contains('\0') {
            return Err(HostError::Invalid(format!("{path:?} holds a NUL character")));
        }
        if rest.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(HostError::Denied(format!("{path:?} leads out of the allocation")));
        }
        Ok(Self { root: root.clone(), rest, written: path.into() })
    }

    /// Opens the directory the path begins with, itself not followed if it is a link that leads away.
    fn open_root(&self) -> Result<Dir> {
        let (Some(above), Some(name)) = (self.root.parent(), self.root.file_name()) else {
            return Err(HostError::Invalid(format!("{} is no task directory", self.root.display())));
        };
        let above = Dir::open_ambient_dir(above, ambient_authority()).map_err(|error| self.explain(&error))?;
        above.open_dir(name).map_err(|error| self.explain(&error))
    }

    /// The rest of the path, `.` for the root itself.
    fn rest(&self) -> &Path {
        if self.rest.as_os_str().is_empty() { Path::new(".") } else { &self.rest }
    }

    fn explain(&self, error: &io::Error) -> HostError {
        let path = &self.written;
        match error.kind() {
            io::ErrorKind::NotFound => HostError::NotFound(format!("file {path:?}")),
            // cap-std's own refusals carry no number of the kernel's.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
                HostError::Denied(format!("{path:?} leads out of the allocation"))
            }
            io::ErrorKind::PermissionDenied => {
                HostError::Denied(format!("{path:?} may not be touched by the agent's user"))
            }
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::DirectoryNotEmpty => {
                HostError::Conflict(format!("{path:?}: {error}"))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => HostError::Limit(format!("{path:?}: {error}")),
            _ => HostError::Other(format!("{path:?}: {error}")),
        }
    }
}

fn root_of<'a>(dirs: &'a TaskDirs, first: Option<&str>) -> Option<&'a PathBuf> {
    match first? {
        "local" => Some(&dirs.local),
        "secrets" => Some(&dirs.secrets),
        "alloc" => Some(&dirs.alloc),
        _ => None,
    }
}

fn too_large(path: &str) -> HostError {
    HostError::Limit(format!("file {path:?} is larger than {MAX_FILE_BYTES} bytes"))
}

fn info(name: String, data: &Metadata) -> FileInfo {
    FileInfo { name, directory: data.is_dir(), size_bytes: data.len(), mode: data.mode() & 0o7777 }
}

/// Opens a regular file; a pipe or device a task put there must not make the agent wait.
fn open(root: &Dir, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let file = root.open_with(path, &options)?;
    let data = file.metadata()?;
    if data.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !data.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
    }
    Ok(file)
}

fn read(root: &Dir, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    open(root, path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= MAX_FILE_BYTES).then_some(content))
}

/// Writes beside the target and renames: a reader sees the old or the new content.
fn write(root: &Dir, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let dir = match parent {
        Some(parent) => match root.open_dir(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                root.create_dir_all(parent)?;
                root.open_dir(parent)?
            }
            opened => opened?,
        },
        None => root.try_clone()?,
    };
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let new = PathBuf::from(format!(".longshore-{:016x}", u64::from_ne_bytes(random)));
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut file = dir.open_with(&new, options.write(true).create_new(true).mode(0o600))?;
        file.write_all(content)?;
        // Exactly this mode, whatever the agent's umask is.
        file.set_permissions(Permissions::from_mode(mode))?;
        dir.rename(&new, &dir, name)
    })();
    if written.is_err() {
        let _ = dir.remove_file(&new);
    }
    written
}

fn list(root: &Dir, path: &Path) -> io::Result<Option<Vec<FileInfo>>> {
    let mut entries = Vec::new();
    for entry in root.read_dir(path)? {
        let entry = entry?;
        if entries.len() == MAX_ENTRIES {
            return Ok(None);
        }
        match entry.metadata() {
            Ok(data) => entries.push(info(entry.file_name().to_string_lossy().into_owned(), &data)),
            // Removed between the two calls.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(entries))
}

fn remove(root: &Dir, path: &Path) -> io::Result<()> {
    let removed = match root.symlink_metadata(path) {
        Ok(data) if data.is_dir() => root.remove_dir(path),
        Ok(_) => root.remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl AllocFiles {
    /// Opens a regular file for reading, of any size. It stays the same file, whatever a task puts in its place.
    pub(crate) async fn open(self, caller: &Caller, path: &str) -> Result<std::fs::File> {
        let place = Place::of(caller, path)?;
        blocking(move || {
            let root = place.open_root()?;
            open(&root, place.rest()).map(File::into_std).map_err(|error| place.explain(&error))
        })
        .await
    }
}

#[async_trait]
impl Files for AllocFiles {
    async fn read(&self, caller: &Caller, path: &str) -> Result<Vec<u8>> {
        let place = Place::of(caller, path)?;
        blocking(move || {
            let root = place.open_root()?;
            read(&root, place.rest()).map_err(|error| place.explain(&error))?.ok_or_else(|| too_large(&place.written))
        })
        .await
    }

    async fn write(&self, caller: &Caller, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let place = Place::of(caller, path)?;
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(too_large(path));
        }
        if mode & !0o777 != 0 {
            return Err(HostError::Invalid(format!(
                "mode {mode:#o} of {path:?}: only permission bits (0o777) can be set"
            )));
        }
        let content = content.to_vec();
        blocking(move || {
            let root = place.open_root()?;
            write(&root, &place.rest, &content, mode).map_err(|error| place.explain(&error))
        })
        .await
    }

    async fn list(&self, caller: &Caller, path: &str) -> Result<Vec<FileInfo>> {
        let place = Place::of(caller, path)?;
        blocking(move || {
            let root = place.open_root()?;
            list(&root, place.rest()).map_err(|error| place.explain(&error))?.ok_or_else(|| {
                HostError::Limit(format!("directory {:?} has more than {MAX_ENTRIES} entries", place.written))
            })
        })
        .await
    }

    async fn stat(&self, caller: &Caller, path: &str) -> Result<FileInfo> {
        let place = Place::of(caller, path)?;
        blocking(move || {
            let data = place.open_root()?.metadata(place.rest()).map_err(|error| place.explain(&error))?;
            let name = place.rest.file_name().or(place.root.file_name()).unwrap_or_default();
            Ok(info(name.to_string_lossy().into_owned(), &data))
        })
        .await
    }

    async fn remove(&self, caller: &Caller, path: &str) -> Result<()> {
        let place = Place::of(caller, path)?;
        if place.rest.as_os_str().is_empty() {
            return Err(HostError::Denied(format!("{path:?} belongs to the allocation and goes with it")));
        }
        blocking(move || {
            let root = place.open_root()?;
            remove(&root, &place.rest).map_err(|error| place.explain(&error))
        })
        .await
    }

    async fn resolve(&self, caller: &Caller, path: &str) -> Result<PathBuf> {
        let place = Place::of(caller, path)?;
        blocking(move || {
            let root = place.open_root()?;
            let below = root.canonicalize(place.rest()).map_err(|error| place.explain(&error))?;
            let base = place.root.canonicalize().map_err(because(place.root.display()))?;
            Ok(base.join(below))
        })
        .await
    }
}
