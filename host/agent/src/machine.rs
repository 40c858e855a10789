//! Facts about the machine that every task may refer to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::alloc::cores;

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

/// Processors this agent may run on, which are those it can give to tasks.
pub(crate) fn own_processors() -> BTreeSet<u32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    cores::parse(list).unwrap_or_default()
}

/// `attr.<key>` of the machine, by Nomad's names.
pub(crate) fn attributes() -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([
        ("kernel.name".to_owned(), std::env::consts::OS.to_owned()),
        ("cpu.arch".to_owned(), architecture().to_owned()),
        ("cpu.numcores".to_owned(), processors().to_string()),
        ("cpu.reservablecores".to_owned(), own_processors().len().to_string()),
        ("cpu.totalcompute".to_owned(), cpu_mhz().to_string()),
        ("unique.hostname".to_owned(), hostname()),
        ("nomad.version".to_owned(), "2.0.5".to_owned()),
        ("longshore.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    if let Some(release) = read_line("/proc/sys/kernel/osrelease") {
        found.insert("kernel.version".into(), release);
    }
    if let Some(bytes) =
        fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(|text| memory_line(text, "MemTotal"))
    {
        found.insert("memory.totalbytes".into(), bytes.to_string());
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    for (key, name) in [("ID", "os.name"), ("VERSION_ID", "os.version")] {
        found.extend(release_line(&release, key).map(|value| (name.to_owned(), value)));
    }
    found
}

/// A value of `/etc/os-release`.
fn release_line(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
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

/// A line of `/proc/meminfo`, in bytes.
fn memory_line(meminfo: &str, name: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    kib.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Memory of the machine in bytes: all, what tasks can have, what nobody uses. 0 where it is not known.
pub(crate) fn memory() -> [u64; 3] {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    ["MemTotal", "MemAvailable", "MemFree"].map(|name| memory_line(&text, name).unwrap_or(0))
}

/// Seconds since it started; 0 where that is not known.
pub(crate) fn uptime() -> u64 {
    let text = read_line("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

/// What a processor did since the machine started, in ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Busy {
    /// `cpu0`, ….
    pub name: String,
    /// For programs.
    pub user: u64,
    /// For the kernel.
    pub system: u64,
    /// Nothing, or waiting for disks.
    pub idle: u64,
}

/// What every processor did.
pub(crate) fn busy() -> Vec<Busy> {
    busy_in(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn busy_in(stat: &str) -> Vec<Busy> {
    let processor = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next().filter(|name| name.len() > "cpu".len() && name.starts_with("cpu"))?.to_owned();
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let [user, nice, system, idle, wait, hard, soft, ..] = ticks[..] else { return None };
        Some(Busy { name, user: user + nice, system: system + hard + soft, idle: idle + wait })
    };
    stat.lines().filter_map(processor).collect()
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
    fn the_name_of_the_distribution_is_read() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(release_line(text, "ID").as_deref(), Some("debian"));
        assert_eq!(release_line(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(release_line(text, "NONE"), None);
    }

    #[test]
    fn clock_rates_are_summed_over_processors() {
        let text = "processor: 0\ncpu MHz\t\t: 2400.5\nprocessor: 1\ncpu MHz\t\t: 1600.5\nflags: fpu\n";
        assert_eq!(clock_rates(text), (2, 4001.0));
        assert_eq!(clock_rates("Processor : ARMv8\n"), (0, 0.0));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_line("MemTotal:        1024 kB\nMemFree: 1 kB\n", "MemTotal"), Some(1 << 20));
        assert_eq!(memory_line("MemFree: 1 kB\n", "MemTotal"), None);
    }

    #[test]
    fn what_processors_did_is_read_line_by_line() {
        let text = "cpu  9 9 9 9 9 9 9 0 0 0\ncpu0 1 2 3 4 5 6 7 0 0 0\nintr 5\n";
        assert_eq!(busy_in(text), [Busy { name: "cpu0".into(), user: 3, system: 16, idle: 9 }]);
        assert_eq!(busy_in("cpu1 1 2\n"), []);
    }
}
