//! The life of a shim: start, watch, clean up, tell.

use std::{
    ffi::CString,
    fs::{self, File, Permissions},
    io::{self, Read, Seek, Write},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{OpenOptionsExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    image::{Failure, Image},
    logs::{BUFFER, Sink, Stream},
    record::Record,
    sys,
};

/// How long descendants may take to die and their output to end, before the shim tells and leaves.
const CLEANUP: Duration = Duration::from_secs(5);

/// `supervise DIR`: 0 when the task's process ran, whatever became of it.
pub fn run(dir: &Path) -> i32 {
    let Ok((lock, mut report)) = take_over() else { return 1 };
    let outcome = Shim::start(dir);
    let told = match &outcome {
        Ok(_) => Record::default(),
        Err(failure) => failure.record(),
    };
    // Nobody may be listening any more; the task runs all the same.
    let _ = report.write_all(&told.encode());
    drop(report);
    let Ok(shim) = outcome else { return 1 };
    shim.watch();
    drop(lock);
    0
}

/// The lock file and the report pipe the agent left as standard input and output; all three standard streams
/// are the null device afterwards.
fn take_over() -> io::Result<(File, File)> {
    let inherited = (sys::take_inherited(0)?, sys::take_inherited(1)?);
    let null = sys::dev_null()?;
    for target in 0..3 {
        sys::duplicate_to(&null, target)?;
    }
    Ok(inherited)
}

/// A shim whose task runs.
struct Shim {
    dir: PathBuf,
    spec: Record,
    signals: File,
    /// Made before the start, so that a full disk cannot lose how the task ended.
    exit: File,
    main: i32,
    streams: [Stream; 2],
}

impl Shim {
    fn start(dir: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(dir.join("spec")).map_err(Failure::at("spec"))?;
        let torn = || Failure::at("spec")(io::ErrorKind::InvalidData.into());
        let spec = Record::decode(&bytes).ok_or_else(torn)?;
        let mut image = Image::from_record(&spec).ok_or_else(torn)?;
        sys::new_session();
        sys::umask(0o022);
        let signals = sys::become_supervisor().map_err(Failure::at("supervisor"))?;
        std::env::set_current_dir("/").map_err(Failure::at("supervisor"))?;
        let exit = reserve_exit(dir).map_err(Failure::at("state"))?;
        let (streams, ends) = outputs(&spec)?;
        let (mut error_pipe, error_end) = sys::pipe().map_err(Failure::at("supervisor"))?;

        image.before_fork()?;
        let main = match fork(&spec, &mut image)? {
            Some(pid) => pid,
            None => child(&image, &ends, error_end),
        };
        drop((ends, error_end));
        let shim = Self { dir: dir.into(), spec, signals, exit, main, streams };
        let written = shim.write_pids();
        let mut answer = Vec::new();
        let _ = error_pipe.read_to_end(&mut answer);
        let failed = Record::decode(&answer).map(|record| {
            let error = io::Error::from_raw_os_error(record.number("errno").unwrap_or(0));
            let step = step_name(record.text("step").unwrap_or_default());
            Failure::of_place(step, record.get("place").unwrap_or_default(), error)
        });
        match (failed, written) {
            (None, Ok(())) => Ok(shim),
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => {
                sys::kill(shim.main);
                Err(Failure::at("state")(error))
            }
        }
    }

    /// `pid`: who runs. Start times make a reused number recognisable.
    fn write_pids(&self) -> io::Result<()> {
        let own = std::process::id() as i32;
        let mut record = Record::default();
        record.push("main", self.main.to_string());
        record.push("main.start", start_time(self.main).to_string());
        record.push("shim", own.to_string());
        record.push("shim.start", start_time(own).to_string());
        let new = self.dir.join("pid.new");
        fs::write(&new, record.encode())?;
        fs::rename(new, self.dir.join("pid"))
    }

    /// Copies output and reaps, until the task's process has ended and everything is told.
    fn watch(mut self) {
        let mut buffer = vec![0; BUFFER];
        let status = loop {
            let fds = [self.signals.as_raw_fd(), self.streams[0].fd(), self.streams[1].fd()];
            sys::poll(fds, -1);
            self.copy(&mut buffer);
            if let Some(status) = self.reap() {
                break status;
            }
        };
        self.clean_up(&mut buffer);
        self.tell(status);
    }

    fn copy(&mut self, buffer: &mut [u8]) -> bool {
        let [first, second] = &mut self.streams;
        first.pump(buffer) | second.pump(buffer)
    }

    /// Reaps all that has ended; the wait status of the task's process if it was among them.
    fn reap(&mut self) -> Option<i32> {
        // What signal it was does not matter: children are asked for below, all others are ignored.
        let mut ignored = [0; 1024];
        while self.signals.read(&mut ignored).is_ok_and(|count| count > 0) {}
        let mut ended = None;
        while let Ok(Some((pid, status))) = sys::reap() {
            if pid == self.main {
                ended = Some(status);
            }
        }
        ended
    }

    /// Kills what the task's process left behind, and copies output to its end.
    fn clean_up(&mut self, buffer: &mut [u8]) {
        let deadline = Instant::now() + CLEANUP;
        loop {
            let alone = self.kill_descendants();
            while self.copy(buffer) {}
            let silent = self.streams.iter().all(|stream| stream.fd() < 0);
            if (alone && silent) || Instant::now() > deadline {
                return;
            }
            sys::poll([self.signals.as_raw_fd(), self.streams[0].fd(), self.streams[1].fd()], 10);
        }
    }

    /// SIGKILL to every child (orphans become children of a subreaper) and every member of the cgroup; whether
    /// none was left.
    fn kill_descendants(&mut self) -> bool {
        if let Some(file) = self.path("cgroup.kill") {
            let _ = fs::write(file, "1");
        }
        let members = self.path("cgroup.members").map_or_else(Vec::new, numbers_in);
        members.iter().chain(&children()).for_each(|pid| sys::kill(*pid));
        self.reap();
        members.is_empty() && sys::reap().is_err()
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.spec.text(key).map(PathBuf::from)
    }

    /// `exit`: how it ended, appearing whole.
    fn tell(&mut self, status: i32) {
        let mut record = Record::default();
        record.push("code", sys::exit_code(status).to_string());
        record.push("signal", (status & 0x7f).to_string());
        record.push("oom", if self.out_of_memory() { "1" } else { "0" });
        let _ = self.exit.rewind();
        let _ = self.exit.write_all(&record.encode());
        let _ = fs::rename(self.dir.join("exit.new"), self.dir.join("exit"));
    }

    /// Whether the kernel killed somebody in the cgroup for memory: the `oom_kill` line of `memory.events` (v2)
    /// or `memory.oom_control` (v1).
    fn out_of_memory(&self) -> bool {
        let text = self.path("cgroup.oom").and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        count.unwrap_or(0) > 0
    }
}

/// The new process's way to its program; never returns. The shim alone reads what `error_end` is told, so that it is
/// a leash as well.
fn child(image: &Image, ends: &[File; 2], mut error_end: File) -> ! {
    sys::new_session();
    let wired = (|| {
        sys::duplicate_to(&sys::dev_null()?, 0)?;
        sys::duplicate_to(&ends[0], 1)?;
        sys::duplicate_to(&ends[1], 2)
    })();
    let failure = match wired.map_err(Failure::at("supervisor")).and_then(|()| image.enter()) {
        Ok(_) => image.replace_process(Some(&error_end)),
        Err(failure) => failure,
    };
    let _ = error_end.write_all(&failure.record().encode());
    sys::exit_now(127)
}

/// Forks, into the spec's v2 cgroup if it has one; on a kernel or sandbox that cannot do that at birth, the child
/// moves there itself.
fn fork(spec: &Record, image: &mut Image) -> Result<Option<i32>, Failure> {
    if let Some(dir) = spec.text("cgroup.v2").map(Path::new) {
        let cgroup = File::open(dir).map_err(Failure::at("cgroup"))?;
        if let Ok(forked) = sys::fork(Some(&cgroup)) {
            return Ok(forked);
        }
        image.join(CString::new(dir.join("cgroup.procs").as_os_str().as_bytes()).unwrap_or_default());
    }
    sys::fork(None).map_err(Failure::at("fork"))
}

/// The task's standard output and error: our reading ends with where they are logged, its writing ends.
fn outputs(spec: &Record) -> Result<([Stream; 2], [File; 2]), Failure> {
    let [out, err] = [output(spec, "stdout")?, output(spec, "stderr")?];
    Ok(([out.0, err.0], [out.1, err.1]))
}

fn output(spec: &Record, name: &str) -> Result<(Stream, File), Failure> {
    let Some(dir) = spec.text("log.dir") else {
        let null = sys::dev_null().map_err(Failure::at("supervisor"))?;
        return Ok((Stream::new(None, None), null.into()));
    };
    let open = fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(dir);
    let stem = [spec.get("log.stem").unwrap_or(b"task"), b".", name.as_bytes()].concat();
    let (files, bytes) = (spec.number("log.files").unwrap_or(1), spec.number("log.bytes").unwrap_or(u64::MAX));
    let sink = Sink::new(open.map_err(Failure::at("logs"))?, stem, files, bytes);
    let (read, write) = sys::pipe().map_err(Failure::at("supervisor"))?;
    sys::set_nonblocking(&read).map_err(Failure::at("supervisor"))?;
    Ok((Stream::new(Some(read), Some(sink)), write))
}

/// `exit.new`, with its block on disk already.
fn reserve_exit(dir: &Path) -> io::Result<File> {
    let path = dir.join("exit.new");
    let mut file = File::create(&path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&[b' '; 128])?;
    Ok(file)
}

/// A step's name with a static life.
fn step_name(name: &str) -> &'static str {
    const STEPS: [&str; 12] = [
        "cgroup",
        "network",
        "etc",
        "namespaces",
        "root",
        "system",
        "mount",
        "user",
        "capabilities",
        "directory",
        "program",
        "fork",
    ];
    STEPS.into_iter().find(|step| *step == name).unwrap_or("supervisor")
}

/// When a process started, in the kernel's ticks since boot; 0 if it is gone.
fn start_time(pid: i32) -> u64 {
    stat_field(pid, 19).unwrap_or(0)
}

/// A number of `/proc/<pid>/stat`, counted from the state (0), which follows the name in parentheses.
fn stat_field<N: std::str::FromStr>(pid: i32, index: usize) -> Option<N> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.iter().rposition(|byte| *byte == b')')? + 2;
    std::str::from_utf8(stat.get(after..)?).ok()?.split(' ').nth(index)?.parse().ok()
}

fn numbers_in(file: PathBuf) -> Vec<i32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// Our children, from the kernel's list or, where it keeps none, from everybody's parent.
fn children() -> Vec<i32> {
    let own = std::process::id() as i32;
    let list = PathBuf::from(format!("/proc/self/task/{own}/children"));
    if list.exists() {
        return numbers_in(list);
    }
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse().ok());
    pids.filter(|pid| stat_field(*pid, 1) == Some(own)).collect()
}
