//! CPU and memory.

use longshore_sdk::{Error, host::Limits, limits};

use crate::spec::Given;

/// The most shares Docker takes; a machine with more MHz has its shares scaled to it.
const MAX_SHARES: u32 = 262_144;
/// The fewest.
const MIN_SHARES: u32 = 2;
/// The kernel's bounds of a CPU period, microseconds.
const MAX_PERIOD: u32 = 1_000_000;
/// The shortest quota the kernel takes, microseconds.
const MIN_QUOTA: u64 = 1000;

/// Docker's own period, microseconds.
const DEFAULT_PERIOD: u32 = 100_000;

/// Limits of the container.
pub fn limits(given: &Given) -> Result<Limits, Error> {
    let (config, resources) = (given.config, &given.task.resources);
    let (memory_mib, memory_reservation_mib) = limits::memory(resources, config.memory_hard_limit)?;
    Ok(Limits {
        cpu_mhz: shares(resources.cpu_mhz, resources.node_cpu_mhz),
        cpu_hard_millicores: 0,
        cpu_cores: resources.cpu_cores.clone(),
        memory_mib,
        memory_reservation_mib,
        pids: pids(config.pids_limit, given.settings.pids_limit)?,
    })
}

/// Period and quota in microseconds when the task may never have more than its share of the machine.
pub fn hard_limit(given: &Given) -> Result<Option<(u32, u64)>, Error> {
    let (config, resources) = (given.config, &given.task.resources);
    let period = config.cpu_cfs_period.filter(|period| *period > 0).unwrap_or(DEFAULT_PERIOD);
    if period > MAX_PERIOD {
        return Err(Error::invalid("invalid value for cpu_cfs_period"));
    }
    let machine = u64::from(resources.node_cpu_mhz.max(1));
    let quota = u64::from(resources.cpu_mhz) * u64::from(period) / machine * u64::from(given.cpus.max(1));
    Ok(config.cpu_hard_limit.then_some((period, quota.max(MIN_QUOTA))))
}

/// The task's limit within the operator's; 0 is none.
fn pids(wanted: i64, allowed: u32) -> Result<u32, Error> {
    match u32::try_from(wanted) {
        Ok(wanted) if allowed > 0 && wanted > allowed => {
            Err(Error::invalid(format!("pids_limit cannot be greater than nomad plugin config pids_limit: {allowed}")))
        }
        Ok(0) | Err(_) => Ok(allowed),
        Ok(wanted) => Ok(wanted),
    }
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

#[cfg(test)]
mod tests {
    use longshore_sdk::{config::parse, sample::task};

    use super::*;
    use crate::settings::Settings;

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

    fn hard(config: &str) -> Result<Option<(u32, u64)>, Error> {
        let (config, task) = (parse("config", config)?, task("{}"));
        hard_limit(&Given { config: &config, task: &task, settings: &Settings::default(), cpus: 2 })
    }

    #[test]
    fn a_hard_limit_is_a_share_of_all_cpus() {
        let table = [
            ("{}", Ok(None)),
            (r#"{"cpu_cfs_period": 1000}"#, Ok(None)),
            // 500 of 4000 MHz on two CPUs.
            (r#"{"cpu_hard_limit": true}"#, Ok(Some((100_000, 25_000)))),
            (r#"{"cpu_hard_limit": true, "cpu_cfs_period": 1000000}"#, Ok(Some((1_000_000, 250_000)))),
            (r#"{"cpu_hard_limit": true, "cpu_cfs_period": 1000}"#, Ok(Some((1000, 1000)))),
            (r#"{"cpu_cfs_period": 1000001}"#, Err(Error::invalid("invalid value for cpu_cfs_period"))),
        ];
        for (config, expected) in table {
            assert_eq!(hard(config), expected, "{config}");
        }
    }

    #[test]
    fn processes_are_limited_by_task_and_operator() {
        let too_many = "pids_limit cannot be greater than nomad plugin config pids_limit: 50";
        let table = [
            (0, 0, Ok(0)),
            (-1, 0, Ok(0)),
            (70, 0, Ok(70)),
            (0, 50, Ok(50)),
            (20, 50, Ok(20)),
            (51, 50, Err(Error::invalid(too_many))),
        ];
        for (wanted, allowed, expected) in table {
            assert_eq!(pids(wanted, allowed), expected, "{wanted} of {allowed}");
        }
    }
}
