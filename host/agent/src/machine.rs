//! Facts about the machine that every task may refer to.

use std::{collections::BTreeMap, fs};

/// The machine's name, `localhost` when it has none.
pub(crate) fn hostname() -> String {
    read_line("/proc/sys/kernel/hostname").unwrap_or_else(|| "localhost".into())
}

/// Identity of this boot.
pub(crate) fn boot_id() -> Option<String> {
    read_line("/proc/sys/kernel/random/boot_id")
}

/// Number of processors times their clock rate; 1 GHz each when the rate is not known.
pub(crate) fn cpu_mhz() -> u32 {
    let (rates, total) = fs::read_to_string("/proc/cpuinfo").map(|text| clock_rates(&text)).unwrap_or_default();
    if rates > 0 { total as u32 } else { processors() * 1_000 }
}

/// How many processors report a rate in `/proc/cpuinfo`, and the sum of the rates in MHz.
fn clock_rates(cpuinfo: &str) -> (u32, f64) {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("cpu MHz"))
        .filter_map(|line| line.split(':').nth(1)?.trim().parse::<f64>().ok())
        .fold((0, 0.0), |(count, sum), rate| (count + 1, sum + rate))
}

fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// `attr.<key>` of the machine, by Nomad's names.
pub(crate) fn attributes() -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([
        ("kernel.name".to_owned(), std::env::consts::OS.to_owned()),
        ("cpu.arch".to_owned(), architecture().to_owned()),
        ("cpu.numcores".to_owned(), processors().to_string()),
        ("cpu.totalcompute".to_owned(), cpu_mhz().to_string()),
        ("unique.hostname".to_owned(), hostname()),
        ("nomad.version".to_owned(), "2.0.5".to_owned()),
        ("longshore.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    if let Some(release) = read_line("/proc/sys/kernel/osrelease") {
        found.insert("kernel.version".into(), release);
    }
    if let Some(bytes) = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total_memory) {
        found.insert("memory.totalbytes".into(), bytes.to_string());
    }
    found
}

/// The architecture by Go's name, which is what job files compare with.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kib.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn read_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_rates_are_summed_over_processors() {
        let text = "processor: 0\ncpu MHz\t\t: 2400.5\nprocessor: 1\ncpu MHz\t\t: 1600.5\nflags: fpu\n";
        assert_eq!(clock_rates(text), (2, 4001.0));
        assert_eq!(clock_rates("Processor : ARMv8\n"), (0, 0.0));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(total_memory("MemTotal:        1024 kB\nMemFree: 1 kB\n"), Some(1 << 20));
        assert_eq!(total_memory("MemFree: 1 kB\n"), None);
    }
}
