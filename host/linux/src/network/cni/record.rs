//! What is kept on disk of each network: all that taking it down needs.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use longshore_core::error::{HostError, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{answer::Answer, list::PluginList};
use crate::failure::because;

/// A network that plugins made, or were about to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Whose it is.
    pub alloc: String,
    /// The pinned namespace.
    pub namespace: String,
    /// The configuration it was made by: the operator may have changed the file since.
    pub list: PluginList,
    /// `CNI_ARGS`.
    pub arguments: String,
    /// What plugins may ask for.
    pub capabilities: Map<String, Value>,
    /// What the last plugin answered; none until then.
    pub result: Option<Value>,
}

impl Record {
    /// The network as the allocation sees it.
    pub fn answer(&self) -> Result<Answer> {
        Answer::read(self.result.as_ref().unwrap_or(&Value::Null))
    }
}

/// The directory of records, one file for each allocation.
pub(super) struct Records<'a>(&'a Path);

impl<'a> Records<'a> {
    /// Records below a directory, which is made when there is something to write.
    pub fn new(dir: &'a Path) -> Self {
        Self(dir)
    }

    fn file(&self, alloc: &str) -> PathBuf {
        self.0.join(format!("{alloc}.json"))
    }

    /// Whether an allocation has one, be it readable or not.
    pub fn has(&self, alloc: &str) -> bool {
        self.file(alloc).exists()
    }

    /// An allocation's record, if it has one.
    pub fn read(&self, alloc: &str) -> Result<Option<Record>> {
        let file = self.file(alloc);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(because(file.display()))?,
        };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|error| {
            HostError::Other(format!("{}: what CNI plugins made cannot be read: {error}; remove it", file.display()))
        })
    }

    /// Writes a record, appearing whole.
    pub fn write(&self, record: &Record) -> Result<()> {
        let file = self.file(&record.alloc);
        let new = file.with_extension("new");
        let bytes = serde_json::to_vec(record).map_err(|error| HostError::Other(format!("a CNI record: {error}")))?;
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(self.0)?;
            fs::write(&new, bytes)?;
            fs::rename(&new, &file)
        };
        write().map_err(because(file.display()))
    }

    /// Removes a record.
    pub fn remove(&self, alloc: &str) -> Result<()> {
        let file = self.file(alloc);
        fs::remove_file(&file).map_err(because(file.display()))
    }

    /// Allocations that have one.
    pub fn allocations(&self) -> Vec<String> {
        let names = fs::read_dir(self.0).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(".json")?.to_owned())).collect()
    }
}
