//! Rotated log files: `<stem>.0`, `<stem>.1`, … of at most so many bytes, the oldest removed.
//!
//! Nothing here fails: when the disk is full or the directory is gone, output is dropped until it works
//! again, because a log must never stop the task it is of.

use std::{
    ffi::{CString, OsStr},
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
};

use crate::sys;

/// Bytes copied at once: a pipe's size.
pub const BUFFER: usize = 64 << 10;

/// Where output goes and how much of it is kept.
pub struct Sink {
    dir: File,
    stem: Vec<u8>,
    max_files: u32,
    max_bytes: u64,
    current: Option<(u32, File, u64)>,
}

/// One output of the task on its way to a sink; no sink when logs are off.
pub struct Stream {
    source: Option<File>,
    sink: Option<Sink>,
}

impl Sink {
    /// Goes on with the newest file that is there. `dir` stays open: a link put in its place changes nothing.
    pub fn new(dir: File, stem: Vec<u8>, max_files: u32, max_bytes: u64) -> Self {
        let mut sink = Self { dir, stem, max_files: max_files.max(1), max_bytes: max_bytes.max(1), current: None };
        sink.open(sink.indices().into_iter().max().unwrap_or(0));
        sink
    }

    fn write(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let Some((_, file, left)) = self.writable() else { return };
            let piece = &data[..data.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
            match file.write(piece) {
                Ok(count) if count > 0 => {
                    *left -= count as u64;
                    data = &data[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    /// The current file with room left, rotated to if needed.
    fn writable(&mut self) -> Option<&mut (u32, File, u64)> {
        if self.current.as_ref().is_none_or(|(_, _, left)| *left == 0) {
            // Look again: another process of the same task may have rotated meanwhile.
            let newest = self.indices().into_iter().max();
            let current = self.current.take().map(|(index, ..)| index);
            let next = match (newest, current) {
                (Some(newest), Some(current)) if newest <= current => current.saturating_add(1),
                (newest, current) => newest.or(current).unwrap_or(0),
            };
            self.open(next);
        }
        self.current.as_mut()
    }

    /// Opens file `index`, or the next ones if that is full or unusable, and removes the oldest.
    fn open(&mut self, index: u32) {
        for index in index..index.saturating_add(3) {
            let Ok(file) = sys::open_log(&self.dir, &self.name(index)) else { continue };
            let size = file.metadata().map_or(0, |data| data.len());
            if size < self.max_bytes {
                self.current = Some((index, file, self.max_bytes - size));
                break;
            }
        }
        if let Some((index, ..)) = self.current {
            for old in self.indices().into_iter().filter(|old| old.saturating_add(self.max_files) <= index) {
                sys::unlink(&self.dir, &self.name(old));
            }
        }
    }

    fn name(&self, index: u32) -> CString {
        let name = [&self.stem[..], b".", index.to_string().as_bytes()].concat();
        CString::new(name).unwrap_or_default()
    }

    /// Numbers of the files that are there.
    fn indices(&self) -> Vec<u32> {
        let path = format!("/proc/self/fd/{}", self.dir.as_raw_fd());
        let names = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| self.index_of(&name)).collect()
    }

    fn index_of(&self, name: &OsStr) -> Option<u32> {
        let rest = name.as_bytes().strip_prefix(&self.stem[..])?.strip_prefix(b".")?;
        std::str::from_utf8(rest).ok()?.parse().ok()
    }
}

impl Stream {
    /// Copies from `source` (which must not block) to `sink`.
    pub fn new(source: Option<File>, sink: Option<Sink>) -> Self {
        Self { source, sink }
    }

    /// The descriptor to poll; -1 at the end.
    pub fn fd(&self) -> i32 {
        self.source.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Copies what is there, at most one buffer full; whether there may be more at once.
    pub fn pump(&mut self, buffer: &mut [u8]) -> bool {
        let Some(source) = &mut self.source else { return false };
        match source.read(buffer) {
            Ok(0) => self.source = None,
            Ok(count) => {
                if let Some(sink) = &mut self.sink {
                    sink.write(&buffer[..count]);
                }
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.source = None,
        }
        false
    }
}
