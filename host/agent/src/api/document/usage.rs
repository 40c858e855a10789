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
    /// Swapped out; of containers.
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
    /// How often its time was used up; of containers.
    pub throttled_periods: u64,
    /// How long it waited then, nanoseconds; of containers.
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
        let told = |name: &str| usage.extra.get(name).and_then(|text| text.parse::<f64>().ok());
        let bytes = |name: &str| told(name).map(|bytes| bytes as u64);
        let names = |names: &[(&str, bool)]| {
            names.iter().filter(|(_, is_measured)| *is_measured).map(|(name, _)| (*name).to_owned()).collect()
        };
        let (swap, periods) = (bytes("memory_swap_bytes"), bytes("cpu_throttled_periods"));
        // Cgroup v2 knows no highest.
        let has_max = usage.memory_max_bytes > 0.0 || usage.memory_bytes == 0.0;
        let without_cache = (usage.memory_bytes - usage.memory_cache_bytes).max(0.0) as u64;
        Self {
            memory_stats: MemoryStats {
                rss: bytes("memory_rss_bytes").unwrap_or(without_cache),
                cache: usage.memory_cache_bytes as u64,
                swap: swap.unwrap_or_default(),
                usage: usage.memory_bytes as u64,
                max_usage: usage.memory_max_bytes as u64,
                measured: names(&[
                    ("RSS", true),
                    ("Cache", true),
                    ("Swap", swap.is_some()),
                    ("Usage", true),
                    ("Max Usage", has_max),
                ]),
                ..MemoryStats::default()
            },
            cpu_stats: CpuStats {
                percent: usage.cpu_percent,
                system_mode: told("cpu_system_percent").unwrap_or_default(),
                user_mode: told("cpu_user_percent").unwrap_or_default(),
                total_ticks: usage.cpu_percent / 100.0 * core_mhz,
                throttled_periods: periods.unwrap_or_default(),
                throttled_time: bytes("cpu_throttled_ns").unwrap_or_default(),
                measured: names(&[
                    ("Throttled Periods", periods.is_some()),
                    ("Throttled Time", periods.is_some()),
                    ("Percent", true),
                ]),
            },
            device_stats: None,
        }
    }

    fn add(&mut self, other: &Self) {
        let (memory, more) = (&mut self.memory_stats, &other.memory_stats);
        memory.rss += more.rss;
        memory.cache += more.cache;
        memory.swap += more.swap;
        memory.usage += more.usage;
        memory.max_usage += more.max_usage;
        memory.measured.clone_from(&more.measured);
        let (cpu, more) = (&mut self.cpu_stats, &other.cpu_stats);
        cpu.percent += more.percent;
        cpu.total_ticks += more.total_ticks;
        cpu.system_mode += more.system_mode;
        cpu.user_mode += more.user_mode;
        cpu.throttled_periods += more.throttled_periods;
        cpu.throttled_time += more.throttled_time;
        cpu.measured.clone_from(&more.measured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_named_as_in_nomad() {
        let extra = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect();
        let container = extra(&[
            ("memory_rss_bytes", "7"),
            ("memory_swap_bytes", "1"),
            ("cpu_throttled_periods", "3"),
            ("cpu_throttled_ns", "4"),
            ("cpu_user_percent", "150"),
        ]);
        for (extra, max, rss, memory, cpu) in [
            (container, 30.0, 7, "RSS Cache Swap Usage Max Usage", "Throttled Periods Throttled Time Percent"),
            (extra(&[]), 0.0, 15, "RSS Cache Usage", "Percent"),
        ] {
            let usage =
                Usage { memory_bytes: 20.0, memory_cache_bytes: 5.0, memory_max_bytes: max, extra, ..Usage::default() };
            let told = ResourceUsage::of(&usage, 1000.0);
            assert_eq!((told.memory_stats.rss, told.memory_stats.measured.join(" ")), (rss, memory.to_owned()));
            assert_eq!(told.cpu_stats.measured.join(" "), cpu);
        }
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
