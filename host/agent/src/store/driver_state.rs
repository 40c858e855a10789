//! Drivers' durable state: compare-and-swap with quotas, mirrored in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use longshore_core::{
    caller::DriverName,
    error::{HostError, Result},
    state::{DriverState, Entry, MAX_KEY_BYTES, MAX_KEYS, MAX_TOTAL_BYTES, MAX_VALUE_BYTES},
};
use tokio::sync::Mutex;

use super::{Journal, StoreError, Table, Write};

type Entries = BTreeMap<String, BTreeMap<String, Entry>>;

/// [`DriverState`] in the journal. A key there is `<driver>/<key>`, a value the revision (little-endian) and the bytes.
pub(crate) struct JournalledState {
    journal: Arc<Journal>,
    entries: Mutex<Entries>,
}

impl JournalledState {
    /// State as the journal has it.
    pub(crate) fn new(journal: Arc<Journal>, rows: Vec<(String, Vec<u8>)>) -> std::result::Result<Self, StoreError> {
        let mut entries = Entries::new();
        for (row, bytes) in rows {
            let (Some((driver, key)), Some((revision, value))) = (row.split_once('/'), bytes.split_first_chunk())
            else {
                let path = journal.path().display().to_string();
                return Err(StoreError::Damaged { path, reason: format!("driver state {row:?} is unreadable") });
            };
            let entry = Entry { value: value.to_vec(), revision: u32::from_le_bytes(*revision) };
            entries.entry(driver.to_owned()).or_default().insert(key.to_owned(), entry);
        }
        Ok(Self { journal, entries: Mutex::new(entries) })
    }
}

#[async_trait]
impl DriverState for JournalledState {
    async fn get(&self, driver: &DriverName, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        Ok(self.entries.lock().await.get(&driver.0).and_then(|own| own.get(key)).cloned())
    }

    async fn compare_and_swap(
        &self,
        driver: &DriverName,
        key: &str,
        expected: u32,
        value: Option<&[u8]>,
    ) -> Result<u32> {
        check_key(key)?;
        let mut entries = self.entries.lock().await;
        let own = entries.entry(driver.0.clone()).or_default();
        let found = own.get(key).map_or(0, |entry| entry.revision);
        if found != expected {
            return Err(HostError::Conflict(format!("state {key:?} is at revision {found}, not {expected}")));
        }
        let row = format!("{driver}/{key}");
        let Some(value) = value else {
            if found > 0 {
                self.store(Write::remove(Table::DriverState, row)).await?;
                own.remove(key);
            }
            return Ok(0);
        };
        check_quota(own, key, value)?;
        let revision = found.wrapping_add(1).max(1);
        let bytes = [revision.to_le_bytes().as_slice(), value].concat();
        self.store(Write::put(Table::DriverState, row, bytes)).await?;
        own.insert(key.to_owned(), Entry { value: value.to_vec(), revision });
        Ok(revision)
    }

    async fn keys(&self, driver: &DriverName, prefix: &str) -> Result<Vec<String>> {
        let entries = self.entries.lock().await;
        let own = entries.get(&driver.0).into_iter().flat_map(BTreeMap::keys);
        Ok(own.filter(|key| key.starts_with(prefix)).cloned().collect())
    }
}

impl JournalledState {
    async fn store(&self, write: Write) -> Result<()> {
        self.journal.write(vec![write]).durable().await.map_err(|error| HostError::Unavailable(error.to_string()))
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(HostError::Invalid(format!("a state key has 1 to {MAX_KEY_BYTES} bytes, this one {}", key.len())));
    }
    Ok(())
}

fn check_quota(own: &BTreeMap<String, Entry>, key: &str, value: &[u8]) -> Result<()> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(HostError::Limit(format!(
            "a state value has at most {MAX_VALUE_BYTES} bytes, not {}",
            value.len()
        )));
    }
    let others = || own.iter().filter(|(other, _)| *other != key);
    if others().count() >= MAX_KEYS {
        return Err(HostError::Limit(format!("a driver keeps at most {MAX_KEYS} keys")));
    }
    let bytes: usize = others().map(|(key, entry)| key.len() + entry.value.len()).sum();
    if bytes + key.len() + value.len() > MAX_TOTAL_BYTES {
        return Err(HostError::Limit(format!("a driver's state has at most {MAX_TOTAL_BYTES} bytes in all")));
    }
    Ok(())
}
