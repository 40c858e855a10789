//! Files of allocations as a map from path to content.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use longshore_core::{
    caller::{Caller, TaskId},
    error::{HostError, Result},
    file::{FileInfo, Files},
};

use crate::{
    Fake,
    plan::{Plan, lock},
};

/// Content and permission bits.
type Content = (Vec<u8>, u32);

#[derive(Default)]
pub(crate) struct FakeFiles(Mutex<BTreeMap<(TaskId, String), Content>>);

pub(crate) struct PlannedFiles {
    plan: Arc<Plan>,
    files: Arc<FakeFiles>,
}

impl PlannedFiles {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), files: fake.files.clone() }
    }
}

/// The task and the path without its leading `/`.
fn key(caller: &Caller, path: &str) -> Result<(TaskId, String)> {
    let path = path.trim_start_matches('/');
    let root = path.split('/').next().unwrap_or_default();
    if path.split('/').any(|part| part == "..") || !["local", "secrets", "alloc"].contains(&root) {
        return Err(HostError::Denied(format!("{path:?} leads out of the allocation")));
    }
    Ok((caller.require_task()?.id.clone(), path.into()))
}

fn missing(path: &str) -> HostError {
    HostError::NotFound(format!("no file {path:?}"))
}

fn describe(path: &str, content: &[u8], mode: u32) -> FileInfo {
    let name = path.rsplit('/').next().unwrap_or_default().into();
    FileInfo { name, directory: false, size_bytes: content.len() as u64, mode }
}

#[async_trait]
impl Files for PlannedFiles {
    async fn read(&self, caller: &Caller, path: &str) -> Result<Vec<u8>> {
        self.plan.call("files.read").await?;
        let key = key(caller, path)?;
        lock(&self.files.0).get(&key).map(|(content, _)| content.clone()).ok_or_else(|| missing(path))
    }

    async fn write(&self, caller: &Caller, path: &str, content: &[u8], mode: u32) -> Result<()> {
        self.plan.call("files.write").await?;
        lock(&self.files.0).insert(key(caller, path)?, (content.to_vec(), mode));
        Ok(())
    }

    async fn list(&self, caller: &Caller, path: &str) -> Result<Vec<FileInfo>> {
        self.plan.call("files.list").await?;
        let (task, directory) = key(caller, path)?;
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let files = lock(&self.files.0);
        let inside = files.iter().filter(|((owner, path), _)| *owner == task && path.starts_with(&prefix));
        Ok(inside.map(|((_, path), (content, mode))| describe(path, content, *mode)).collect())
    }

    async fn stat(&self, caller: &Caller, path: &str) -> Result<FileInfo> {
        self.plan.call("files.stat").await?;
        let key = key(caller, path)?;
        let files = lock(&self.files.0);
        files.get(&key).map(|(content, mode)| describe(&key.1, content, *mode)).ok_or_else(|| missing(path))
    }

    async fn remove(&self, caller: &Caller, path: &str) -> Result<()> {
        self.plan.call("files.remove").await?;
        lock(&self.files.0).remove(&key(caller, path)?);
        Ok(())
    }

    async fn resolve(&self, caller: &Caller, path: &str) -> Result<PathBuf> {
        self.plan.call("files.resolve").await?;
        let key = key(caller, path)?;
        if !lock(&self.files.0).contains_key(&key) {
            return Err(missing(path));
        }
        Ok(caller.require_task()?.dirs.task.join(key.1))
    }
}
