//! Following a container's output, each piece once, across restarts of the engine and of the agent.
//!
//! The engine stamps each line with the time it received it and gives lines from a second on; what was seen
//! before is passed over by its exact stamp. Both output streams are stamped by themselves, so positions are
//! kept for each. A line longer than the engine's buffer comes in pieces with one stamp, so a position also
//! counts the pieces of its stamp: every piece has a place of its own to go on from.
//!
//! Docker repeats lines in the middle of an answer, too: when it begins a new file because the last was full, it may read
//! that file from its start again, however much of it it has sent (20.10, busy machines, thousands of lines).

mod entry;

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::BytesMut;
use futures_util::stream;
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    workload::{OutputChunk, OutputChunks, OutputMark, OutputPosition, OutputStream, RunState},
};
use tokio::time::sleep;

use self::entry::{Decoder, Entry};
use super::{
    Docker,
    connect::{Backoff, Engine},
    inspect::{is_podman, run_state},
    stream::Body,
};

/// Lines that came together are handed on together up to this size, bytes.
const CHUNK_BYTES: usize = 64 << 10;

impl Docker {
    pub(super) async fn follow_logs(&self, caller: &Caller, id: &str, from: OutputPosition) -> Result<OutputChunks> {
        let owner = self.own_patiently(caller, id).await?;
        let follow = Follow {
            engine: Arc::clone(&self.engine),
            id: id.to_owned(),
            reached: [Reached::after(from.stdout), Reached::after(from.stderr)],
            terminal: owner.terminal,
            source: None,
            ready: VecDeque::new(),
            pause: Backoff::default(),
            gather: Gather::default(),
            own_stamps: None,
            last_look: false,
            ended: false,
        };
        Ok(Box::pin(stream::unfold(follow, |mut follow| async move {
            let next = follow.next().await?;
            Some((next, follow))
        })))
    }
}

/// The engine's answer being read.
struct Source {
    body: Body,
    decoder: Decoder,
}

/// Output that was read and not handed on.
struct Ready {
    stream: OutputStream,
    data: BytesMut,
    mark: Option<OutputMark>,
}

/// A container's output being followed.
struct Follow {
    engine: Arc<Engine>,
    id: String,
    reached: [Reached; 2],
    /// Whether the container has a terminal, once asked.
    terminal: Option<bool>,
    source: Option<Source>,
    ready: VecDeque<Ready>,
    pause: Backoff,
    gather: Gather,
    /// Whether each line has a stamp of its own, once asked: Podman gives one to all that a program wrote at once.
    own_stamps: Option<bool>,
    /// Whether the container has ended: what there is now is all.
    last_look: bool,
    ended: bool,
}

impl Follow {
    async fn next(&mut self) -> Option<Result<OutputChunk>> {
        loop {
            if let Some(Ready { stream, data, mark }) = self.ready.pop_front() {
                return Some(Ok(OutputChunk { stream, data: data.freeze(), mark }));
            }
            if self.ended {
                return None;
            }
            let error = match self.read().await {
                Ok(()) => continue,
                Err(error) => error,
            };
            self.source = None;
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

    /// Takes what the engine sends next.
    async fn read(&mut self) -> Result<()> {
        let source = match &mut self.source {
            Some(source) => source,
            None => {
                // Done once in a while, and not to be held in between: see `Engine::call`.
                let opened = Box::pin(self.open()).await?;
                self.source.insert(opened)
            }
        };
        if self.gather.waits && !self.last_look && source.body.ready(&self.engine).await? {
            sleep(Gather::left(Instant::now())).await;
        }
        let data = source.body.next(&self.engine).await?;
        match &data {
            Some(data) => source.decoder.push(data),
            None => source.decoder.end(),
        }
        let now = SystemTime::now();
        while let Some(entry) = source.decoder.next()? {
            if self.own_stamps.is_none() && self.reached[entry.stream as usize].is_doubtful(&entry) {
                self.own_stamps = Box::pin(has_own_stamps(&self.engine)).await;
            }
            let own_stamps = self.own_stamps == Some(true);
            take(&mut self.ready, &mut self.reached, entry, now, own_stamps);
        }
        let Some(data) = data else { return Box::pin(self.at_end()).await };
        self.pause = Backoff::default();
        self.gather.learn(data.len(), Instant::now());
        Ok(())
    }

    async fn open(&mut self) -> Result<Source> {
        let terminal = match self.terminal {
            Some(terminal) => terminal,
            None => {
                let asked = self.engine.inspect(&self.id).await?.config.and_then(|config| config.tty).unwrap_or(false);
                *self.terminal.insert(asked)
            }
        };
        let latest = self.reached.iter().map(|reached| reached.at).max().unwrap_or(UNIX_EPOCH);
        // The two streams are stamped one after the other and stored in any order: look back a little.
        let from = latest.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(Duration::from_secs(1));
        self.reached.iter_mut().for_each(Reached::replay);
        let follow = u8::from(!self.last_look);
        let query = format!("follow={follow}&stdout=1&stderr=1&timestamps=1&since={}", from.as_secs());
        let body = self.engine.read_stream(&format!("/containers/{}/logs?{query}", self.id)).await?;
        Ok(Source { body, decoder: Decoder::new(terminal) })
    }

    /// The engine has no more. If the container has ended, that is true once it was read to the end again: an
    /// engine may stop following before the last words are stored. If it runs, the engine was restarted.
    async fn at_end(&mut self) -> Result<()> {
        if self.last_look {
            self.ended = true;
            return Ok(());
        }
        match run_state(&self.engine.inspect(&self.id).await?.state.unwrap_or_default()) {
            RunState::Exited(_) => {
                self.last_look = true;
                self.source = None;
                Ok(())
            }
            _ => Err(HostError::Unavailable("the engine closed the output of a running container".into())),
        }
    }
}

/// None when the engine does not say.
async fn has_own_stamps(engine: &Engine) -> Option<bool> {
    let version = engine.call(|client| async move { client.version().await }).await.ok()?;
    Some(!is_podman(&version))
}

/// Whether what a container says gathers for a while before it is read. The engine sends line by line, and each read
/// costs the same: who says little is waited for a little, and who says much is not, as the kernel holds but some hundred
/// lines.
struct Gather {
    waits: bool,
    /// What came since when.
    bytes: usize,
    since: Instant,
}

impl Gather {
    /// All who wait are read at the same times, so far apart.
    const ROUND: Duration = Duration::from_millis(50);
    /// So much in one round is much, bytes.
    const MUCH: usize = 16 << 10;

    /// How long it is to the next round.
    fn left(now: Instant) -> Duration {
        static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
        let gone = now.saturating_duration_since(*FIRST).as_nanos() % Self::ROUND.as_nanos();
        Self::ROUND - Duration::from_nanos(u64::try_from(gone).unwrap_or_default())
    }

    /// So many bytes were read, and it is `now`.
    fn learn(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes;
        if now.duration_since(self.since) >= Self::ROUND {
            self.waits = self.bytes < Self::MUCH;
            (self.bytes, self.since) = (0, now);
        }
    }
}

impl Default for Gather {
    fn default() -> Self {
        Self { waits: true, bytes: 0, since: Instant::now() }
    }
}

/// Keeps an entry that is new, together with those before it that are of the same stream.
fn take(ready: &mut VecDeque<Ready>, reached: &mut [Reached; 2], entry: Entry, now: SystemTime, own_stamps: bool) {
    let reached = &mut reached[entry.stream as usize];
    if own_stamps && reached.is_doubtful(&entry) {
        return;
    }
    let Entry { stream, at, data } = entry;
    if at.is_some_and(|at| !reached.accept(at, now)) {
        return;
    }
    reached.is_line = data.ends_with(b"\n");
    let mark = at.map(|at| OutputMark { at, nth: reached.nth });
    match ready.back_mut() {
        Some(last) if last.stream == stream && last.data.len() + data.len() <= CHUNK_BYTES => {
            last.data.extend_from_slice(&data);
            last.mark = mark.or(last.mark);
        }
        _ => ready.push_back(Ready { stream, data: BytesMut::from(data), mark }),
    }
}

/// How far a stream was read: the last stamp, and how many pieces with it.
struct Reached {
    at: SystemTime,
    nth: u32,
    /// While the engine repeats what was seen: how many pieces with the last stamp have come by.
    repeated: Option<u32>,
    /// Whether the last piece ended a line.
    is_line: bool,
}

impl Reached {
    /// Nothing that the engine repeats by itself is older.
    const FAR: Duration = Duration::from_secs(300);

    fn after(mark: Option<OutputMark>) -> Self {
        let mark = mark.unwrap_or(OutputMark { at: UNIX_EPOCH, nth: 0 });
        Self { at: mark.at, nth: mark.nth, repeated: Some(0), is_line: false }
    }

    fn replay(&mut self) {
        self.repeated = Some(0);
    }

    /// Whether a piece has the stamp of the line before it: the same line, where each has a stamp of its own.
    fn is_doubtful(&self, entry: &Entry) -> bool {
        self.is_line && self.repeated.is_none() && entry.at == Some(self.at)
    }

    /// Whether an older stamp means that the engine repeats itself. It may also mean that its clock was set back; ours,
    /// which mostly is the same one, is then behind the last stamp.
    fn is_repeat(&self, at: SystemTime, now: SystemTime) -> bool {
        now >= self.at && self.at.duration_since(at).is_ok_and(|back| !back.is_zero() && back <= Self::FAR)
    }

    /// Whether a piece is new.
    fn accept(&mut self, at: SystemTime, now: SystemTime) -> bool {
        if self.repeated.is_none() && self.is_repeat(at, now) {
            self.replay();
        }
        if let Some(repeated) = self.repeated.as_mut() {
            *repeated += u32::from(at == self.at);
            if at < self.at || (at == self.at && *repeated <= self.nth) {
                return false;
            }
            self.repeated = None;
        }
        self.nth = if at == self.at { self.nth.saturating_add(1) } else { 1 };
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

    fn accepted(reached: &mut Reached, stamps: &[u64], now: u64) -> Vec<u64> {
        stamps.iter().copied().filter(|ns| reached.accept(at(*ns), at(now))).collect()
    }

    #[test]
    fn each_piece_is_taken_once() {
        let mut reached = Reached::after(None);
        assert_eq!(accepted(&mut reached, &[1, 2, 2, 5], 6), [1, 2, 2, 5]);
        reached.replay();
        assert_eq!(accepted(&mut reached, &[2, 2, 5, 5, 6], 6), [5, 6], "a second piece with the last stamp is new");
        reached.replay();
        assert_eq!(accepted(&mut reached, &[5, 5, 6], 6), [] as [u64; 0]);
        assert_eq!(accepted(&mut reached, &[7, 3, 4], 5), [7, 3, 4], "a clock set back loses nothing");
    }

    #[test]
    fn what_the_engine_repeats_when_it_begins_a_file_is_passed_over() {
        let mut reached = Reached::after(None);
        assert_eq!(accepted(&mut reached, &[1, 2, 3, 4, 2, 3, 4, 5, 5, 4, 5, 5, 6], 9), [1, 2, 3, 4, 5, 5, 6]);
        // So long ago that it is no file's start.
        let far = Reached::FAR.as_nanos() as u64;
        assert_eq!(accepted(&mut reached, &[far + 7, 6, 7], far + 9), [far + 7, 6, 7]);

        // A single line, which a program may also have written twice at once where stamps are shared.
        let line = |data: &'static str| Entry { stream: OutputStream::Stdout, at: Some(at(8)), data: data.into() };
        for (own_stamps, entries, expected) in
            [(true, ["a\n", "a\n"], "a\n"), (false, ["a\n", "a\n"], "a\na\n"), (true, ["long", "er\n"], "longer\n")]
        {
            let (mut ready, mut reached) = (VecDeque::new(), [Reached::after(None), Reached::after(None)]);
            entries.into_iter().for_each(|data| take(&mut ready, &mut reached, line(data), at(9), own_stamps));
            assert_eq!(ready[0].data, expected);
        }
    }

    #[test]
    fn a_mark_counts_the_pieces_of_its_stamp() {
        let mut reached = Reached::after(Some(OutputMark { at: at(5), nth: 2 }));
        assert_eq!(accepted(&mut reached, &[4, 5, 5, 5, 6], 6), [5, 6]);
        assert_eq!((reached.at, reached.nth), (at(6), 1));
    }

    #[test]
    fn who_says_much_is_not_waited_for() {
        let mut gather = Gather::default();
        let mut now = gather.since;
        // (bytes of a read, milliseconds since the last, whether is waited before the next)
        for (bytes, passed, waits) in
            [(99, 50, true), (30_000, 50, false), (99, 1, false), (20_000, 49, false), (99, 500, true)]
        {
            now += Duration::from_millis(passed);
            gather.learn(bytes, now);
            assert_eq!(gather.waits, waits, "{bytes} after {passed} ms");
        }
    }

    #[test]
    fn rounds_are_the_same_for_all() {
        // The first who asks begins the first round.
        Gather::left(Instant::now());
        let now = Instant::now();
        let next = now + Gather::left(now);
        for later in [1, 2, 30_000].map(Duration::from_micros) {
            let after = now + later;
            let rounds = (after + Gather::left(after)).duration_since(next).as_micros() / Gather::ROUND.as_micros();
            assert_eq!(after + Gather::left(after), next + Gather::ROUND * u32::try_from(rounds).unwrap(), "{later:?}");
        }
    }

    #[test]
    fn lines_that_come_together_go_on_together() {
        let (mut ready, mut reached) = (VecDeque::new(), [Reached::after(None), Reached::after(None)]);
        for (stream, ns, data) in [
            (OutputStream::Stdout, 1, "a"),
            (OutputStream::Stdout, 2, "b"),
            (OutputStream::Stderr, 3, "c"),
            (OutputStream::Stdout, 2, "d"),
        ] {
            take(&mut ready, &mut reached, Entry { stream, at: Some(at(ns)), data: data.into() }, at(4), false);
        }
        let found: Vec<_> = ready.iter().map(|ready| (&ready.data[..], ready.mark.unwrap())).collect();
        let mark = |ns, nth| OutputMark { at: at(ns), nth };
        assert_eq!(found, [(&b"ab"[..], mark(2, 1)), (&b"c"[..], mark(3, 1)), (&b"d"[..], mark(2, 2))]);
    }
}
