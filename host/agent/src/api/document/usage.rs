//! What allocations use.

use std::collections::BTreeMap;

use longshore_core::workload::Usage;
use serde::{Deserialize, Serialize};

use super::nanoseconds;
use crate::machine::{self, Busy};

/// Answer of `GET /v1/client/allocation/:id/stats`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocUsage {
    /// All tasks together.
    pub resource_usage: ResourceUsage,
    /// Task by task.
    pub tasks: BTreeMap<String, TaskUsage>,
    /// Unix nanoseconds.
    pub timestamp: i64,
}

/// One task's part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskUsage {
    /// What it uses.
    pub resource_usage: ResourceUsage,
    /// Unix nanoseconds.
    pub timestamp: i64,
    /// Not given out.
    pub pids: Option<BTreeMap<String, ResourceUsage>>,
}

/// Memory and processor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceUsage {
    /// Memory.
    pub memory_stats: MemoryStats,
    /// Processor.
    pub cpu_stats: CpuStats,
    /// None.
    pub device_stats: Option<Vec<serde_json::Value>>,
}

/// Memory in bytes; `measured` says which are real.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MemoryStats {
    /// Resident, without cache.
    #[serde(rename = "RSS")]
    pub rss: u64,
    /// Page cache.
    pub cache: u64,
    /// Swapped out.
    pub swap: u64,
    /// Now.
    pub usage: u64,
    /// Highest so far.
    pub max_usage: u64,
    /// Not measured.
    pub kernel_usage: u64,
    /// Not measured.
    pub kernel_max_usage: u64,
    /// Names of the measured ones.
    pub measured: Vec<String>,
}

/// Processor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CpuStats {
    /// Share in the kernel of what was used; of containers.
    pub system_mode: f64,
    /// Share in programs of what was used; of containers.
    pub user_mode: f64,
    /// MHz used.
    pub total_ticks: f64,
    /// How often it had used up its time before its period was over.
    pub throttled_periods: u64,
    /// How long it then waited, nanoseconds.
    pub throttled_time: u64,
    /// Percent of one core.
    pub percent: f64,
    /// Names of the measured ones.
    pub measured: Vec<String>,
}

/// Answer of `GET /v1/client/stats`: what the whole machine uses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostUsage {
    /// Memory.
    pub memory: HostMemory,
    /// Processor by processor.
    #[serde(rename = "CPU")]
    pub cpu: Vec<HostCpu>,
    /// Not measured.
    pub disk_stats: Vec<serde_json::Value>,
    /// None.
    pub device_stats: Vec<serde_json::Value>,
    /// Seconds since the machine started.
    pub uptime: u64,
    /// MHz used.
    #[serde(rename = "CPUTicksConsumed")]
    pub cpu_ticks_consumed: f64,
}

/// Memory of the machine in bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostMemory {
    /// All.
    pub total: u64,
    /// What tasks can have.
    pub available: u64,
    /// The rest.
    pub used: u64,
    /// What nobody uses.
    pub free: u64,
}

/// One processor, in percent of its time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostCpu {
    /// `cpu0`, ….
    #[serde(rename = "CPU")]
    pub cpu: String,
    /// For programs.
    pub user: f64,
    /// For the kernel.
    pub system: f64,
    /// Nothing.
    pub idle: f64,
}

impl HostUsage {
    /// The machine now; its processors between two looks at them.
    pub(crate) fn of(before: &[Busy], now: &[Busy]) -> Self {
        let cpu: Vec<HostCpu> = before.iter().zip(now).map(|(before, now)| HostCpu::between(before, now)).collect();
        let idle = cpu.iter().map(|cpu| cpu.idle).sum::<f64>() / (cpu.len() as f64).max(1.0);
        let [total, available, free] = machine::memory();
        Self {
            memory: HostMemory { total, available, used: total.saturating_sub(available), free },
            cpu_ticks_consumed: (100.0 - idle) / 100.0 * f64::from(machine::cpu_mhz()),
            cpu,
            uptime: machine::uptime(),
            ..Self::default()
        }
    }
}

impl HostCpu {
    fn between(before: &Busy, now: &Busy) -> Self {
        let [user, system, idle] = [(before.user, now.user), (before.system, now.system), (before.idle, now.idle)]
            .map(|(before, now)| now.saturating_sub(before) as f64);
        // Too short to tell counts as idle.
        let all = user + system + idle;
        let percent = |ticks: f64| if all > 0.0 { ticks / all * 100.0 } else { 0.0 };
        let idle = if all > 0.0 { percent(idle) } else { 100.0 };
        Self { cpu: now.name.clone(), user: percent(user), system: percent(system), idle }
    }
}

impl AllocUsage {
    /// Adds up what tasks use; `core_mhz` turns a share of a core into MHz.
    pub fn of(tasks: BTreeMap<String, Usage>, core_mhz: f64) -> Self {
        let timestamp = nanoseconds(std::time::SystemTime::now());
        let mut sum = ResourceUsage::default();
        let mut parts = BTreeMap::new();
        for (name, usage) in tasks {
            let resource_usage = ResourceUsage::of(&usage, core_mhz);
            sum.add(&resource_usage);
            parts.insert(name, TaskUsage { resource_usage, timestamp, pids: None });
        }
        Self { resource_usage: sum, tasks: parts, timestamp }
    }
}

impl ResourceUsage {
    fn of(usage: &Usage, core_mhz: f64) -> Self {
        Self { memory_stats: MemoryStats::of(usage), cpu_stats: CpuStats::of(usage, core_mhz), device_stats: None }
    }

    fn add(&mut self, other: &Self) {
        let (memory, more) = (&mut self.memory_stats, &other.memory_stats);
        memory.rss += more.rss;
        memory.cache += more.cache;
        memory.swap += more.swap;
        memory.usage += more.usage;
        memory.max_usage += more.max_usage;
        add_names(&mut memory.measured, &more.measured);
        let (cpu, more) = (&mut self.cpu_stats, &other.cpu_stats);
        cpu.percent += more.percent;
        cpu.total_ticks += more.total_ticks;
        cpu.system_mode += more.system_mode;
        cpu.user_mode += more.user_mode;
        cpu.throttled_periods += more.throttled_periods;
        cpu.throttled_time += more.throttled_time;
        add_names(&mut cpu.measured, &more.measured);
    }
}

impl MemoryStats {
    fn of(usage: &Usage) -> Self {
        let [rss, swap] = ["memory_rss_bytes", "memory_swap_bytes"].map(|name| more(usage, name));
        // The kernel may not tell the highest, as engines do not under version 2 of control groups.
        let has_highest = usage.memory_max_bytes > 0.0 || usage.memory_bytes == 0.0;
        let known = [("Swap", swap.is_some()), ("Usage", true), ("Max Usage", has_highest)];
        let known = known.into_iter().filter_map(|(name, is_known)| is_known.then_some(name));
        Self {
            rss: rss.unwrap_or((usage.memory_bytes - usage.memory_cache_bytes).max(0.0) as u64),
            cache: usage.memory_cache_bytes as u64,
            swap: swap.unwrap_or_default(),
            usage: usage.memory_bytes as u64,
            max_usage: usage.memory_max_bytes as u64,
            measured: ["RSS", "Cache"].into_iter().chain(known).map(str::to_owned).collect(),
            ..Self::default()
        }
    }
}

impl CpuStats {
    fn of(usage: &Usage, core_mhz: f64) -> Self {
        let throttled = [("Throttled Periods", "cpu_throttled_periods"), ("Throttled Time", "cpu_throttled_ns")];
        let [periods, time] = throttled.map(|(_, name)| more(usage, name));
        let known = throttled.into_iter().zip([periods, time]).filter_map(|((name, _), known)| known.and(Some(name)));
        Self {
            system_mode: more(usage, "cpu_system_percent").unwrap_or_default(),
            user_mode: more(usage, "cpu_user_percent").unwrap_or_default(),
            throttled_periods: periods.unwrap_or_default(),
            throttled_time: time.unwrap_or_default(),
            percent: usage.cpu_percent,
            total_ticks: usage.cpu_percent / 100.0 * core_mhz,
            measured: known.chain(["Percent"]).map(str::to_owned).collect(),
        }
    }
}

/// What not everybody who measures can tell.
fn more<T: std::str::FromStr>(usage: &Usage, name: &str) -> Option<T> {
    usage.extra.get(name)?.parse().ok()
}

fn add_names(all: &mut Vec<String>, more: &[String]) {
    for name in more {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_named() {
        let plain = Usage { memory_bytes: 9.0, memory_cache_bytes: 2.0, memory_max_bytes: 12.0, ..Usage::default() };
        let told = [
            ("memory_rss_bytes", "5"),
            ("memory_swap_bytes", "3"),
            ("cpu_throttled_periods", "4"),
            ("cpu_user_percent", "150.5"),
        ];
        let extra = told.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let engine = Usage { extra, ..plain.clone() };
        let unified = Usage { memory_max_bytes: 0.0, ..engine.clone() };
        let table: [(&Usage, u64, &[&str], &[&str]); 3] = [
            (&plain, 7, &["RSS", "Cache", "Usage", "Max Usage"], &["Percent"]),
            (&engine, 5, &["RSS", "Cache", "Swap", "Usage", "Max Usage"], &["Throttled Periods", "Percent"]),
            (&unified, 5, &["RSS", "Cache", "Swap", "Usage"], &["Throttled Periods", "Percent"]),
        ];
        for (usage, rss, memory, cpu) in table {
            let stats = ResourceUsage::of(usage, 1000.0);
            assert_eq!(stats.memory_stats.rss, rss);
            assert_eq!(stats.memory_stats.measured, memory);
            assert_eq!(stats.cpu_stats.measured, cpu);
        }
        let tasks = [("a", plain), ("b", engine)].map(|(name, usage)| (name.to_owned(), usage)).into();
        let sum = AllocUsage::of(tasks, 1000.0).resource_usage;
        assert_eq!((sum.memory_stats.swap, sum.cpu_stats.throttled_periods, sum.cpu_stats.user_mode), (3, 4, 150.5));
        assert_eq!(sum.memory_stats.measured, ["RSS", "Cache", "Usage", "Max Usage", "Swap"]);
    }

    #[test]
    fn a_processor_is_told_in_percent_of_its_time() {
        let look = |user, system, idle| Busy { name: "cpu0".into(), user, system, idle };
        let between = HostCpu::between(&look(10, 10, 10), &look(11, 12, 17));
        assert_eq!(between, HostCpu { cpu: "cpu0".into(), user: 10.0, system: 20.0, idle: 70.0 });
        let still = HostCpu::between(&look(1, 1, 1), &look(1, 1, 1));
        assert_eq!((still.user, still.idle), (0.0, 100.0));
    }
}
