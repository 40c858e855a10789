//! The directory of one process: all that is known of it, on disk.
//!
//! | file | written by | holds |
//! |---|---|---|
//! | `spec` | agent, before the directory gets its name | what to run, for whom |
//! | `lock` | locked by the agent, passed to the shim | locked = the shim lives |
//! | `pid` | shim | numbers and start times of the shim and of the process |
//! | `exit` | shim, appearing whole | how the process ended |
//!
//! Nothing is synced to disk: what these files tell of ends with a power cut too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use longshore_core::{
    caller::{AllocId, Caller, TaskId},
    error::Result,
    process::Process,
    workload::{ExitStatus, RunState},
};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::{pid::ProcessRef, record::Record};
use crate::failure::because;

/// Prefix of directories that are being made.
pub(super) const NEW: &str = ".new-";
/// Prefix of directories that are being removed.
pub(super) const OLD: &str = ".old-";

/// A process's directory and its `spec`.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub dir: PathBuf,
    pub spec: Record,
}

/// Who runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pids {
    pub main: ProcessRef,
    pub shim: ProcessRef,
}

/// The directory's name for a process of this name: readable, unique, the same at each start.
pub(crate) fn slot(caller: &Caller, task: &TaskId, name: &str) -> String {
    let mut hash = Sha256::new();
    for part in [&caller.driver.0, &task.alloc.0, &task.task, name] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let readable = |text: &str, most| {
        let harmless = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        text.chars().take(most).map(harmless).collect::<String>()
    };
    format!("{}-{}-{hash}", readable(&task.alloc.0, 8), readable(&task.task, 32))
}

/// An id never used again: the slot's name and a random number.
pub(super) fn new_id(slot: &str) -> Result<String> {
    let mut random = [0; 6];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(because("random numbers"))?;
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{slot}.{random}"))
}

/// The slot's name in an id; none if it is no id of ours (ids come from drivers, and become paths).
pub(crate) fn slot_of(id: &str) -> Option<&str> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let (slot, run) = id.split_once('.')?;
    (!slot.is_empty() && slot.chars().all(harmless) && run.chars().all(harmless)).then_some(slot)
}

/// Identifies this run of the kernel.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl Home {
    /// Reads the directory; none when there is none, or nothing that makes sense (after a power cut).
    pub fn open(dir: &Path) -> Option<Self> {
        let spec = Record::decode(&fs::read(dir.join("spec")).ok()?)?;
        spec.text("id")?;
        Some(Self { dir: dir.to_owned(), spec })
    }

    /// The process's id.
    pub fn id(&self) -> &str {
        self.text("id")
    }

    /// A record of `spec` as text.
    pub fn text(&self, key: &str) -> &str {
        self.spec.text(key).unwrap_or_default()
    }

    /// The task it was started for.
    pub fn task(&self) -> TaskId {
        TaskId { alloc: AllocId(self.text("alloc").into()), task: self.text("task").into() }
    }

    /// Whether it is the caller's business.
    pub fn is_of(&self, caller: &Caller) -> bool {
        self.text("driver") == caller.driver.0 && caller.task.as_ref().is_none_or(|scope| scope.id == self.task())
    }

    /// Whether the shim lives: it keeps the lock.
    pub fn shim_lives(&self) -> bool {
        let lock = fs::File::open(self.dir.join("lock"));
        lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// Who runs; none before the shim has told.
    pub fn pids(&self) -> Option<Pids> {
        let record = Record::decode(&fs::read(self.dir.join("pid")).ok()?)?;
        Some(Pids {
            main: ProcessRef { pid: record.number("main")?, start: record.number("main.start")? },
            shim: ProcessRef { pid: record.number("shim")?, start: record.number("shim.start")? },
        })
    }

    /// Whether it runs. While the shim lives it does, even when only the shim's cleaning up is left.
    pub fn state(&self) -> RunState {
        if self.shim_lives() {
            return RunState::Running;
        }
        match self.exit() {
            Some(status) => RunState::Exited(status),
            None if self.text("boot") != boot_id() => RunState::Exited(lost("the machine was restarted while it ran")),
            None if self.pids().is_none() => RunState::Created,
            None => RunState::Exited(lost("its supervisor was killed, and it was killed with it")),
        }
    }

    /// Whether the shim was killed and could not clean up.
    pub fn is_orphaned(&self) -> bool {
        !self.shim_lives() && self.exit().is_none() && self.text("boot") == boot_id()
    }

    /// As the contract shows it.
    pub fn describe(&self) -> Process {
        let state = self.state();
        let main = self.pids().filter(|_| state == RunState::Running).map_or(0, |pids| pids.main.pid);
        Process { id: self.id().into(), name: self.text("name").into(), task: self.task(), pid: main as u32, state }
    }

    /// Removes the directory, seen from outside at once.
    pub fn remove(&self) -> io::Result<()> {
        let old = self.dir.with_file_name(format!("{OLD}{}", self.id()));
        match fs::rename(&self.dir, &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => fs::remove_dir_all(old),
        }
    }

    fn exit(&self) -> Option<ExitStatus> {
        let record = Record::decode(&fs::read(self.dir.join("exit")).ok()?)?;
        let mut status =
            ExitStatus { exit_code: record.number("code")?, signal: record.number("signal")?, ..ExitStatus::default() };
        // A task that went on without the child the kernel took, and ended well, was not ended by it.
        status.oom_killed = record.text("oom") == Some("1") && !status.success();
        status.message = status.oom_killed.then(|| "OOM Killed".into());
        Some(status)
    }
}

fn lost(why: &str) -> ExitStatus {
    ExitStatus { exit_code: 137, signal: 9, oom_killed: false, message: Some(why.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_from_outside_are_never_paths() {
        assert_eq!(slot_of("abc-web-01.ff"), Some("abc-web-01"));
        for id in ["", ".", "..", "abc", "../x.1", "a/b.1", "a.1/../b", ".new-x.1", "a.b.c", "a.\0"] {
            assert_eq!(slot_of(id), None, "{id:?}");
        }
    }

    #[test]
    fn slots_differ_by_every_part() {
        let slot_for = |driver: &str, alloc: &str, task: &str, name: &str| {
            let caller = Caller::driver(&longshore_core::caller::DriverName(driver.into()));
            slot(&caller, &TaskId { alloc: AllocId(alloc.into()), task: task.into() }, name)
        };
        let base = slot_for("raw_exec", "0a1b2c3d-9", "web/../x", "main");
        assert!(base.starts_with("0a1b2c3d-web____x-"), "{base}");
        assert!(slot_of(&format!("{base}.0")).is_some());
        for other in [
            slot_for("exec", "0a1b2c3d-9", "web/../x", "main"),
            slot_for("raw_exec", "0a1b2c3d-8", "web/../x", "main"),
            slot_for("raw_exec", "0a1b2c3d-9", "web", "main"),
            slot_for("raw_exec", "0a1b2c3d-9", "web/../x", "other"),
        ] {
            assert_ne!(base, other);
        }
    }
}
