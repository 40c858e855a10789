//! `longshore:host/files`.

use longshore_core::{
    error::{HostError, Result},
    file::{self, Files, MAX_ENTRIES, MAX_FILE_BYTES},
};

use crate::{bindings::longshore::host::files, store::Operation};

impl Operation {
    pub(super) fn files(&self) -> Result<&dyn Files> {
        self.caller.require_task()?;
        self.backend(&self.host.backends.files, "access to files of allocations")
    }
}

impl files::Host for Operation {
    async fn read(&mut self, path: String) -> Result<Vec<u8>> {
        self.files()?.read(&self.caller, &path).await
    }

    async fn write(&mut self, path: String, content: Vec<u8>, mode: u32) -> Result<()> {
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(HostError::Limit(format!("a file may be written with {} MiB at most", MAX_FILE_BYTES >> 20)));
        }
        if mode > 0o777 {
            return Err(HostError::Invalid(format!("mode {mode:#o} has more than permission bits (0o777)")));
        }
        self.files()?.write(&self.caller, &path, &content, mode).await
    }

    async fn list_directory(&mut self, path: String) -> Result<Vec<files::FileInfo>> {
        let entries = self.files()?.list(&self.caller, &path).await?;
        if entries.len() > MAX_ENTRIES {
            return Err(HostError::Limit(format!("{path} has more than {MAX_ENTRIES} entries")));
        }
        Ok(entries.into_iter().map(Into::into).collect())
    }

    async fn stat(&mut self, path: String) -> Result<files::FileInfo> {
        self.files()?.stat(&self.caller, &path).await.map(Into::into)
    }

    async fn remove(&mut self, path: String) -> Result<()> {
        self.files()?.remove(&self.caller, &path).await
    }
}

impl From<file::FileInfo> for files::FileInfo {
    fn from(info: file::FileInfo) -> Self {
        let file::FileInfo { name, directory, size_bytes, mode } = info;
        Self { name, directory, size_bytes: size_bytes as f64, mode }
    }
}
