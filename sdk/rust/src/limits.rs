//! From what a job file promises a task to what the host enforces.

use crate::{Error, Resources, host::Limits};

/// CPU and memory of a task.
pub fn of(resources: &Resources) -> Result<Limits, Error> {
    let (memory_mib, memory_reservation_mib) = memory(resources, 0)?;
    Ok(Limits { memory_mib, memory_reservation_mib, ..cpu(resources) })
}

/// CPU alone.
pub fn cpu(resources: &Resources) -> Limits {
    Limits { cpu_mhz: resources.cpu_mhz, cpu_cores: resources.cpu_cores.clone(), ..Limits::default() }
}

/// Hard limit and reservation in MiB, as Nomad has them; 0 is none. `hard_mib` is a limit that the driver's own
/// configuration sets, 0 for none; `u32::MAX` of `memory_max_mib` is "unlimited".
pub fn memory(resources: &Resources, hard_mib: u32) -> Result<(u32, u32), Error> {
    let soft = resources.memory_mib;
    if resources.memory_max_mib == u32::MAX {
        return Ok((0, soft));
    }
    match hard_mib.max(resources.memory_max_mib) {
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
    use crate::sample;

    fn resources(memory_mib: u32, memory_max_mib: u32) -> Resources {
        Resources { memory_mib, memory_max_mib, ..sample::task("{}").resources }
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
            assert_eq!(memory(&resources(memory_mib, max), hard), Ok(expected), "{hard} {memory_mib} {max}");
        }
        let error = memory(&resources(17, 0), 6).unwrap_err();
        assert_eq!(error.text(), "task memory requirements exceed driver hard limit of 6 MB");
    }
}
