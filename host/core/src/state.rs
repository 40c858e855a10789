//! A driver's own durable map.

use async_trait::async_trait;

use crate::{caller::DriverName, error::Result};

/// Longest key, bytes.
pub const MAX_KEY_BYTES: usize = 256;
/// Largest value, bytes.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
/// Most keys of one driver.
pub const MAX_KEYS: usize = 1_000;
/// Most bytes of one driver, keys and values.
pub const MAX_TOTAL_BYTES: usize = 1 << 20;

/// A value and its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes.
    pub value: Vec<u8>,
    /// Starts at 1.
    pub revision: u32,
}

/// Durable state of drivers; `wit/host/state.wit` is the promise of each call.
#[async_trait]
pub trait DriverState: Send + Sync {
    /// The entry under a key.
    async fn get(&self, driver: &DriverName, key: &str) -> Result<Option<Entry>>;
    /// Stores or removes (`None`) if the revision is still `expected` (0: absent). Answers the new revision.
    async fn compare_and_swap(
        &self,
        driver: &DriverName,
        key: &str,
        expected: u32,
        value: Option<&[u8]>,
    ) -> Result<u32>;
    /// Keys with a prefix, sorted.
    async fn keys(&self, driver: &DriverName, prefix: &str) -> Result<Vec<String>>;
}
