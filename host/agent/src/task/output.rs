//! Rotated log files: `<task>.stdout.N`, `<task>.stderr.N`, N grows, the oldest go.

use std::io::{self, Write as _};

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use longshore_core::workload::{LogLimits, OutputPosition, OutputStream};

use crate::store::LogPosition;

/// Mode of log files: tasks of the group may read them.
const MODE: u32 = 0o644;

/// Numbers of the files a stream has, the oldest first.
pub(crate) fn numbers(dir: &Dir, task: &str, stream: OutputStream) -> io::Result<Vec<u64>> {
    let prefix = format!("{task}.{}.", stream.name());
    let names = dir.entries()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<u64> = names.filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}

/// Name of one file.
pub(crate) fn file_name(task: &str, stream: OutputStream, number: u64) -> String {
    format!("{task}.{}.{number}", stream.name())
}

/// The position at the end of what there is: where the output of a new container begins.
pub(crate) fn end(dir: &Dir, task: &str) -> io::Result<LogPosition> {
    let newest = |stream| -> io::Result<(u64, u64)> {
        let number = numbers(dir, task, stream)?.last().copied().unwrap_or(0);
        let length = dir.symlink_metadata(file_name(task, stream, number)).map_or(0, |found| found.len());
        Ok((number, length))
    };
    Ok(LogPosition {
        reached: OutputPosition::default(),
        stdout: newest(OutputStream::Stdout)?,
        stderr: newest(OutputStream::Stderr)?,
    })
}

/// Writes both streams of one task.
pub(crate) struct Rotator {
    dir: Dir,
    task: String,
    limits: LogLimits,
    stdout: Current,
    stderr: Current,
}

/// The newest file of a stream.
struct Current {
    stream: OutputStream,
    number: u64,
    length: u64,
    file: Option<File>,
}

impl Rotator {
    /// Goes on exactly at `position`: what the files hold beyond it is cut off, because it will come again.
    pub(crate) fn resume(dir: Dir, task: &str, limits: &LogLimits, position: &LogPosition) -> io::Result<Self> {
        let mut rotator = Self {
            dir,
            task: task.to_owned(),
            limits: limits.clone(),
            stdout: Current::at(OutputStream::Stdout, position.stdout),
            stderr: Current::at(OutputStream::Stderr, position.stderr),
        };
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            rotator.cut(stream)?;
        }
        Ok(rotator)
    }

    /// Number and length of the newest file of each stream.
    pub(crate) fn lengths(&self) -> ((u64, u64), (u64, u64)) {
        ((self.stdout.number, self.stdout.length), (self.stderr.number, self.stderr.length))
    }

    /// Appends; what does not fit into a file begins the next.
    pub(crate) fn write(&mut self, stream: OutputStream, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let room = self.limits.max_file_bytes.saturating_sub(self.current(stream).length);
            if room == 0 {
                self.rotate(stream)?;
                continue;
            }
            let (now, later) = data.split_at(data.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            self.open(stream)?;
            let current = self.current(stream);
            if let Some(file) = &mut current.file {
                file.write_all(now)?;
            }
            current.length += now.len() as u64;
            data = later;
        }
        Ok(())
    }

    fn current(&mut self, stream: OutputStream) -> &mut Current {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    fn open(&mut self, stream: OutputStream) -> io::Result<()> {
        if self.current(stream).file.is_none() {
            let number = self.current(stream).number;
            let name = file_name(&self.task, stream, number);
            let file = self.dir.open_with(name, OpenOptions::new().append(true).create(true).mode(MODE))?;
            self.current(stream).file = Some(file);
        }
        Ok(())
    }

    fn rotate(&mut self, stream: OutputStream) -> io::Result<()> {
        let next = self.current(stream).number + 1;
        let fresh = Current::at(stream, (next, 0));
        *self.current(stream) = fresh;
        for number in numbers(&self.dir, &self.task, stream)? {
            if number + u64::from(self.limits.max_files) <= next {
                self.dir.remove_file(file_name(&self.task, stream, number))?;
            }
        }
        self.open(stream)
    }

    fn cut(&mut self, stream: OutputStream) -> io::Result<()> {
        let (number, length) = (self.current(stream).number, self.current(stream).length);
        for newer in numbers(&self.dir, &self.task, stream)?.into_iter().filter(|other| *other > number) {
            self.dir.remove_file(file_name(&self.task, stream, newer))?;
        }
        self.open(stream)?;
        let current = self.current(stream);
        if let Some(file) = &current.file {
            let found = file.metadata()?.len();
            if found > length {
                file.set_len(length)?;
            }
            current.length = found.min(length);
        }
        Ok(())
    }
}

impl Current {
    fn at(stream: OutputStream, (number, length): (u64, u64)) -> Self {
        Self { stream, number, length, file: None }
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}@{}", self.stream.name(), self.number, self.length)
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn rotator(root: &tempfile::TempDir, max_files: u32, position: &LogPosition) -> Rotator {
        let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
        let limits = LogLimits { max_files, max_file_bytes: 4, disabled: false };
        Rotator::resume(dir, "web", &limits, position).unwrap()
    }

    fn files(root: &tempfile::TempDir, stream: &str) -> Vec<(String, String)> {
        let mut found: Vec<_> = std::fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .filter(|(name, _)| name.contains(stream))
            .collect();
        found.sort();
        found
    }

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn numbers_grow_and_the_oldest_go() {
        let root = tempfile::tempdir().unwrap();
        let mut rotator = rotator(&root, 2, &LogPosition::default());
        rotator.write(OutputStream::Stdout, b"aaaabbbbcc").unwrap();
        rotator.write(OutputStream::Stderr, b"e").unwrap();
        assert_eq!(files(&root, "stdout"), named(&[("web.stdout.1", "bbbb"), ("web.stdout.2", "cc")]));
        assert_eq!(files(&root, "stderr"), named(&[("web.stderr.0", "e")]));
        assert_eq!(rotator.lengths(), ((2, 2), (0, 1)));
        let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).unwrap();
        assert_eq!(
            end(&dir, "web").unwrap(),
            LogPosition { reached: OutputPosition::default(), stdout: (2, 2), stderr: (0, 1) }
        );
        assert_eq!(end(&dir, "other").unwrap(), LogPosition::default());
    }

    #[test]
    fn resuming_cuts_what_is_not_accounted_for() {
        let root = tempfile::tempdir().unwrap();
        let mut first = rotator(&root, 10, &LogPosition::default());
        first.write(OutputStream::Stdout, b"aa").unwrap();
        let (stdout, stderr) = first.lengths();
        let position = LogPosition { reached: OutputPosition::default(), stdout, stderr };
        first.write(OutputStream::Stdout, b"bbcccc").unwrap();
        drop(first);
        let mut second = rotator(&root, 10, &position);
        assert_eq!(files(&root, "stdout"), named(&[("web.stdout.0", "aa")]));
        second.write(OutputStream::Stdout, b"bbcccc").unwrap();
        assert_eq!(files(&root, "stdout"), named(&[("web.stdout.0", "aabb"), ("web.stdout.1", "cccc")]));
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let logs = root.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        std::fs::write(root.path().join("victim"), "kept").unwrap();
        std::os::unix::fs::symlink(root.path().join("victim"), logs.join("web.stdout.0")).unwrap();
        let dir = Dir::open_ambient_dir(&logs, ambient_authority()).unwrap();
        assert!(Rotator::resume(dir, "web", &LogLimits::default(), &LogPosition::default()).is_err());
        assert_eq!(std::fs::read_to_string(root.path().join("victim")).unwrap(), "kept");
    }
}
