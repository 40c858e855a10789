//! Locks within this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Locks; what a panicking holder left is used as it is, because every change made under our locks is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One lock for each name, for as long as somebody wants it.
#[derive(Debug, Default)]
pub(crate) struct NamedLocks(Mutex<HashMap<String, Arc<Mutex<()>>>>);

impl NamedLocks {
    /// Does something while nobody else does anything under this name. Blocks.
    pub fn with<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let named = lock(&self.0).entry(name.into()).or_default().clone();
        let result = {
            let _held = lock(&named);
            work()
        };
        let mut all = lock(&self.0);
        // Two: ours and the map's. Others get theirs under the map's lock, which we hold.
        if Arc::strong_count(&named) <= 2 {
            all.remove(name);
        }
        result
    }
}
