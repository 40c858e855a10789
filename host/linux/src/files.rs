//! The files of an allocation, none outside it.

use std::path::PathBuf;

use async_trait::async_trait;
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    file::{FileInfo, Files},
};

/// Reads and writes below a task's directories, whatever links a task put there.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocFiles;

fn not_yet<T>() -> Result<T> {
    Err(HostError::Unavailable("files are not served yet".into()))
}

#[async_trait]
impl Files for AllocFiles {
    async fn read(&self, _caller: &Caller, _path: &str) -> Result<Vec<u8>> {
        not_yet()
    }
    async fn write(&self, _caller: &Caller, _path: &str, _content: &[u8], _mode: u32) -> Result<()> {
        not_yet()
    }
    async fn list(&self, _caller: &Caller, _path: &str) -> Result<Vec<FileInfo>> {
        not_yet()
    }
    async fn stat(&self, _caller: &Caller, _path: &str) -> Result<FileInfo> {
        not_yet()
    }
    async fn remove(&self, _caller: &Caller, _path: &str) -> Result<()> {
        not_yet()
    }
    async fn resolve(&self, _caller: &Caller, _path: &str) -> Result<PathBuf> {
        not_yet()
    }
}
