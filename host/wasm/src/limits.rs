//! What one operation of a driver may use, and the counters that hold it to that.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use crate::pool;

/// Longest log line kept, bytes; the rest is cut.
pub const LOG_LINE_BYTES: usize = 8 << 10;
/// Longest text kept of what a driver says to people beside its log (events, errors, reasons), bytes; the rest is cut.
pub const TEXT_BYTES: usize = 4 << 10;
/// Longest key and value kept in a map for people (annotations, attributes), bytes.
pub const ENTRY_BYTES: usize = 1 << 10;
/// Most entries kept of such a map.
pub const ENTRIES: usize = 64;
/// Largest handle a driver may return, bytes.
pub const HANDLE_BYTES: usize = 64 << 10;
/// Most data a guest may pass in one call, bytes: a file of 4 MiB with room around it.
pub const CALL_BYTES: usize = 16 << 20;

/// Limits of one operation, settable per driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationLimits {
    /// Memory of the instance, MiB.
    pub memory_mib: u32,
    /// Time the driver's own code may run, milliseconds; waiting in a call to the host does not count.
    pub guest_ms: u64,
    /// Time for a whole operation with all it waits for, milliseconds.
    pub operation_ms: u64,
    /// The same for `start`, which may pull an image.
    pub start_ms: u64,
    /// Log lines; more are counted and dropped.
    pub log_lines: u32,
    /// Task events; more are refused.
    pub events: u32,
}

impl Default for OperationLimits {
    /// 64 MiB, 5 s of own code, a minute in all (10 for `start`), 1,000 lines, 64 events.
    fn default() -> Self {
        Self { memory_mib: 64, guest_ms: 5_000, operation_ms: 60_000, start_ms: 600_000, log_lines: 1_000, events: 64 }
    }
}

/// The first `max` bytes of a text, or a little less where a character would be split.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Holds the memories and tables of one store together under a cap.
pub(crate) struct MemoryCap {
    max_bytes: usize,
    used_bytes: usize,
    meter: Meter,
}

/// What an element of a table takes: a pointer.
const ELEMENT_BYTES: usize = 8;

impl MemoryCap {
    /// A cap that tells the meter when it is reached.
    pub(crate) fn new(max_bytes: usize, meter: &Meter) -> Self {
        Self { max_bytes, used_bytes: 0, meter: meter.clone() }
    }

    /// Whether there is room for so much more.
    fn grow(&mut self, bytes: usize) -> bool {
        let used = self.used_bytes.saturating_add(bytes);
        if used > self.max_bytes {
            self.meter.0.memory_reached.store(true, Ordering::Relaxed);
            return false;
        }
        self.used_bytes = used;
        true
    }
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = desired.saturating_sub(current).saturating_mul(ELEMENT_BYTES);
        Ok(desired <= pool::TABLE_ELEMENTS && self.grow(bytes))
    }

    fn instances(&self) -> usize {
        pool::INSTANCES as usize
    }

    fn tables(&self) -> usize {
        pool::TABLES as usize
    }

    fn memories(&self) -> usize {
        pool::MEMORIES as usize
    }
}

/// What an operation has used, readable while it runs and after it crashed.
///
/// Guest time is the time spent inside polls of the operation's future: while it waits for the host, that is
/// pending and the clock stands.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Readings>);

struct Readings {
    origin: Instant,
    spent_ns: AtomicU64,
    entered_ns: AtomicU64,
    memory_reached: AtomicBool,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Readings {
            origin: Instant::now(),
            spent_ns: AtomicU64::new(0),
            entered_ns: AtomicU64::new(0),
            memory_reached: AtomicBool::new(false),
        }))
    }

    /// Runs a future with the clock going whenever it does.
    pub(crate) async fn measure<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        std::future::poll_fn(|context| {
            self.0.entered_ns.store(self.now_ns(), Ordering::Relaxed);
            let polled = future.as_mut().poll(context);
            self.0.spent_ns.store(self.spent_ns(), Ordering::Relaxed);
            polled
        })
        .await
    }

    /// Guest time so far, to be read from inside [`Meter::measure`].
    pub(crate) fn guest_time(&self) -> Duration {
        Duration::from_nanos(self.spent_ns())
    }

    /// Whether the guest asked for more memory than it may have: what a crash after that is about.
    pub(crate) fn memory_reached(&self) -> bool {
        self.0.memory_reached.load(Ordering::Relaxed)
    }

    fn spent_ns(&self) -> u64 {
        let since = self.now_ns().saturating_sub(self.0.entered_ns.load(Ordering::Relaxed));
        self.0.spent_ns.load(Ordering::Relaxed) + since
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.0.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, max, expected) in [("short", 8, "short"), ("longer", 4, "long"), ("aé", 2, "a"), ("", 0, "")] {
            assert_eq!(cut(text, max), expected);
        }
    }

    #[test]
    fn memories_share_one_cap() {
        let meter = Meter::new();
        let mut cap = MemoryCap::new(100, &meter);
        assert!(cap.memory_growing(0, 60, None).unwrap());
        assert!(cap.memory_growing(0, 40, None).unwrap());
        assert!(!meter.memory_reached());
        assert!(!cap.memory_growing(60, 61, None).unwrap());
        assert!(meter.memory_reached());
    }

    #[test]
    fn tables_count_as_memory() {
        let meter = Meter::new();
        let mut cap = MemoryCap::new(1_000, &meter);
        assert!(cap.table_growing(0, 50, None).unwrap());
        assert!(cap.memory_growing(0, 520, None).unwrap());
        assert!(cap.table_growing(50, 60, None).unwrap());
        assert!(!meter.memory_reached());
        assert!(!cap.table_growing(0, 1, None).unwrap());
        assert!(meter.memory_reached());
        assert!(!MemoryCap::new(usize::MAX, &meter).table_growing(0, pool::TABLE_ELEMENTS + 1, None).unwrap());
    }

    #[test]
    fn sizes_near_the_end_of_the_address_space_are_refused() {
        let mut cap = MemoryCap::new(usize::MAX - 1, &Meter::new());
        assert!(cap.memory_growing(0, usize::MAX - 1, None).unwrap());
        assert!(!cap.memory_growing(0, usize::MAX, None).unwrap());
    }
}
