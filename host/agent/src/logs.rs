//! Reading back a task's output, over all its rotated files.

use std::{
    io::{self, Read, Seek, SeekFrom},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cap_std::fs::{Dir, File};
use futures_util::{Stream, stream::try_unfold};
use longshore_core::{caller::AllocId, workload::OutputStream};

use crate::{
    TaskPhase,
    alloc::{dir, runner::unknown_task},
    error::ControlError,
    shared::Shared,
    task::output::{file_name, numbers},
};

/// Most bytes of one piece.
const PIECE: usize = 64 << 10;
/// How often a follower looks for more.
const LOOK: Duration = Duration::from_millis(100);

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

impl Shared {
    /// A task's output.
    pub(crate) fn logs(
        self: &Arc<Self>,
        alloc: &str,
        task: &str,
        stream: OutputStream,
        start: LogStart,
        follow: bool,
    ) -> Result<LogStream, ControlError> {
        let view = self.alloc(alloc)?;
        let state = view.tasks.get(task).ok_or_else(|| unknown_task(&view, task))?;
        let spec = view.job.task_groups.iter().flat_map(|group| &group.tasks).find(|spec| spec.name == task);
        if spec.is_some_and(|spec| spec.logs.disabled) {
            return Err(ControlError::LogsDisabled(task.to_owned()));
        }
        let file_error = |reason| ControlError::File { path: format!("alloc/logs of {alloc}"), reason };
        let logs = match dir::open(&self.config, alloc, "alloc/logs") {
            Ok(logs) => logs,
            Err(error) if error.kind() == io::ErrorKind::NotFound && state.started_at.is_none() => {
                return Err(ControlError::NotStarted(task.to_owned()));
            }
            Err(error) => return Err(file_error(error)),
        };
        let files = Files { dir: logs, task: task.to_owned(), stream };
        let (number, offset) = files.locate(start).map_err(file_error)?;
        let reader = Reader { shared: self.clone(), alloc: view.id.clone(), files, number, offset, file: None, follow };
        Ok(Box::pin(try_unfold(reader, Reader::next)))
    }
}

/// A stream's files.
struct Files {
    dir: Dir,
    task: String,
    stream: OutputStream,
}

impl Files {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        numbers(&self.dir, &self.task, self.stream)
    }

    fn name(&self, number: u64) -> String {
        file_name(&self.task, self.stream, number)
    }

    fn length(&self, number: u64) -> u64 {
        self.dir.metadata(self.name(number)).map_or(0, |found| found.len())
    }

    /// File and offset of a start.
    fn locate(&self, start: LogStart) -> io::Result<(u64, u64)> {
        let lengths: Vec<(u64, u64)> =
            self.numbers()?.into_iter().map(|number| (number, self.length(number))).collect();
        let total: u64 = lengths.iter().map(|(_, length)| length).sum();
        let mut skip = match start {
            LogStart::Start(offset) => offset.min(total),
            LogStart::End(offset) => total.saturating_sub(offset),
        };
        for (number, length) in &lengths {
            if skip <= *length {
                return Ok((*number, skip));
            }
            skip -= length;
        }
        Ok((0, 0))
    }
}

struct Reader {
    shared: Arc<Shared>,
    alloc: AllocId,
    files: Files,
    number: u64,
    offset: u64,
    file: Option<File>,
    follow: bool,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(LogPiece, Self)>, ControlError> {
        loop {
            // Asked before reading: what was written before the task's end is then surely read.
            let over = !self.follow || self.dead();
            let step = self.step();
            let step = step.map_err(|reason| ControlError::File { path: self.files.name(self.number), reason })?;
            match step {
                Step::Piece(piece) => return Ok(Some((piece, self))),
                Step::NextFile => {}
                Step::End if over => return Ok(None),
                Step::End => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn dead(&self) -> bool {
        let view = self.shared.board.alloc(&self.alloc);
        let state = view.as_ref().and_then(|view| view.tasks.get(&self.files.task));
        state.is_none_or(|state| state.phase == TaskPhase::Dead)
    }

    fn step(&mut self) -> io::Result<Step> {
        // Listed before reading: a newer file means that this one is complete.
        let newer = self.files.numbers()?.into_iter().find(|number| *number > self.number);
        if let Some(piece) = self.read()? {
            return Ok(Step::Piece(piece));
        }
        let Some(newer) = newer else { return Ok(Step::End) };
        (self.number, self.offset, self.file) = (newer, 0, None);
        Ok(Step::NextFile)
    }

    fn read(&mut self) -> io::Result<Option<LogPiece>> {
        let name = self.files.name(self.number);
        if self.file.is_none() {
            self.file = match self.files.dir.open(&name) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        let length = file.metadata()?.len();
        // Cut off after a crash of the agent: what was beyond comes again.
        self.offset = self.offset.min(length);
        let room = usize::try_from(length - self.offset).unwrap_or(PIECE).min(PIECE);
        let mut data = vec![0; room];
        file.seek(SeekFrom::Start(self.offset))?;
        let got = file.read(&mut data)?;
        data.truncate(got);
        self.offset += got as u64;
        let piece = LogPiece { file: format!("alloc/logs/{name}"), offset: self.offset, data: data.into() };
        Ok((got > 0).then_some(piece))
    }
}

enum Step {
    Piece(LogPiece),
    NextFile,
    End,
}
