//! Processes named so that a reused number is never taken for them.

use std::{fs, io, os::fd::OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;

use crate::watch::watched;

/// A process: its number and when it started, in the kernel's ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessRef {
    pub pid: i32,
    pub start: u64,
}

impl ProcessRef {
    /// A handle to exactly this process; none when it is gone.
    pub fn open(self) -> Option<OwnedFd> {
        let fd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Looked at after the handle is open: if it is the right one now, the handle is of the right one.
        (Stat::of(self.pid)?.start == self.start).then_some(fd)
    }

    /// Sends a signal; false when it is gone.
    pub fn signal(self, signal: Signal) -> io::Result<bool> {
        match self.open().map(|fd| pidfd_send_signal(&fd, signal)) {
            None | Some(Err(rustix::io::Errno::SRCH)) => Ok(false),
            Some(sent) => Ok(sent.map(|()| true)?),
        }
    }

    /// Returns when it has ended, whoever's child it is.
    pub async fn ended(self) -> io::Result<()> {
        let Some(fd) = self.open() else { return Ok(()) };
        let fd = watched(fd, Interest::READABLE)?;
        fd.readable().await.map(drop)
    }
}

/// What is of use in `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub parent: i32,
    pub session: i32,
    /// CPU time of it and of its reaped children, ticks.
    pub cpu_ticks: u64,
    pub threads: u32,
    pub start: u64,
}

impl Stat {
    /// Of one process; none when it is gone.
    pub fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name is in parentheses and may hold anything, so fields are counted from the last one.
    fn parse(stat: &[u8]) -> Option<Self> {
        let after = stat.iter().rposition(|byte| *byte == b')')? + 2;
        let fields: Vec<_> = std::str::from_utf8(stat.get(after..)?).ok()?.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
        Some(Self {
            parent: number(1)? as i32,
            session: number(3)? as i32,
            cpu_ticks: (11..=14).filter_map(number).sum::<i64>() as u64,
            threads: number(17)? as u32,
            start: number(19)? as u64,
        })
    }

    /// Of every process that can be seen.
    pub fn all() -> impl Iterator<Item = (i32, Self)> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, Self::of(pid)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_of_odd_names() {
        let line = b"42 (a) b (c) S 1 42 40 0 -1 4194560 100 0 0 0 3 4 5 6 20 0 2 0 777 1000 25 18446744073709551615\n";
        let stat = Stat { parent: 1, session: 40, cpu_ticks: 18, threads: 2, start: 777 };
        assert_eq!(Stat::parse(line), Some(stat));
        for torn in [&b""[..], b"42 (a", b"42 (a)", b"42 (a) S 1"] {
            assert_eq!(Stat::parse(torn), None);
        }
    }

    #[tokio::test]
    async fn a_reused_number_is_somebody_else() {
        let pid = std::process::id() as i32;
        let own = ProcessRef { pid, start: Stat::of(pid).unwrap().start };
        assert!(own.open().is_some());
        let former = ProcessRef { pid, start: own.start - 1 };
        assert!(former.open().is_none());
        assert!(!former.signal(Signal::KILL).unwrap());
        former.ended().await.unwrap();
    }
}
