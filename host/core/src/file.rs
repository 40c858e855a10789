//! Files of an allocation; no path leads out.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{caller::Caller, error::Result};

/// Largest file `read` answers and `write` takes, bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// Most entries `list` answers.
pub const MAX_ENTRIES: usize = 10_000;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Last part of its path.
    pub name: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Permission bits.
    pub mode: u32,
}

/// Files; `wit/host/files.wit` is the promise of each call.
#[async_trait]
pub trait Files: Send + Sync {
    /// Reads a file whole.
    async fn read(&self, caller: &Caller, path: &str) -> Result<Vec<u8>>;
    /// Writes a file whole, atomically.
    async fn write(&self, caller: &Caller, path: &str, content: &[u8], mode: u32) -> Result<()>;
    /// Lists a directory.
    async fn list(&self, caller: &Caller, path: &str) -> Result<Vec<FileInfo>>;
    /// One entry.
    async fn stat(&self, caller: &Caller, path: &str) -> Result<FileInfo>;
    /// Removes a file or an empty directory.
    async fn remove(&self, caller: &Caller, path: &str) -> Result<()>;
    /// The host path of an allocation path, after checking that it stays inside and exists.
    async fn resolve(&self, caller: &Caller, path: &str) -> Result<std::path::PathBuf>;
}
