//! Following a container's output, each piece once, across restarts of the engine and of the agent.
//!
//! The engine stamps each line with the time it received it and gives lines from a second on; what was seen
//! before is passed over by its exact stamp. Both output streams are stamped by themselves, so positions are
//! kept for each. A line longer than the engine's buffer comes in pieces with one stamp; they are put
//! together again, so that a stamp handed out marks a place between lines.

mod entry;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    container::LogOutput,
    errors::Error,
    query_parameters::{InspectContainerOptions, LogsOptions},
};
use bytes::BytesMut;
use futures_util::{Stream, StreamExt, stream};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    workload::{OutputChunk, OutputChunks, OutputStream, RunState},
};

use self::entry::{Entry, entries};
use super::{
    Docker,
    connect::{Backoff, Engine},
    inspect::run_state,
};

/// The engine's buffer for a line, bytes: a longer one comes in pieces of this size.
const PIECE_BYTES: usize = 16 << 10;
/// Longest line that is put together again, bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

impl Docker {
    pub(super) async fn follow_logs(
        &self,
        caller: &Caller,
        id: &str,
        since: Option<SystemTime>,
    ) -> Result<OutputChunks> {
        self.own_patiently(caller, id).await?;
        let follow = Follow {
            engine: Arc::clone(&self.engine),
            id: id.to_owned(),
            positions: [Position::after(since), Position::after(since)],
            source: None,
            line: None,
            ready: VecDeque::new(),
            pause: Backoff::default(),
            ended: false,
        };
        Ok(Box::pin(stream::unfold(follow, |mut follow| async move {
            let next = follow.next().await?;
            Some((next, follow))
        })))
    }
}

type Source = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// A container's output being followed.
struct Follow {
    engine: Arc<Engine>,
    id: String,
    positions: [Position; 2],
    source: Option<Source>,
    /// A line that has not ended yet.
    line: Option<(OutputStream, SystemTime, BytesMut)>,
    ready: VecDeque<OutputChunk>,
    pause: Backoff,
    ended: bool,
}

impl Follow {
    async fn next(&mut self) -> Option<Result<OutputChunk>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if self.ended {
                return None;
            }
            let error = match self.read().await {
                Ok(()) => continue,
                Err(error) => error,
            };
            self.source = None;
            self.flush_line();
            match error {
                error if error.is_transient() => self.pause.wait().await,
                // Removed: there is nothing more to read.
                HostError::NotFound(_) => self.ended = true,
                error => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Takes one piece from the engine.
    async fn read(&mut self) -> Result<()> {
        let source = match &mut self.source {
            Some(source) => source,
            None => {
                let opened = self.open()?;
                self.source.insert(opened)
            }
        };
        match source.next().await {
            Some(Ok(piece)) => {
                self.pause = Backoff::default();
                entries(piece).into_iter().for_each(|entry| self.take(entry));
                Ok(())
            }
            Some(Err(error)) => Err(self.engine.explain(error)),
            None => self.at_end().await,
        }
    }

    fn open(&mut self) -> Result<Source> {
        let reached = self.positions.iter().map(|position| position.at).max().unwrap_or(UNIX_EPOCH);
        // The two streams are stamped one after the other and stored in any order: look back a little.
        let from = reached.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(Duration::from_secs(1));
        self.positions.iter_mut().for_each(Position::replay);
        let options = LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            since: i32::try_from(from.as_secs()).unwrap_or(i32::MAX),
            timestamps: true,
            ..LogsOptions::default()
        };
        Ok(Box::pin(self.engine.client()?.logs(&self.id, Some(options))))
    }

    /// The engine has no more. That is the end if the container has ended, and a restart of the engine if not.
    async fn at_end(&mut self) -> Result<()> {
        self.flush_line();
        let id = &self.id;
        let seen = self
            .engine
            .call(|client| async move { client.inspect_container(id, None::<InspectContainerOptions>).await });
        match run_state(&seen.await?.state.unwrap_or_default()) {
            RunState::Exited(_) => {
                self.ended = true;
                Ok(())
            }
            _ => Err(HostError::Unavailable("the engine closed the output of a running container".into())),
        }
    }

    fn take(&mut self, entry: Entry) {
        let Entry { stream, at, data } = entry;
        let Some(at) = at else {
            return self.ready.push_back(OutputChunk { stream, data, at: None });
        };
        if !self.positions[stream as usize].accept(at) {
            return;
        }
        if self.line.as_ref().is_some_and(|(s, t, _)| (*s, *t) != (stream, at)) {
            self.flush_line();
        }
        let complete = data.ends_with(b"\n");
        match &mut self.line {
            Some((_, _, line)) => line.extend_from_slice(&data),
            None if complete || data.len() < PIECE_BYTES => {
                return self.ready.push_back(OutputChunk { stream, data, at: Some(at) });
            }
            None => self.line = Some((stream, at, BytesMut::from(&data[..]))),
        }
        if complete || self.line.as_ref().is_some_and(|(_, _, line)| line.len() >= MAX_LINE_BYTES) {
            self.flush_line();
        }
    }

    /// Hands out what there is of a line. Only the end of a line is a place to resume from.
    fn flush_line(&mut self) {
        if let Some((stream, at, line)) = self.line.take() {
            let at = line.ends_with(b"\n").then_some(at);
            self.ready.push_back(OutputChunk { stream, data: line.freeze(), at });
        }
    }
}

/// How far a stream was read: the last stamp, and how many pieces with it.
struct Position {
    at: SystemTime,
    seen: u32,
    /// While the engine repeats what was seen: how many pieces with the last stamp have come by.
    repeated: Option<u32>,
}

impl Position {
    /// All up to a stamp was seen; nothing, without one.
    fn after(since: Option<SystemTime>) -> Self {
        Self { at: since.unwrap_or(UNIX_EPOCH), seen: since.map_or(0, |_| u32::MAX), repeated: Some(0) }
    }

    fn replay(&mut self) {
        self.repeated = Some(0);
    }

    /// Whether a piece is new.
    fn accept(&mut self, at: SystemTime) -> bool {
        if let Some(repeated) = self.repeated.as_mut() {
            *repeated += u32::from(at == self.at);
            if at < self.at || (at == self.at && *repeated <= self.seen) {
                return false;
            }
            self.repeated = None;
        }
        self.seen = if at == self.at { self.seen.saturating_add(1) } else { 1 };
        self.at = at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(ns)
    }

    fn accepted(position: &mut Position, stamps: &[u64]) -> Vec<u64> {
        stamps.iter().copied().filter(|ns| position.accept(at(*ns))).collect()
    }

    #[test]
    fn each_piece_is_taken_once() {
        let mut position = Position::after(None);
        assert_eq!(accepted(&mut position, &[1, 2, 2, 5]), [1, 2, 2, 5]);
        position.replay();
        assert_eq!(accepted(&mut position, &[2, 2, 5, 5, 6]), [5, 6], "a second piece with the last stamp is new");
        position.replay();
        assert_eq!(accepted(&mut position, &[5, 5, 6]), [] as [u64; 0]);
        assert_eq!(accepted(&mut position, &[7, 3, 4]), [7, 3, 4], "a clock set back loses nothing");
    }

    #[test]
    fn a_given_position_was_seen_whole() {
        let mut position = Position::after(Some(at(5)));
        assert_eq!(accepted(&mut position, &[4, 5, 5, 6]), [6]);
    }
}
