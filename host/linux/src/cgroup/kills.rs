//! The kernel's word on whether memory ran out in somebody else's control group, kept as long as the group lives and
//! a moment longer.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    event::{EventfdFlags, eventfd},
    fs::OFlags,
};
use tokio::io::{Interest, unix::AsyncFd};

use super::mounts::Mounts;
use crate::watch::watched;

/// A group's count of processes that were killed for want of memory.
///
/// The count goes with the group, and the engine removes it before anybody hears that its container has ended. So the
/// kernel is asked to tell of each change.
pub(crate) struct MemoryKills {
    /// Has an `oom_kill` line; cannot be read any more once the group is gone.
    count: File,
    /// Wakes when that changes.
    bell: AsyncFd<OwnedFd>,
    /// How often the bell of version 1 rang: each time memory ran out, and once more when the group went.
    rung: Option<AtomicU64>,
}

impl MemoryKills {
    /// Those in the group that a process is in; none where that cannot be seen.
    pub(crate) fn around(pid: i64) -> Option<Self> {
        let of_process = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        match Mounts::here().group_of("memory", &of_process)? {
            (dir, true) => Self::unified(&dir),
            (dir, false) => Self::v1(&dir),
        }
        .ok()
    }

    fn v1(dir: &Path) -> io::Result<Self> {
        let count = File::open(dir.join("memory.oom_control"))?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        fs::write(dir.join("cgroup.event_control"), format!("{} {}", bell.as_raw_fd(), count.as_raw_fd()))?;
        Ok(Self { count, bell: watched(bell, Interest::READABLE)?, rung: Some(AtomicU64::new(0)) })
    }

    fn unified(dir: &Path) -> io::Result<Self> {
        let count = File::open(dir.join("memory.events"))?;
        let bell = watched(count.try_clone()?.into(), Interest::PRIORITY)?;
        Ok(Self { count, bell, rung: None })
    }

    /// Returns when a process was killed for want of memory; never when none was. Cancel-safe.
    pub(crate) async fn any(&self) {
        while !self.seen() {
            let interest = if self.rung.is_some() { Interest::READABLE } else { Interest::PRIORITY };
            match self.bell.ready(interest).await {
                Ok(mut ready) => ready.clear_ready(),
                // The runtime ends.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Looks now. A bell that rang before the group was gone, or twice, did not ring for its end.
    fn seen(&self) -> bool {
        let rung = self.rung.as_ref().map_or(0, |rung| {
            let mut count = [0; 8];
            let new = rustix::io::read(&self.bell, &mut count).map_or(0, |_| u64::from_ne_bytes(count));
            rung.fetch_add(new, Ordering::Relaxed) + new
        });
        let mut text = [0; 256];
        match self.count.read_at(&mut text, 0) {
            Ok(length) => rung > 0 || oom_kills(&String::from_utf8_lossy(&text[..length])) > 0,
            Err(_) => rung > 1,
        }
    }
}

/// Whether the kernel's log tells that memory ran out for a process in a group with this in its name. The log still has
/// it when the group is gone. It holds ten such messages of each five seconds, and not everybody may read it. Blocks
/// for some milliseconds.
pub(crate) fn is_logged(name: &str) -> bool {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    let Ok(mut log) = File::options().read(true).custom_flags(nonblocking).open("/dev/kmsg") else { return false };
    let mut message = [0; 8192];
    loop {
        match log.read(&mut message) {
            Ok(length @ 1..) if tells_of(&String::from_utf8_lossy(&message[..length]), name) => return true,
            Ok(1..) => {}
            // What was to be read next is overwritten: on with the oldest that is there.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

fn tells_of(message: &str, name: &str) -> bool {
    let group = message.split_once(";oom-kill:").and_then(|(_, told)| told.split_once("task_memcg="));
    group.is_some_and(|(_, rest)| rest.split(',').next().is_some_and(|group| group.contains(name)))
}

/// The `oom_kill` line of `memory.events` (version 2) or `memory.oom_control` (version 1).
fn oom_kills(text: &str) -> u64 {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    count.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_group_of_who_was_killed() {
        let told = "6,1042,4929485196,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ab,mems_allowed=0,\
                    oom_memcg=/docker,task_memcg=/docker/ab12,task=sh,pid=3206,uid=0\n SUBSYSTEM=x\n";
        let table = [(told, "ab12", true), (told, "sh", false), (&told[30..], "ab12", false), ("", "ab12", false)];
        for (message, name, expected) in table {
            assert_eq!(tells_of(message, name), expected, "{name} in {message:?}");
        }
    }

    #[test]
    fn kills_are_counted_in_both_versions() {
        let table = [
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 2),
            ("low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n", 1),
            ("low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\n", 0),
            ("", 0),
        ];
        for (text, expected) in table {
            assert_eq!(oom_kills(text), expected, "{text:?}");
        }
    }
}
