//! The memory of all instances of a task, counted together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use wasmtime::ResourceLimiter;

/// What a task's instances may use in all.
#[derive(Clone)]
pub(super) struct SharedMemory {
    used: Arc<AtomicUsize>,
    max: usize,
}

/// What one instance uses of it; given back when the instance's store is dropped.
pub(super) struct Claim {
    memory: SharedMemory,
    bytes: usize,
}

impl SharedMemory {
    /// `memory_mib` 0 means no limit.
    pub(super) fn new(memory_mib: u32) -> Self {
        let max = if memory_mib == 0 { usize::MAX } else { (memory_mib as usize) << 20 };
        Self { used: Arc::default(), max }
    }

    pub(super) fn claim(&self) -> Claim {
        Claim { memory: self.clone(), bytes: 0 }
    }
}

impl Claim {
    /// Takes `more` bytes if they are there.
    fn take(&mut self, more: usize) -> bool {
        let max = self.memory.max;
        let taken = self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|total| *total <= max)
        });
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }
}

impl ResourceLimiter for Claim {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.take(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 1 << 20)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_share_and_give_back() {
        let memory = SharedMemory::new(2);
        let mut first = memory.claim();
        let mut second = memory.claim();
        assert!(first.memory_growing(0, 1 << 20, None).unwrap());
        assert!(second.memory_growing(0, 1 << 20, None).unwrap());
        assert!(!second.memory_growing(1 << 20, (1 << 20) + 1, None).unwrap(), "the task is at its limit");
        drop(first);
        assert!(second.memory_growing(1 << 20, 2 << 20, None).unwrap(), "a gone instance's memory is free again");
    }

    #[test]
    fn zero_is_no_limit() {
        assert!(SharedMemory::new(0).claim().memory_growing(0, 1 << 40, None).unwrap());
    }
}
