//! What a process and its descendants use, from their group or, without one, from `/proc`.

use std::{collections::HashMap, fs, sync::Mutex, time::Instant};

use longshore_core::workload::Usage;

use super::{home::Pids, pid::Stat};
use crate::{
    cgroup::{Group, GroupUsage},
    lock::lock,
};

/// Remembers the last sample of each process, for percentages.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<HashMap<String, (Instant, f64)>>);

impl Samples {
    /// A sample of a running process.
    pub fn take(&self, id: &str, pids: Pids, group: Option<&Group>) -> Usage {
        let measured = match group {
            Some(group) if group.measures_memory() => group.usage(),
            _ => by_walking(pids),
        };
        Usage {
            cpu_ms: measured.cpu_ms,
            cpu_percent: self.percent(id, measured.cpu_ms),
            memory_bytes: measured.memory_bytes,
            memory_cache_bytes: measured.memory_cache_bytes,
            memory_max_bytes: measured.memory_max_bytes,
            pids: measured.pids,
            ..Usage::default()
        }
    }

    /// Forgets a process.
    pub fn forget(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    fn percent(&self, id: &str, cpu_ms: f64) -> f64 {
        let now = Instant::now();
        let Some((then, before)) = lock(&self.0).insert(id.into(), (now, cpu_ms)) else { return 0.0 };
        let elapsed = now.duration_since(then).as_secs_f64() * 1000.0;
        if elapsed > 0.0 { ((cpu_ms - before) / elapsed * 100.0).max(0.0) } else { 0.0 }
    }
}

/// The kernel shows times in hundredths of a second whatever its own clock is.
const MS_PER_TICK: f64 = 10.0;

/// Sums up the shim's descendants: as a subreaper it has all of them.
fn by_walking(pids: Pids) -> GroupUsage {
    let mut usage = GroupUsage::default();
    for (pid, stat) in descendants(pids.shim.pid) {
        usage.cpu_ms += stat.cpu_ticks as f64 * MS_PER_TICK;
        usage.memory_bytes += resident_bytes(pid);
        usage.pids += stat.threads;
    }
    usage
}

fn resident_bytes(pid: i32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(0.0, |kib: f64| kib * 1024.0)
}

fn descendants(ancestor: i32) -> Vec<(i32, Stat)> {
    let mut children: HashMap<i32, Vec<(i32, Stat)>> = HashMap::new();
    for (pid, stat) in Stat::all() {
        children.entry(stat.parent).or_default().push((pid, stat));
    }
    let (mut found, mut ancestors) = (Vec::new(), vec![ancestor]);
    while let Some(parent) = ancestors.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            ancestors.push(pid);
            found.push((pid, stat));
        }
    }
    found
}
