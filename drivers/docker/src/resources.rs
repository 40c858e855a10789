//! CPU and memory.

use longshore_sdk::{Error, Resources, host::Limits};

use crate::config::Config;

/// The most shares Docker takes; a machine with more MHz has its shares scaled to it.
const MAX_SHARES: u32 = 262_144;
/// The fewest.
const MIN_SHARES: u32 = 2;
/// The kernel's bounds of a CPU period, microseconds.
const MAX_PERIOD: u32 = 1_000_000;

/// Limits of the container.
pub fn limits(config: &Config, resources: &Resources) -> Result<Limits, Error> {
    let (memory_mib, memory_reservation_mib) = memory(config.memory_hard_limit, resources)?;
    if config.cpu_cfs_period.is_some_and(|period| period > MAX_PERIOD) {
        return Err(Error::invalid("invalid value for cpu_cfs_period"));
    }
    Ok(Limits {
        cpu_mhz: shares(resources.cpu_mhz, resources.node_cpu_mhz),
        cpu_hard_millicores: if config.cpu_hard_limit { resources.cpu_mhz } else { 0 },
        cpu_cores: resources.cpu_cores.clone(),
        memory_mib,
        memory_reservation_mib,
        pids: config.pids_limit,
    })
}

/// Docker's CPU shares for a task: its MHz, unless the machine has more MHz than Docker has shares.
fn shares(mhz: u32, node_mhz: u32) -> u32 {
    let scaled = if node_mhz < MAX_SHARES {
        mhz
    } else {
        u32::try_from(u64::from(mhz) * u64::from(MAX_SHARES) / u64::from(node_mhz)).unwrap_or(MAX_SHARES)
    };
    scaled.clamp(MIN_SHARES, MAX_SHARES)
}

/// Hard limit and reservation in MiB; 0 is none. `u32::MAX` of `memory_max_mib` is "unlimited".
fn memory(driver_hard: u32, resources: &Resources) -> Result<(u32, u32), Error> {
    let soft = resources.memory_mib;
    if resources.memory_max_mib == u32::MAX {
        return Ok((0, soft));
    }
    match driver_hard.max(resources.memory_max_mib) {
        0 => Ok((soft, 0)),
        hard if hard < soft => {
            Err(Error::invalid(format!("task memory requirements exceed driver hard limit of {hard} MB")))
        }
        hard => Ok((hard, soft)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(memory_mib: u32, memory_max_mib: u32) -> Resources {
        Resources { cpu_mhz: 500, cpu_cores: vec![], node_cpu_mhz: 4000, memory_mib, memory_max_mib }
    }

    #[test]
    fn memory_table_of_nomad() {
        let table = [
            (0, 10, 0, (10, 0)),
            (20, 10, 0, (20, 10)),
            (0, 10, 20, (20, 10)),
            (30, 10, 20, (30, 10)),
            (20, 10, 30, (30, 10)),
            (20, 10, u32::MAX, (0, 10)),
            (0, 0, 0, (0, 0)),
            (20, 0, 0, (20, 0)),
        ];
        for (hard, memory_mib, max, expected) in table {
            assert_eq!(memory(hard, &resources(memory_mib, max)), Ok(expected), "{hard} {memory_mib} {max}");
        }
        let error = memory(6, &resources(17, 0)).unwrap_err();
        assert_eq!(error.text(), "task memory requirements exceed driver hard limit of 6 MB");
    }

    #[test]
    fn shares_are_mhz_until_the_machine_is_too_big() {
        let table = [
            (500, 4000, 500),
            (0, 4000, 2),
            (1, 4000, 2),
            (500, 262_143, 500),
            (1000, 524_288, 500),
            (524_288, 524_288, 262_144),
        ];
        for (mhz, node, expected) in table {
            assert_eq!(shares(mhz, node), expected, "{mhz} of {node}");
        }
    }

    #[test]
    fn period_has_bounds() {
        let config = |period| Config { cpu_cfs_period: Some(period), ..Config::default() };
        assert!(limits(&config(1_000_000), &resources(10, 0)).is_ok());
        let error = limits(&config(1_000_001), &resources(10, 0)).unwrap_err();
        assert_eq!(error.text(), "invalid value for cpu_cfs_period");
    }
}
