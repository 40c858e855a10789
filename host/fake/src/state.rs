//! Drivers' state in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use longshore_core::{
    caller::DriverName,
    error::{HostError, Result},
    state::{DriverState, Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES},
};

use crate::{
    Fake,
    plan::{Plan, lock},
};

#[derive(Default)]
pub(crate) struct FakeState(Mutex<BTreeMap<(DriverName, String), Entry>>);

pub(crate) struct PlannedState {
    plan: Arc<Plan>,
    state: Arc<FakeState>,
}

impl PlannedState {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), state: fake.state.clone() }
    }
}

#[async_trait]
impl DriverState for PlannedState {
    async fn get(&self, driver: &DriverName, key: &str) -> Result<Option<Entry>> {
        self.plan.call("state.get").await?;
        Ok(lock(&self.state.0).get(&(driver.clone(), key.into())).cloned())
    }

    async fn compare_and_swap(
        &self,
        driver: &DriverName,
        key: &str,
        expected: u32,
        value: Option<&[u8]>,
    ) -> Result<u32> {
        self.plan.call("state.compare_and_swap").await?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES || value.is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
            return Err(HostError::Limit("key or value too long".into()));
        }
        let mut map = lock(&self.state.0);
        let key = (driver.clone(), key.to_owned());
        let revision = map.get(&key).map_or(0, |entry| entry.revision);
        if revision != expected {
            return Err(HostError::Conflict(format!("revision is {revision}, expected {expected}")));
        }
        let Some(value) = value else {
            map.remove(&key);
            return Ok(0);
        };
        map.insert(key, Entry { value: value.to_vec(), revision: revision + 1 });
        Ok(revision + 1)
    }

    async fn keys(&self, driver: &DriverName, prefix: &str) -> Result<Vec<String>> {
        self.plan.call("state.keys").await?;
        let map = lock(&self.state.0);
        let keys = map.keys().filter(|(owner, key)| owner == driver && key.starts_with(prefix));
        Ok(keys.map(|(_, key)| key.clone()).collect())
    }
}
