//! What a container uses, sampled.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bollard::{models::ContainerStatsResponse, query_parameters::StatsOptions};
use futures_util::StreamExt;
use longshore_core::{caller::Caller, error::Result, workload::Usage};

use super::{Docker, owner::not_found};

/// CPU counters of the last sample of each container: percentages are over the time since.
#[derive(Default)]
pub(super) struct Samples(Mutex<HashMap<String, Cpu>>);

/// Nanoseconds used by the container, of them in the kernel and in its programs, and by the whole machine.
#[derive(Clone, Copy)]
struct Cpu {
    total: u64,
    kernel: u64,
    user: u64,
    system: u64,
}

impl Samples {
    pub(super) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn replace(&self, id: &str, cpu: Cpu) -> Option<Cpu> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), cpu)
    }
}

impl Docker {
    pub(super) async fn container_usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.own(caller, id).await?;
        let sample = self.engine.retry(|client| async move {
            let options = StatsOptions { stream: false, one_shot: true };
            std::pin::pin!(client.stats(id, Some(options))).next().await.transpose()
        });
        let sample = sample.await.map_err(|error| self.when_gone(id, error))?.ok_or_else(|| not_found(id))?;
        let cpu = cpu(&sample);
        let before = self.samples.replace(id, cpu);
        Ok(usage(sample, cpu, before))
    }
}

fn cpu(sample: &ContainerStatsResponse) -> Cpu {
    let stats = sample.cpu_stats.as_ref();
    let used = stats.and_then(|stats| stats.cpu_usage.as_ref());
    Cpu {
        total: used.and_then(|used| used.total_usage).unwrap_or_default(),
        kernel: used.and_then(|used| used.usage_in_kernelmode).unwrap_or_default(),
        user: used.and_then(|used| used.usage_in_usermode).unwrap_or_default(),
        system: stats.and_then(|stats| stats.system_cpu_usage).unwrap_or_default(),
    }
}

fn usage(sample: ContainerStatsResponse, cpu: Cpu, before: Option<Cpu>) -> Usage {
    let stats = sample.cpu_stats.unwrap_or_default();
    let percpu = stats.cpu_usage.and_then(|usage| usage.percpu_usage).map_or(0, |cpus| cpus.len());
    let cores = stats.online_cpus.map_or(percpu as f64, f64::from).max(1.0);
    let memory = sample.memory_stats.unwrap_or_default();
    let detail = memory.stats.unwrap_or_default();
    let either = |names: [&str; 2]| names.iter().find_map(|name| detail.get(*name)).copied().unwrap_or_default();
    let mut extra = std::collections::BTreeMap::new();
    // Podman tells no details.
    if !detail.is_empty() {
        extra.insert("memory_rss_bytes".to_owned(), either(["rss", "anon"]).to_string());
        extra.insert("memory_swap_bytes".to_owned(), detail.get("swap").copied().unwrap_or_default().to_string());
    }
    let mode = |of: fn(Cpu) -> u64| before.map_or(0.0, |before| mode_percent(before, cpu, cores, of)).to_string();
    extra.insert("cpu_system_percent".into(), mode(|cpu| cpu.kernel));
    extra.insert("cpu_user_percent".into(), mode(|cpu| cpu.user));
    if let Some(throttled) = stats.throttling_data {
        extra.insert("cpu_throttled_periods".into(), throttled.throttled_periods.unwrap_or_default().to_string());
        extra.insert("cpu_throttled_ns".into(), throttled.throttled_time.unwrap_or_default().to_string());
    }
    Usage {
        cpu_ms: (cpu.total / 1_000_000) as f64,
        cpu_percent: before.map_or(0.0, |before| percent(before, cpu, cores)),
        memory_bytes: memory.usage.unwrap_or_default() as f64,
        memory_cache_bytes: either(["cache", "file"]) as f64,
        memory_max_bytes: memory.max_usage.unwrap_or_default() as f64,
        pids: sample.pids_stats.and_then(|pids| pids.current).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        extra,
    }
}

/// Percent of one core: the container's share of the machine's time, times its cores.
fn percent(before: Cpu, now: Cpu, cores: f64) -> f64 {
    let system = now.system.saturating_sub(before.system);
    if system == 0 { 0.0 } else { now.total.saturating_sub(before.total) as f64 / system as f64 * cores * 100.0 }
}

/// The share that one mode has of what the container used, times the machine's cores, as Nomad counts it.
fn mode_percent(before: Cpu, now: Cpu, cores: f64, of: fn(Cpu) -> u64) -> f64 {
    let total = now.total.saturating_sub(before.total);
    if total == 0 { 0.0 } else { of(now).saturating_sub(of(before)) as f64 / total as f64 * cores * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shares_of_what_was_used() {
        let before = Cpu { total: 100, kernel: 10, user: 90, system: 0 };
        let now = Cpu { total: 200, kernel: 35, user: 165, system: 0 };
        assert_eq!(mode_percent(before, now, 2.0, |cpu| cpu.kernel), 50.0);
        assert_eq!(mode_percent(before, now, 2.0, |cpu| cpu.user), 150.0);
        assert_eq!(mode_percent(now, now, 2.0, |cpu| cpu.user), 0.0);
    }

    #[test]
    fn percent_is_of_one_core() {
        let at = |total, system| Cpu { total, kernel: 0, user: 0, system };
        for (before, now, cores, expected) in [
            (at(0, 0), at(50, 100), 2.0, 100.0),
            (at(50, 100), at(50, 200), 2.0, 0.0),
            (at(50, 100), at(60, 100), 2.0, 0.0),
            (at(50, 100), at(0, 200), 2.0, 0.0),
        ] {
            assert_eq!(percent(before, now, cores), expected);
        }
    }
}
