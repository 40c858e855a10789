//! Starting the shim: one embedded program, run from memory.

use std::{
    fs, io,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
};

use longshore_core::error::{HostError, Result};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tokio::process::{Child, Command};

use super::{isolation, record::Record};
use crate::failure::because;

static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/longshore-shim"));

/// The shim as a file that can be executed: an anonymous one in memory, so that the agent's program is all there
/// is to install, or where that is forbidden one in the state directory.
pub(super) struct ShimProgram {
    memory: Option<OwnedFd>,
    file: PathBuf,
    written: OnceLock<()>,
}

impl ShimProgram {
    /// `state` is where the file goes if it must.
    pub fn new(state: &Path) -> Self {
        Self { memory: in_memory().ok(), file: state.join("shim"), written: OnceLock::new() }
    }

    /// Starts it with these arguments and streams, for an allocation.
    pub fn start(&self, args: [&str; 2], alloc: &str, streams: impl Fn() -> io::Result<[Stdio; 3]>) -> Result<Child> {
        if let (Some(memory), None) = (&self.memory, self.written.get()) {
            let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
            match run(&path, args, alloc, streams().map_err(because("descriptors"))?) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                outcome => return outcome.map_err(because("the supervisor does not start")),
            }
        }
        if self.written.get().is_none() {
            self.write().map_err(because(self.file.display()))?;
            let _ = self.written.set(());
        }
        let streams = streams().map_err(because("descriptors"))?;
        run(&self.file, args, alloc, streams).map_err(because(format_args!("{} does not start", self.file.display())))
    }

    fn write(&self) -> io::Result<()> {
        let new = self.file.with_extension(format!("new-{}", std::process::id()));
        fs::write(&new, SHIM)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?;
        fs::rename(new, &self.file)
    }
}

fn in_memory() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag, and need none.
    let fd =
        memfd_create("longshore-shim", flags | MemfdFlags::EXEC).or_else(|_| memfd_create("longshore-shim", flags))?;
    let mut file = fs::File::from(fd);
    file.write_all(SHIM)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

fn run(program: &Path, args: [&str; 2], alloc: &str, [stdin, stdout, stderr]: [Stdio; 3]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg0("longshore-shim").args(args).stdin(stdin).stdout(stdout).stderr(stderr);
    // Whoever finds a listener of the task knows by its ancestors whose it is (`ports::holder`).
    command.env_clear().env("NOMAD_ALLOC_ID", alloc);
    command.spawn()
}

/// Starts the supervisor of the process `dir` describes; `lock` is the locked file. Returns when the process's
/// program runs, or with the reason why it does not.
pub(super) fn supervise(shim: &ShimProgram, dir: &Path, lock: &fs::File, spec: &Record) -> Result<()> {
    let text = dir.to_str().ok_or_else(|| HostError::Other(format!("{} is not UTF-8", dir.display())))?;
    let streams = || Ok([Stdio::from(lock.try_clone()?), Stdio::piped(), Stdio::null()]);
    let mut child = shim.start(["supervise", text], spec.text("alloc").unwrap_or_default(), streams)?;
    let report = child.stdout.take().map(tokio::process::ChildStdout::into_owned_fd);
    // While this agent lives it is the shim's parent, and has to reap it.
    tokio::spawn(async move { child.wait().await });
    let mut told = Vec::new();
    if let Some(report) = report {
        fs::File::from(report.map_err(because("the supervisor's report"))?)
            .read_to_end(&mut told)
            .map_err(because("the supervisor's report"))?;
    }
    let told = Record::decode(&told).ok_or_else(|| HostError::Other("the supervisor died at its start".into()))?;
    match told.text("step") {
        None => Ok(()),
        Some(step) => {
            let error = io::Error::from_raw_os_error(told.number("errno").unwrap_or(0));
            let place = told.text("place").unwrap_or_default();
            Err(isolation::explain(step, place, &error, spec).unwrap_or_else(|| explain(step, &error, spec)))
        }
    }
}

/// What a failed step means to the person who wrote the job.
fn explain(step: &str, error: &io::Error, spec: &Record) -> HostError {
    let text = |key| spec.text(key).unwrap_or_default();
    let reason = plain(error);
    match (step, error.kind()) {
        ("program", io::ErrorKind::NotFound) if Path::new(text("program")).exists() => HostError::Invalid(format!(
            "command {:?} is there, but the interpreter it names (in its `#!` line or as its loader) is not",
            text("arg")
        )),
        ("program", io::ErrorKind::NotFound) => HostError::Invalid(format!(
            "command {:?} not found; write an absolute path, or a name that is in the PATH of the task's env",
            text("arg")
        )),
        ("program", io::ErrorKind::PermissionDenied) => HostError::Invalid(format!(
            "command {:?} is not executable: {reason}; chmod +x it, and let the task's user reach it",
            text("arg")
        )),
        ("program", _) => HostError::Invalid(format!("command {:?} cannot be run: {reason}", text("arg"))),
        ("directory", _) => HostError::Invalid(format!("working directory {:?}: {reason}", text("cwd"))),
        ("user", _) => HostError::Denied(format!("changing to user {}: {reason}", text("uid"))),
        ("logs", _) => HostError::Other(format!("log directory {:?}: {reason}", text("log.dir"))),
        ("network", _) => {
            HostError::Unavailable(format!("entering the allocation's network {:?}: {reason}", text("netns")))
        }
        ("etc", _) => HostError::Unavailable(format!(
            "putting the allocation's files in place of /etc/hosts, /etc/hostname and /etc/resolv.conf, which must be \
             there: {reason}"
        )),
        ("cgroup", _) => HostError::Other(format!("entering the control group: {reason}")),
        ("fork", _) => HostError::Limit(format!("no new process: {reason}")),
        _ => HostError::Other(format!("the supervisor cannot start it ({step}): {reason}")),
    }
}

/// The kernel's words without the number behind them.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
