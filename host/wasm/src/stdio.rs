//! What a language runtime prints becomes log lines of its driver.

use std::{mem, sync::Arc};

use bytes::Bytes;
use longshore_core::record::Level;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{limits::LOG_LINE_BYTES, store::LogBudget};

/// Standard output or error of a guest. It takes everything at once: what is over the log's limits is dropped
/// there, so a guest can neither block on it nor fill memory with it.
pub(crate) struct LogStream {
    log: Arc<LogBudget>,
    level: Level,
}

impl LogStream {
    pub(crate) fn new(log: Arc<LogBudget>, level: Level) -> Self {
        Self { log, level }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and no contract version links that.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines { log: self.log.clone(), level: self.level, partial: Vec::new() })
    }
}

/// Cuts a stream into lines.
struct Lines {
    log: Arc<LogBudget>,
    level: Level,
    partial: Vec<u8>,
}

impl Lines {
    fn end_line(&mut self) {
        let line = mem::take(&mut self.partial);
        self.log.line(self.level, String::from_utf8_lossy(&line).trim_end_matches('\r'));
    }

    /// Keeps as much of a line as will be shown.
    fn extend(&mut self, piece: &[u8]) {
        let room = (LOG_LINE_BYTES + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

#[async_trait::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        if let Some(first) = pieces.next() {
            self.extend(first);
        }
        for piece in pieces {
            self.end_line();
            self.extend(piece);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.end_line();
        }
    }
}
