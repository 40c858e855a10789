//! Brings a container's output into the task's log files, exactly once over restarts of the agent.

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt;
use longshore_core::{
    driver::Task,
    error::HostError,
    workload::{OutputChunk, OutputChunks},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Live, events,
    output::{Rotator, end},
};
use crate::{
    alloc::dir,
    shared::Shared,
    store::{LogPosition, Write},
};

/// How often the position is noted while there is output; it reaches the disk with the next durable write.
const POSITION_INTERVAL: Duration = Duration::from_secs(5);
/// How much output may at most have to be fetched again after a crash of the agent: engines forget old output.
const DURABLE_BYTES: usize = 1 << 20;
/// Wait before the engine is asked again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Begins the output of a new container after that of the last one. The position is queued for the journal,
/// so that it is durable with whatever is journalled next.
pub(crate) fn begin(shared: &Shared, task: &Task) {
    let found = dir::open(&shared.config, &task.id.alloc.0, "alloc/logs").and_then(|logs| end(&logs, &task.id.task));
    // Should the files not be readable, following them fails next, and says so.
    let Ok(position) = found else { return };
    shared.board.journal().write_lazily(vec![Write::log_position(&task.id, &position)]);
    shared.board.set_log_position(&task.id, position);
}

/// Follows a container until it has ended and all its output is in the files.
pub(crate) async fn follow(shared: &Shared, live: &Live, id: &str) {
    let task = &live.task;
    let position = shared.board.log_position(&task.id);
    let opened = dir::open(&shared.config, &task.id.alloc.0, "alloc/logs")
        .and_then(|logs| Rotator::resume(logs, &task.id.task, &task.logs, &position));
    let rotator = match opened {
        Ok(rotator) => rotator,
        Err(error) => return tracing::error!(task = %task.id, %error, "cannot open the log files of a task"),
    };
    let mut collector =
        Collector { shared, live, rotator, position, saved: Instant::now(), volatile: 0, broken: false };
    collector.run(id).await;
    collector.save();
}

struct Collector<'a> {
    shared: &'a Shared,
    live: &'a Live,
    rotator: Rotator,
    position: LogPosition,
    saved: Instant,
    /// Bytes written since the position was last made durable.
    volatile: usize,
    broken: bool,
}

impl Collector<'_> {
    async fn run(&mut self, id: &str) {
        let Some(containers) = &self.shared.backends.containers else { return };
        let caller = self.live.caller();
        let mut pause = RETRY.0;
        loop {
            let failure = match containers.follow_output(&caller, id, self.position.reached).await {
                Ok(chunks) => self.drain(chunks, &mut pause).await,
                Err(error) => Err(error),
            };
            match failure {
                Ok(()) | Err(HostError::NotFound(_)) => return,
                // Asking again would be answered the same, so it is said once.
                Err(HostError::Invalid(why)) => return self.tell(&why),
                Err(error) => {
                    tracing::warn!(task = %self.live.task.id, %error, "lost a task's output; trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }

    /// Says that there is no output to be had; not again to somebody who was told before.
    fn tell(&self, why: &str) {
        let (id, board) = (&self.live.task.id, &self.shared.board);
        let message = format!("The output of this task is not collected: {why}");
        let alloc = board.alloc(&id.alloc);
        let told = alloc.as_ref().and_then(|alloc| alloc.tasks.get(&id.task));
        if told.is_none_or(|state| state.events.iter().all(|event| event.message != message)) {
            board.add_event(id, events::driver(&message, &BTreeMap::new()));
        }
    }

    async fn drain(&mut self, mut chunks: OutputChunks, pause: &mut Duration) -> Result<(), HostError> {
        loop {
            let unsaved = self.position != self.accounted();
            let next = if unsaved {
                let left = POSITION_INTERVAL.saturating_sub(self.saved.elapsed());
                match timeout(left, chunks.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.save();
                        continue;
                    }
                }
            } else {
                chunks.next().await
            };
            match next {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(chunk)) => {
                    *pause = RETRY.0;
                    self.write(&chunk);
                    if self.volatile >= DURABLE_BYTES {
                        self.save();
                    }
                }
            }
        }
    }

    /// Output that cannot be written (the disk is full) is dropped, and said so once.
    fn write(&mut self, chunk: &OutputChunk) {
        match self.rotator.write(chunk.stream, &chunk.data) {
            Ok(()) => self.broken = false,
            Err(error) if !std::mem::replace(&mut self.broken, true) => {
                tracing::error!(task = %self.live.task.id, %error, "output of a task is being dropped");
            }
            Err(_) => {}
        }
        self.volatile += chunk.data.len();
        self.position.reached.advance(chunk.stream, chunk.mark);
    }

    /// The position as the files are now.
    fn accounted(&self) -> LogPosition {
        let (stdout, stderr) = self.rotator.lengths();
        LogPosition { reached: self.position.reached, stdout, stderr }
    }

    fn save(&mut self) {
        self.position = self.accounted();
        self.saved = Instant::now();
        self.shared.board.set_log_position(&self.live.task.id, self.position.clone());
        let write = Write::log_position(&self.live.task.id, &self.position);
        if self.volatile >= DURABLE_BYTES {
            self.volatile = 0;
            self.shared.board.journal().write(vec![write]).forget();
        } else {
            self.shared.board.journal().write_lazily(vec![write]);
        }
    }
}
