//! Commands beside a running process.

use std::{
    collections::HashMap,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    exec::{ExecEvent, ExecInput, ExecOutput, ExecRequest, ExecStream, PREPARED_FOR},
    workload::{ExitStatus, OutputChunk, OutputStream},
};
use rustix::{
    process::Signal,
    pty::OpenptFlags,
    termios::{Winsize, tcsetwinsize},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest, unix::AsyncFd},
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    time::{Instant, timeout_at},
};

use super::{
    home::{self, Home},
    launch::ShimProgram,
    pid::{ProcessRef, Stat},
    record::Record,
    spec,
};
use crate::{failure::because, lock::lock, watch::watched};

/// Most commands prepared beside one process that nobody attached to yet.
const MAX_PREPARED: usize = 32;
/// How long output is still read after the command's end, should a child of it keep the output open.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Bytes of output in one event.
const PIECE: usize = 32 << 10;

/// Prepared commands, and running ones by the process they are beside.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    prepared: Mutex<HashMap<String, Prepared>>,
    running: Mutex<HashMap<String, Vec<ProcessRef>>>,
}

#[derive(Debug)]
struct Prepared {
    caller: Caller,
    beside: String,
    alloc: String,
    file: PathBuf,
    record: Record,
    tty: bool,
    since: Instant,
}

impl Sessions {
    /// Remembers a command; answers the session's id.
    pub fn prepare(&self, caller: &Caller, home: &Home, request: &ExecRequest) -> Result<String> {
        let record = record(home, request)?;
        let session = home::new_id(home.id().split('.').next().unwrap_or_default())?;
        let file = home.dir.join(format!("exec-{session}"));
        let beside = home.id().to_owned();
        let mut prepared = self.prepared();
        if prepared.values().filter(|prepared| prepared.beside == beside).count() >= MAX_PREPARED {
            return Err(HostError::Limit(format!(
                "{MAX_PREPARED} commands are prepared beside process {beside:?} that nobody attached to"
            )));
        }
        prepared.insert(
            session.clone(),
            Prepared {
                caller: caller.clone(),
                beside,
                alloc: home.text("alloc").into(),
                file,
                record,
                tty: request.tty,
                since: Instant::now(),
            },
        );
        Ok(session)
    }

    /// The prepared commands that still wait for somebody to attach.
    fn prepared(&self) -> MutexGuard<'_, HashMap<String, Prepared>> {
        let mut prepared = lock(&self.prepared);
        prepared.retain(|_, prepared| prepared.since.elapsed() < PREPARED_FOR);
        prepared
    }

    /// Starts a prepared command. Blocks shortly.
    pub fn start(&self, shim: &ShimProgram, caller: &Caller, session: &str) -> Result<ExecStream> {
        let missing = || {
            HostError::NotFound(format!(
                "exec session {session:?}; one that nobody attaches to is dropped after {PREPARED_FOR:?}"
            ))
        };
        let prepared = {
            let mut all = self.prepared();
            let own = all.get(session).is_some_and(|prepared| is_same_task(&prepared.caller, caller));
            if own { all.remove(session) } else { None }.ok_or_else(missing)?
        };
        fs::write(&prepared.file, prepared.record.encode()).map_err(because(prepared.file.display()))?;
        let file = prepared.file.to_str().unwrap_or_default();
        let alloc = prepared.alloc.as_str();
        let attached = if prepared.tty { on_terminal(shim, file, alloc) } else { on_pipes(shim, file, alloc) };
        match attached {
            Ok((input, output)) => {
                self.remember(prepared.beside, &output.child);
                Ok(ExecStream { input: Box::new(input), output: Box::new(output) })
            }
            Err(error) => {
                let _ = fs::remove_file(&prepared.file);
                Err(error)
            }
        }
    }

    /// Ends the commands beside a process that has ended.
    pub fn kill_beside(&self, id: &str) {
        self.prepared().retain(|_, prepared| prepared.beside != id);
        for command in lock(&self.running).remove(id).unwrap_or_default() {
            if let Err(error) = command.signal(Signal::KILL) {
                tracing::warn!(process = id, %error, "a command beside it could not be killed");
            }
        }
    }

    fn remember(&self, beside: String, command: &Child) {
        let Some(pid) = command.id().map(|pid| pid as i32) else { return };
        let Some(stat) = Stat::of(pid) else { return };
        let mut running = lock(&self.running);
        let commands = running.entry(beside).or_default();
        commands.retain(|command| command.open().is_some());
        commands.push(ProcessRef { pid, start: stat.start });
    }
}

fn is_same_task(one: &Caller, other: &Caller) -> bool {
    let task = |caller: &Caller| caller.task.as_ref().map(|scope| scope.id.clone());
    one.driver == other.driver && (other.task.is_none() || task(one) == task(other))
}

/// The process's own record with another program, and what the request changes.
fn record(home: &Home, request: &ExecRequest) -> Result<Record> {
    let command = request.command.first().ok_or_else(|| HostError::Invalid("the command is empty".into()))?;
    let own = home.spec.all("env").filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='));
    let mut env: Vec<_> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    env.retain(|(name, _)| request.env.iter().all(|(other, _)| other != name));
    env.extend(request.env.iter().cloned());
    let mut record = Record::default();
    let own_root = home.spec.get("root").is_some();
    spec::push_programs(&mut record, command, &env, own_root)?;
    request.command.iter().for_each(|arg| record.push("arg", arg));
    env.iter().for_each(|(name, value)| record.push("env", format!("{name}={value}")));
    record.push("cwd", request.working_dir.as_deref().unwrap_or_else(|| home.text("cwd")));
    let mut same = vec!["cgroup.join", "netns", "etc", "hostname", "nofile", "namespace", "capabilities"];
    match &request.user {
        Some(user) => spec::push_user(&mut record, Some(user))?,
        None => same.extend(["uid", "gid", "group"]),
    }
    for key in same {
        home.spec.all(key).for_each(|value| record.push(key, value));
    }
    if let Some(pids) = home.pids() {
        record.push("beside", pids.main.pid.to_string());
    }
    if let Some(dir) = home.spec.text("cgroup.v2") {
        record.push("cgroup.join", format!("{dir}/cgroup.procs"));
    }
    if request.tty {
        record.push("tty", "1");
    }
    Ok(record)
}

fn on_pipes(shim: &ShimProgram, file: &str, alloc: &str) -> Result<(Input, Output)> {
    let mut child = shim.start(["exec", file], alloc, || Ok([Stdio::piped(), Stdio::piped(), Stdio::piped()]))?;
    let input = Input::Pipe(child.stdin.take());
    let source = Source::Pipes { out: child.stdout.take(), err: child.stderr.take() };
    Ok((input, Output { child, source, state: State::Running }))
}

fn on_terminal(shim: &ShimProgram, file: &str, alloc: &str) -> Result<(Input, Output)> {
    let (master, slave) = open_terminal().map_err(because("no terminal"))?;
    let stream = || Ok::<_, io::Error>(Stdio::from(slave.try_clone()?));
    let child = shim.start(["exec", file], alloc, || Ok([stream()?, stream()?, stream()?]))?;
    let master = watched(master, Interest::READABLE | Interest::WRITABLE).map_err(because("the terminal"))?;
    let master = Arc::new(master);
    let source = Source::Terminal { master: master.clone(), open: true };
    Ok((Input::Terminal(master), Output { child, source, state: State::Running }))
}

fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty())?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, slave))
}

/// The way into an attached command; a pipe goes when the caller closes it.
enum Input {
    Pipe(Option<ChildStdin>),
    Terminal(Arc<AsyncFd<OwnedFd>>),
}

/// The way out of an attached command.
struct Output {
    child: Child,
    source: Source,
    state: State,
}

enum Source {
    Pipes { out: Option<ChildStdout>, err: Option<ChildStderr> },
    Terminal { master: Arc<AsyncFd<OwnedFd>>, open: bool },
}

#[derive(Debug)]
enum State {
    Running,
    /// Ended; output is read until then.
    Ended(ExitStatus, Instant),
    Told,
}

impl Source {
    /// The next piece of output; none when there will be no more. Cancel-safe.
    async fn read(&mut self) -> io::Result<Option<(OutputStream, Bytes)>> {
        match self {
            Self::Pipes { out, err } => loop {
                let (mut first, mut second) = (BytesMut::with_capacity(PIECE), BytesMut::with_capacity(PIECE));
                let (stream, data) = tokio::select! {
                    read = read_some(out, &mut first), if out.is_some() => { read?; (OutputStream::Stdout, first) }
                    read = read_some(err, &mut second), if err.is_some() => { read?; (OutputStream::Stderr, second) }
                    else => return Ok(None),
                };
                if !data.is_empty() {
                    return Ok(Some((stream, data.freeze())));
                }
            },
            Self::Terminal { open: false, .. } => Ok(None),
            Self::Terminal { master, open } => {
                let mut buffer = vec![0; PIECE];
                let read = master.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut buffer)?));
                match read.await {
                    // EIO: nobody has the other side open any more.
                    Ok(0) => *open = false,
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => *open = false,
                    Err(error) => return Err(error),
                    Ok(count) => {
                        buffer.truncate(count);
                        return Ok(Some((OutputStream::Stdout, buffer.into())));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Reads into `buffer`; at the end of the source, takes the source away.
async fn read_some(source: &mut Option<impl AsyncReadExt + Unpin>, buffer: &mut BytesMut) -> io::Result<()> {
    if let Some(open) = source
        && open.read_buf(buffer).await? == 0
    {
        *source = None;
    }
    Ok(())
}

#[async_trait]
impl ExecInput for Input {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        let written = match self {
            Self::Pipe(input) if data.is_empty() => {
                *input = None;
                Ok(())
            }
            Self::Pipe(Some(input)) => input.write_all(&data).await,
            Self::Pipe(None) => return Err(HostError::Conflict("the command's input is closed".into())),
            // What a terminal understands as the end of input.
            Self::Terminal(master) if data.is_empty() => write_all(master, &[4]).await,
            Self::Terminal(master) => write_all(master, &data).await,
        };
        match written {
            // It ended, or closed its input: its exit tells more than an error here.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(because("the command's input")),
        }
    }

    async fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        let Self::Terminal(master) = self else {
            return Err(HostError::Invalid("the command has no terminal to resize".into()));
        };
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(master.get_ref().as_fd(), size).map_err(because("resizing the terminal"))
    }
}

#[async_trait]
impl ExecOutput for Output {
    async fn next(&mut self) -> Result<Option<ExecEvent>> {
        loop {
            let read = match &self.state {
                State::Told => return Ok(None),
                State::Running => tokio::select! {
                    read = self.source.read() => read.map_err(because("the command's output"))?,
                    ended = self.child.wait() => {
                        let status = status_of(ended.map_err(because("waiting for the command"))?);
                        self.state = State::Ended(status, Instant::now() + LAST_WORDS);
                        continue;
                    }
                },
                State::Ended(_, until) => match timeout_at(*until, self.source.read()).await {
                    Ok(read) => read.map_err(because("the command's output"))?,
                    Err(_) => None,
                },
            };
            if let Some((stream, data)) = read {
                return Ok(Some(ExecEvent::Output(OutputChunk { stream, data, mark: None })));
            }
            let status = match std::mem::replace(&mut self.state, State::Told) {
                State::Ended(status, _) => status,
                _ => {
                    self.state = State::Running;
                    status_of(self.child.wait().await.map_err(because("waiting for the command"))?)
                }
            };
            self.state = State::Told;
            return Ok(Some(ExecEvent::Exited(status)));
        }
    }
}

async fn write_all(master: &AsyncFd<OwnedFd>, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let count = master.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, data)?)).await?;
        data = &data[count..];
    }
    Ok(())
}

fn status_of(status: std::process::ExitStatus) -> ExitStatus {
    let signal = status.signal().unwrap_or(0);
    let exit_code = status.code().unwrap_or(128 + signal);
    ExitStatus { exit_code, signal: signal as u32, ..ExitStatus::default() }
}

#[cfg(test)]
mod tests {
    use longshore_core::caller::DriverName;

    use super::*;

    #[test]
    fn a_command_nobody_attaches_to_is_forgotten() {
        let sessions = Sessions::default();
        for (session, since) in [("old", Instant::now() - PREPARED_FOR), ("new", Instant::now())] {
            let prepared = Prepared {
                caller: Caller::driver(&DriverName("raw_exec".into())),
                beside: "p".into(),
                alloc: "a".into(),
                file: PathBuf::new(),
                record: Record::default(),
                tty: false,
                since,
            };
            lock(&sessions.prepared).insert(session.into(), prepared);
        }
        assert_eq!(sessions.prepared().keys().collect::<Vec<_>>(), ["new"]);
    }
}
