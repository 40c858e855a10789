//! One group: made, limited, measured, killed, removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use longshore_core::{error::HostError, workload::Limits};

use super::{Cgroups, inherit_cpuset};
use crate::failure::because;

/// How long members may take to be gone after a kill.
const DYING: Duration = Duration::from_secs(5);

/// A group's directories; whether they exist, the kernel knows.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) unified: Option<(PathBuf, BTreeSet<String>)>,
    pub(super) v1: BTreeMap<String, PathBuf>,
}

/// What a group uses now; parts that cannot be known are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupUsage {
    /// CPU time since the start, milliseconds.
    pub cpu_ms: f64,
    /// Memory now, bytes.
    pub memory_bytes: f64,
    /// Page cache in it, bytes.
    pub memory_cache_bytes: f64,
    /// Highest so far, bytes.
    pub memory_max_bytes: f64,
    /// Processes and threads.
    pub pids: u32,
}

impl Group {
    /// Makes it with these limits. A limit whose controller is not here is left out, as `node status` tells.
    pub fn create(&self, cgroups: &Cgroups, limits: &Limits) -> Result<(), HostError> {
        cgroups.prepare().map_err(because("control groups"))?;
        for dir in self.dirs() {
            fs::create_dir_all(dir).map_err(because(dir.display()))?;
        }
        if let Some(dir) = self.v1.get("cpuset") {
            let parent = dir.parent().unwrap_or(dir);
            inherit_cpuset(parent, dir).map_err(because(dir.display()))?;
        }
        for (file, value) in self.settings(limits) {
            fs::write(&file, &value).map_err(because(format_args!("setting {} to {value}", file.display())))?;
        }
        Ok(())
    }

    /// The `tasks` files a process joins by writing 0; the version 2 group is joined at birth.
    pub fn join_files(&self) -> impl Iterator<Item = PathBuf> {
        self.v1.values().map(|dir| dir.join("tasks"))
    }

    /// The version 2 group.
    pub fn unified_dir(&self) -> Option<&Path> {
        self.unified.as_ref().map(|(dir, _)| dir.as_path())
    }

    /// Writing 1 here kills all members; not on old kernels.
    pub fn kill_file(&self) -> Option<PathBuf> {
        self.unified_dir().map(|dir| dir.join("cgroup.kill")).filter(|file| file.exists())
    }

    /// Lists the members.
    pub fn members_file(&self) -> Option<PathBuf> {
        self.dirs().next().map(|dir| dir.join("cgroup.procs"))
    }

    /// Has an `oom_kill` line.
    pub fn oom_file(&self) -> Option<PathBuf> {
        let v1 = self.v1.get("memory").map(|dir| dir.join("memory.oom_control"));
        v1.or_else(|| self.unified_with("memory").map(|dir| dir.join("memory.events")))
    }

    /// Kills all members, and returns when none is left. Blocks.
    pub fn kill(&self) -> Result<(), HostError> {
        let Some(members) = self.members_file() else { return Ok(()) };
        let deadline = Instant::now() + DYING;
        loop {
            if let Some(file) = self.kill_file() {
                let _ = fs::write(file, "1");
            }
            let pids = fs::read_to_string(&members).unwrap_or_default();
            let pids: Vec<i32> = pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(HostError::Timeout(format!("processes {pids:?} do not die")));
            }
            for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Removes it in all trees, killing members first. Gone already is success; answers the first error. Blocks.
    pub fn remove(&self) -> Result<(), HostError> {
        if self.members_file().is_some_and(|file| file.exists()) {
            self.kill()?;
        }
        let removed = self.dirs().map(|dir| remove_dir(dir).map_err(because(dir.display())));
        removed.fold(Ok(()), Result::and)
    }

    /// What its members use.
    pub fn usage(&self) -> GroupUsage {
        let mut usage = GroupUsage::default();
        if let Some(dir) = self.v1.get("cpuacct") {
            usage.cpu_ms = number(&dir.join("cpuacct.usage")) / 1e6;
        } else if let Some(dir) = self.unified_dir() {
            usage.cpu_ms = field(&dir.join("cpu.stat"), "usage_usec") / 1e3;
        }
        if let Some(dir) = self.v1.get("memory") {
            usage.memory_bytes = number(&dir.join("memory.usage_in_bytes"));
            usage.memory_max_bytes = number(&dir.join("memory.max_usage_in_bytes"));
            usage.memory_cache_bytes = field(&dir.join("memory.stat"), "cache");
        } else if let Some(dir) = self.unified_with("memory") {
            usage.memory_bytes = number(&dir.join("memory.current"));
            usage.memory_max_bytes = number(&dir.join("memory.peak"));
            usage.memory_cache_bytes = field(&dir.join("memory.stat"), "file");
        }
        let pids = self.v1.get("pids").map(PathBuf::as_path).or_else(|| self.unified_with("pids"));
        usage.pids = pids.map_or(0.0, |dir| number(&dir.join("pids.current"))) as u32;
        usage
    }

    /// Whether memory is measured here.
    pub fn measures_memory(&self) -> bool {
        self.v1.contains_key("memory") || self.unified_with("memory").is_some()
    }

    fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.unified_dir().into_iter().chain(self.v1.values().map(PathBuf::as_path))
    }

    fn unified_with(&self, controller: &str) -> Option<&Path> {
        self.unified.as_ref().filter(|(_, has)| has.contains(controller)).map(|(dir, _)| dir.as_path())
    }

    /// Files to write, in order.
    fn settings(&self, limits: &Limits) -> Vec<(PathBuf, String)> {
        let mut all = Vec::new();
        if let Some(dir) = self.v1.get("cpu") {
            all.extend(cpu_v1(limits).map(|(file, value)| (dir.join(file), value)));
        } else if let Some(dir) = self.unified_with("cpu") {
            all.extend(cpu_v2(limits).map(|(file, value)| (dir.join(file), value)));
        }
        if let Some(dir) = self.v1.get("memory") {
            all.extend(memory_v1(limits, dir.join("memory.memsw.limit_in_bytes").exists()).map(in_dir(dir)));
        } else if let Some(dir) = self.unified_with("memory") {
            all.extend(memory_v2(limits, dir.join("memory.swap.max").exists()).map(in_dir(dir)));
        }
        let has = |name: &str| self.v1.get(name).map(PathBuf::as_path).or_else(|| self.unified_with(name));
        if let Some(dir) = has("pids").filter(|_| limits.pids > 0) {
            all.push((dir.join("pids.max"), limits.pids.to_string()));
        }
        all.extend(self.cpuset(&limits.cpu_cores));
        all
    }

    /// Keeps its members on these processors. Where none can be chosen they stay on all; gone already is success.
    pub fn confine(&self, cpus: &[u32]) -> Result<(), HostError> {
        let Some((file, list)) = self.cpuset(cpus).filter(|(file, _)| file.exists()) else { return Ok(()) };
        fs::write(&file, list).map_err(because(file.display()))
    }

    fn cpuset(&self, cpus: &[u32]) -> Option<(PathBuf, String)> {
        let dir = self.v1.get("cpuset").map(PathBuf::as_path).or_else(|| self.unified_with("cpuset"))?;
        let list = cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        (!list.is_empty()).then(|| (dir.join("cpuset.cpus"), list))
    }
}

type Setting = (&'static str, String);

fn in_dir(dir: &Path) -> impl Fn(Setting) -> (PathBuf, String) {
    move |(file, value)| (dir.join(file), value)
}

/// 1 MHz is one share, as in Nomad; the kernel's least is 2. A core's thousandth is 100 µs of each 100 ms.
fn cpu_v1(limits: &Limits) -> impl Iterator<Item = Setting> {
    let shares = (limits.cpu_mhz > 0).then(|| ("cpu.shares", limits.cpu_mhz.clamp(2, 262_144).to_string()));
    let hard = u64::from(limits.cpu_hard_millicores) * 100;
    let quota = (hard > 0).then(|| ("cpu.cfs_quota_us", hard.max(1000).to_string()));
    shares.into_iter().chain(quota)
}

/// Shares (2–262144) mapped to weights (1–10000) the way container runtimes do.
fn cpu_v2(limits: &Limits) -> impl Iterator<Item = Setting> {
    let shares = u64::from(limits.cpu_mhz.clamp(2, 262_144));
    let weight = 1 + (shares - 2) * 9999 / 262_142;
    let weight = (limits.cpu_mhz > 0).then(|| ("cpu.weight", weight.to_string()));
    let hard = u64::from(limits.cpu_hard_millicores) * 100;
    let quota = (hard > 0).then(|| ("cpu.max", format!("{} 100000", hard.max(1000))));
    weight.into_iter().chain(quota)
}

fn bytes(mib: u32) -> String {
    (u64::from(mib) << 20).to_string()
}

/// The limit with swap cannot be below the one without, so it comes second.
fn memory_v1(limits: &Limits, swap_counted: bool) -> impl Iterator<Item = Setting> {
    let (limit, soft) = (limits.memory_mib, limits.memory_reservation_mib);
    let hard = (limit > 0).then(|| ("memory.limit_in_bytes", bytes(limit)));
    let swap = (limit > 0 && swap_counted).then(|| ("memory.memsw.limit_in_bytes", bytes(limit)));
    let soft = (soft > 0).then(|| ("memory.soft_limit_in_bytes", bytes(soft)));
    hard.into_iter().chain(swap).chain(soft)
}

fn memory_v2(limits: &Limits, swap_counted: bool) -> impl Iterator<Item = Setting> {
    let (limit, soft) = (limits.memory_mib, limits.memory_reservation_mib);
    let hard = (limit > 0).then(|| ("memory.max", bytes(limit)));
    let swap = (limit > 0 && swap_counted).then(|| ("memory.swap.max", "0".into()));
    let soft = (soft > 0).then(|| ("memory.low", bytes(soft)));
    hard.into_iter().chain(swap).chain(soft)
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    let deadline = Instant::now() + DYING;
    loop {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A member that is dead and not yet forgotten.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

fn number(file: &Path) -> f64 {
    fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0.0)
}

fn field(file: &Path, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_the_kernels_numbers() {
        let limits = Limits {
            cpu_mhz: 1000,
            cpu_hard_millicores: 1500,
            memory_mib: 64,
            memory_reservation_mib: 32,
            ..Limits::default()
        };
        let text = |settings: Vec<Setting>| {
            settings.iter().map(|(file, value)| format!("{file}={value}")).collect::<Vec<_>>().join(" ")
        };
        let cases = [
            (text(cpu_v1(&limits).collect()), "cpu.shares=1000 cpu.cfs_quota_us=150000"),
            (text(cpu_v2(&limits).collect()), "cpu.weight=39 cpu.max=150000 100000"),
            (
                text(memory_v1(&limits, true).collect()),
                "memory.limit_in_bytes=67108864 memory.memsw.limit_in_bytes=67108864 \
                 memory.soft_limit_in_bytes=33554432",
            ),
            (text(memory_v2(&limits, true).collect()), "memory.max=67108864 memory.swap.max=0 memory.low=33554432"),
            (text(cpu_v1(&Limits::default()).chain(memory_v1(&Limits::default(), true)).collect()), ""),
            (text(cpu_v2(&Limits::default()).chain(memory_v2(&Limits::default(), true)).collect()), ""),
        ];
        for (got, expected) in cases {
            assert_eq!(got, expected);
        }
    }
}
