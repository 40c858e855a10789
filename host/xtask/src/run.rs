//! Other programs, run so that an interrupt (Ctrl-C, SIGTERM) ends them too and lets the chore clean up.

use crate::failure::{Doing, Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{fs::File, thread};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT and SIGTERM are noted, not obeyed: what runs is ended, and the chore unwinds.
pub fn note_interrupts() -> Outcome {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).doing(|| "cannot catch signals".into())?;
    }
    Ok(())
}

/// Fails once the person has asked to stop.
pub fn check_interrupt() -> Outcome {
    match INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        true => Err(Failure::new("interrupted")),
        false => Ok(()),
    }
}

/// Sleeps, or fails early when interrupted.
pub fn pause(time: Duration) -> Outcome {
    let end = Instant::now() + time;
    while Instant::now() < end {
        check_interrupt()?;
        thread::sleep(Duration::from_millis(20).min(time));
    }
    Ok(())
}

/// A command to run. It gets no input: chores never ask.
pub struct Run {
    command: Command,
    name: String,
}

impl Run {
    /// A program by path or name.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        let mut command = Command::new(program);
        // A process group of its own, so that one kill reaches all that it starts.
        command.stdin(Stdio::null()).process_group(0);
        Self { command, name }
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: &[A]) -> Self {
        for arg in args {
            self.command.arg(arg);
            if self.name.len() < 100 {
                self.name = format!("{} {}", self.name, arg.as_ref().to_string_lossy());
            }
        }
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets its working directory.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it with its output on ours; fails unless it exits with 0.
    pub fn check(self) -> Outcome {
        let name = self.name.clone();
        let status = self.status()?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("`{name}` failed with {status}"))) }
    }

    /// Runs it with its output on ours.
    pub fn status(mut self) -> Outcome<ExitStatus> {
        let child = self.command.spawn().doing(|| format!("cannot run `{}`", self.name))?;
        wait(child)
    }

    /// Runs it and gives `on_line` each line of its standard output as it comes.
    pub fn each_line(mut self, mut on_line: impl FnMut(&str)) -> Outcome<ExitStatus> {
        let spawned = self.command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.doing(|| format!("cannot run `{}`", self.name))?;
        let output = child.stdout.take();
        let waiter = thread::spawn(move || wait(child));
        if let Some(output) = output {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                on_line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
            }
        }
        waiter.join().map_err(|_| Failure::new(format!("lost sight of `{}`", self.name)))?
    }

    /// Runs it quietly and answers its standard output; its errors become part of the failure.
    pub fn output(mut self) -> Outcome<String> {
        let spawned = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.doing(|| format!("cannot run `{}`", self.name))?;
        let (output, errors) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let status = wait(child)?;
        if !status.success() {
            let said = errors.join().unwrap_or_default();
            return Err(Failure::new(format!("`{}` failed with {status}: {}", self.name, said.trim())));
        }
        Ok(output.join().unwrap_or_default())
    }

    /// Whether it runs and exits with 0, quietly.
    pub fn succeeds(mut self) -> bool {
        self.command.output().is_ok_and(|result| result.status.success())
    }

    /// Starts it in the background, its output appended to `log`; dropped, it is ended.
    pub fn background(mut self, log: &Path) -> Outcome<Background> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.doing(|| format!("cannot write {}", log.display()))?;
        let copy = file.try_clone().doing(|| format!("cannot write {}", log.display()))?;
        let child = self.command.stdout(file).stderr(copy).spawn();
        let child = child.doing(|| format!("cannot run `{}`", self.name))?;
        Ok(Background { child, name: self.name, log: log.to_path_buf() })
    }
}

/// Reads a stream to its end beside what else goes on.
fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is what there is to show.
        let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(mut child: Child) -> Outcome<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().doing(|| "cannot wait for a program".into())? {
            check_interrupt()?;
            return Ok(status);
        }
        if let Err(interrupt) = check_interrupt() {
            end(&mut child, Duration::from_secs(10));
            return Err(interrupt);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends a child and its process group: SIGTERM, and SIGKILL for what is left after `grace`.
fn end(child: &mut Child, grace: Duration) {
    let group = Pid::from_child(child);
    let deadline = Instant::now() + grace;
    let _ = kill_process_group(group, Signal::TERM);
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// A program in the background.
pub struct Background {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Background {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with the end of its log, when it has ended.
    pub fn check(&mut self) -> Outcome {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(Failure::new(format!("`{}` ended with {status}:\n{}", self.name, self.log_tail()))),
            _ => Ok(()),
        }
    }

    /// The last lines it wrote.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Waits until `ready` says yes; fails when it ends first, time runs out, or somebody interrupts.
    pub fn wait_until(&mut self, what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> Outcome {
        let deadline = Instant::now() + limit;
        while !ready() {
            self.check()?;
            if Instant::now() > deadline {
                let tail = self.log_tail();
                return Err(Failure::new(format!("{what}: not within {} s; its log ends:\n{tail}", limit.as_secs())));
            }
            pause(Duration::from_millis(1))?;
        }
        Ok(())
    }

    /// SIGKILL at once, as a power cut would.
    pub fn kill(mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            end(&mut self.child, Duration::from_secs(15));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process_group;

    #[test]
    fn a_failed_command_says_its_name_and_errors() {
        let error = Run::new("sh").args(&["-c", "echo broken >&2; exit 3"]).output().unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("broken") && error.contains('3'), "{error}");
    }

    #[test]
    fn lines_arrive_in_order_and_the_exit_code_is_kept() {
        let mut lines = Vec::new();
        let run = Run::new("sh").args(&["-c", "echo one; echo two; exit 4"]);
        let status = run.each_line(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!((lines, status.code()), (vec!["one".into(), "two".into()], Some(4)));
    }

    #[test]
    fn a_background_program_ends_with_its_guard() {
        let log = std::env::temp_dir().join(format!("xtask-run-{}.log", std::process::id()));
        let guard = Run::new("sh").args(&["-c", "sleep 600 & wait"]).background(&log).unwrap();
        let group = Pid::from_raw(guard.pid() as i32).unwrap();
        drop(guard);
        // What was killed is in the group until the machine's first process has seen it end.
        let end = Instant::now() + Duration::from_secs(30);
        while test_kill_process_group(group).is_ok() {
            assert!(Instant::now() < end, "the group lives on");
            thread::sleep(Duration::from_millis(5));
        }
        std::fs::remove_file(log).unwrap();
    }
}
