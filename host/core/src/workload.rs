//! What containers, processes and components have in common: limits, mounts, state, use, output.

use std::{collections::BTreeMap, pin::Pin, time::SystemTime};

use bytes::Bytes;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::error::HostError;

/// How a task ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Exit code; 0 is success.
    pub exit_code: i32,
    /// Signal that ended it, 0 for none.
    pub signal: u32,
    /// Ended for using too much memory.
    pub oom_killed: bool,
    /// One line for the task's events.
    pub message: Option<String>,
}

impl ExitStatus {
    /// Whether it ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.exit_code == 0 && self.signal == 0 && !self.oom_killed
    }
}

/// Whether a workload runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// Never started.
    Created,
    /// Runs now.
    Running,
    /// Ended.
    Exited(ExitStatus),
    /// The engine's own word.
    Other(String),
}

/// Limits; 0 (or empty) means none of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Relative weight in MHz.
    pub cpu_mhz: u32,
    /// Hard limit in thousandths of a core.
    pub cpu_hard_millicores: u32,
    /// CPUs it may run on.
    pub cpu_cores: Vec<u32>,
    /// Memory in MiB, without swap.
    pub memory_mib: u32,
    /// Memory promised under pressure, MiB.
    pub memory_reservation_mib: u32,
    /// Processes and threads.
    pub pids: u32,
}

/// A directory or file made visible inside a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute host path, or a volume's name.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    /// What `source` is.
    pub kind: MountKind,
    /// Read-only inside.
    pub read_only: bool,
    /// `rprivate`, `rslave`, `rshared`.
    pub propagation: Option<String>,
}

/// What a mount's source is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A host path.
    Bind,
    /// An engine's volume.
    Volume,
    /// Memory.
    Tmpfs,
    /// Any other kind the engine knows. `bind:z` and `bind:Z` are binds whose source the engine relabels for
    /// SELinux, for all containers or for this one alone; `bind:optional` is one that a process does without where the
    /// host has no such path; `bind:made` is one whose source is made as a directory where the allocation lacks it.
    Other(String),
}

impl MountKind {
    /// Whether `source` is a host path.
    pub fn is_bind(&self) -> bool {
        *self == Self::Bind || self.is_optional() || self.is_made()
    }

    /// Whether its source is made as a directory where the allocation lacks it; relabelled ones are, too.
    pub fn is_made(&self) -> bool {
        *self == Self::Other("bind:made".into()) || self.relabel().is_some()
    }

    /// Whether it is left out where its source is missing.
    pub fn is_optional(&self) -> bool {
        *self == Self::Other("bind:optional".into())
    }

    /// How a bind is relabelled for SELinux: `z`, `Z`.
    pub fn relabel(&self) -> Option<&str> {
        match self {
            Self::Other(kind) => kind.strip_prefix("bind:").filter(|label| ["z", "Z"].contains(label)),
            _ => None,
        }
    }
}

/// What a workload uses, sampled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time since the start, milliseconds.
    pub cpu_ms: f64,
    /// Percent of one core over the last interval.
    pub cpu_percent: f64,
    /// Memory now, bytes.
    pub memory_bytes: f64,
    /// Page cache in it, bytes.
    pub memory_cache_bytes: f64,
    /// Highest so far, bytes.
    pub memory_max_bytes: f64,
    /// Processes and threads.
    pub pids: u32,
    /// Anything else, by name.
    pub extra: BTreeMap<String, String>,
}

/// How a task's output is kept: `<task>.stdout.N`, `<task>.stderr.N` in the log directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Files kept for each stream, at least 1.
    pub max_files: u32,
    /// Bytes of one file before the next is begun.
    pub max_file_bytes: u64,
    /// Keep nothing at all.
    pub disabled: bool,
}

impl Default for LogLimits {
    /// Nomad's: 10 files of 10 MiB.
    fn default() -> Self {
        Self { max_files: 10, max_file_bytes: 10 << 20, disabled: false }
    }
}

/// Which stream a piece of output belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A piece of a workload's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputChunk {
    /// Which stream.
    pub stream: OutputStream,
    /// The bytes.
    pub data: Bytes,
    /// The place behind it, if the engine tells one: where to go on from.
    pub mark: Option<OutputMark>,
}

/// A place in one stream of a container's output: behind the `nth` piece that the engine received at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutputMark {
    /// When the engine received the piece.
    pub at: SystemTime,
    /// How many pieces of the stream it received at that time so far, at least 1.
    pub nth: u32,
}

/// How far both streams of a container were read; none for one that was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPosition {
    /// In standard output.
    pub stdout: Option<OutputMark>,
    /// In standard error.
    pub stderr: Option<OutputMark>,
}

impl OutputPosition {
    /// Moves behind a piece; one without a mark moves nothing.
    pub fn advance(&mut self, stream: OutputStream, mark: Option<OutputMark>) {
        let reached = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        *reached = mark.or(*reached);
    }
}

/// Output as it comes; ends when the workload has ended and all was read.
pub type OutputChunks = Pin<Box<dyn Stream<Item = Result<OutputChunk, HostError>> + Send>>;
