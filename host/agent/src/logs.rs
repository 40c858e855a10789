//! Reading back a task's output.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::error::ControlError;

/// Where reading begins, in bytes over all files that are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// So many bytes after the start.
    Start(u64),
    /// So many bytes before the end.
    End(u64),
}

/// A piece of a task's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// Its file, relative to the allocation's directory: `alloc/logs/web.stdout.0`.
    pub file: String,
    /// Offset in that file just after the bytes.
    pub offset: u64,
    /// The bytes, at most 64 KiB.
    pub data: Bytes,
}

/// Output as it is read; ends at the end, or, when following, when the task is dead and all was read.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogPiece, ControlError>> + Send>>;
