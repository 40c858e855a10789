//! Plugins as programs.

use std::{
    io::{self, Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{self, Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use longshore_core::error::{HostError, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::{CniSettings, list::Plugin};
use crate::failure::because;

/// Most bytes of an answer.
const MAX_ANSWER: u64 = 1 << 20;
/// Bytes of an answer that makes no sense shown in an error.
const QUOTED: usize = 200;
/// How long a plugin may take to tell its version.
const VERSION_WITHIN: Duration = Duration::from_secs(3);
/// How often it is looked whether a plugin has ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What a plugin is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Check,
    Del,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Check => "CHECK",
            Self::Del => "DEL",
        }
    }
}

/// One call of a plugin.
pub(super) struct Call<'a> {
    pub command: Command,
    pub plugin: &'a str,
    pub container: &'a str,
    pub namespace: &'a str,
    pub arguments: &'a str,
    pub input: &'a Value,
}

impl Call<'_> {
    fn failed(&self, why: impl std::fmt::Display) -> HostError {
        HostError::Other(format!("CNI plugin {:?}: {}: {why}", self.plugin, self.command.name()))
    }
}

/// A plugin's program.
pub(super) fn find(path: &[PathBuf], plugin: &Plugin) -> Result<PathBuf> {
    let name = plugin.kind();
    let is_program =
        |file: &PathBuf| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    path.iter().map(|dir| dir.join(name)).find(is_program).ok_or_else(|| {
        let path: Vec<_> = path.iter().map(|dir| dir.display().to_string()).collect();
        HostError::Unavailable(format!("CNI plugin {name:?} is not in {} (cni_path)", path.join(":")))
    })
}

/// Whether a plugin's CHECK is to be believed: those of the reference plugins before 1.3.0 miss IPv6 rules that were
/// never to be there, and builds without a version tell those of the protocol, which are lower. A plugin that tells
/// none at all is believed.
pub(super) fn can_check(settings: &CniSettings, plugin: &Plugin) -> bool {
    version(settings, plugin).is_none_or(|version| version >= (1, 3))
}

/// Major and minor version as a plugin tells them when it is asked nothing: `CNI bridge plugin v1.1.1`.
fn version(settings: &CniSettings, plugin: &Plugin) -> Option<(u32, u32)> {
    let mut child = process::Command::new(find(&settings.path, plugin).ok()?)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .ok()?;
    let [out, err] = [collect(child.stdout.take()), collect(child.stderr.take())];
    wait(&mut child, VERSION_WITHIN).ok()??;
    let said = [out.join().ok()?, err.join().ok()?].concat();
    String::from_utf8_lossy(&said).split_whitespace().find_map(parse_version)
}

fn parse_version(word: &str) -> Option<(u32, u32)> {
    let mut parts = word.strip_prefix('v').unwrap_or(word).split('.');
    let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next()?);
    let patch = patch.split(['-', '+']).next()?;
    patch.parse::<u32>().ok()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Runs a plugin to its end; its answer, if it gave one. One that takes too long is killed, with all it started.
pub(super) fn run(settings: &CniSettings, plugin: &Plugin, call: &Call) -> Result<Option<Value>> {
    let program = find(&settings.path, plugin)?;
    let path =
        std::env::join_paths(&settings.path).map_err(|error| HostError::Invalid(format!("cni_path: {error}")))?;
    let mut child = process::Command::new(&program)
        .env("CNI_COMMAND", call.command.name())
        .env("CNI_CONTAINERID", call.container)
        .env("CNI_NETNS", call.namespace)
        .env("CNI_IFNAME", super::super::segment::INSIDE)
        .env("CNI_ARGS", call.arguments)
        .env("CNI_PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(because(program.display()))?;
    let [out, err] = [collect(child.stdout.take()), collect(child.stderr.take())];
    feed(&mut child, call.input);
    let status = wait(&mut child, settings.timeout).map_err(because(program.display()))?;
    let Some(status) = status else {
        let seconds = settings.timeout.as_secs_f32();
        let text = format!("CNI plugin {:?}: {} had not ended after {seconds} s", call.plugin, call.command.name());
        return Err(HostError::Timeout(text));
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    if status.success() { answer(call, &out) } else { Err(refusal(call, status, &out, &err)) }
}

/// Reads a stream to its end beside the plugin.
fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            // What was read before an error is what there is.
            let _ = stream.take(MAX_ANSWER).read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Writes the configuration beside the plugin, which may not read it.
fn feed(child: &mut Child, input: &Value) {
    let Some(mut stdin) = child.stdin.take() else { return };
    let text = input.to_string();
    thread::spawn(move || {
        // A plugin that ended without reading has said why.
        let _ = stdin.write_all(text.as_bytes());
    });
}

/// How it ended; none when the time was over first. Nothing it started is left.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<process::ExitStatus>> {
    let deadline = Instant::now() + timeout;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => break None,
            None => thread::sleep(LOOK_EVERY),
        }
    };
    if status.is_none() {
        // Its group, so that a child which keeps its output open goes too.
        if let Some(group) = Pid::from_raw(child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        child.wait()?;
    }
    Ok(status)
}

fn answer(call: &Call, out: &[u8]) -> Result<Option<Value>> {
    if call.command != Command::Add || out.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match serde_json::from_slice(out) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        _ => Err(call.failed(format_args!("it answered what is no result: {:?}", quote(out)))),
    }
}

/// A plugin says what went wrong as JSON on its output, or else somehow.
fn refusal(call: &Call, status: process::ExitStatus, out: &[u8], err: &[u8]) -> HostError {
    let said: Value = serde_json::from_slice(out).unwrap_or_default();
    let text = |key| said.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("msg"), text("details")) {
        ("", _) if out.is_empty() => call.failed(format_args!("it ended with {status}: {:?}", quote(err))),
        ("", _) => call.failed(format_args!("it ended with {status}: {:?}", quote(out))),
        (message, "") => call.failed(message),
        (message, details) => call.failed(format_args!("{message}: {details}")),
    }
}

/// The beginning of what it said, on one line.
fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..QUOTED).unwrap_or(bytes));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_words() {
        for (word, version) in [
            ("v1.1.1", Some((1, 1))),
            ("1.10.0-rc1", Some((1, 10))),
            ("v1.3.0+ds1", Some((1, 3))),
            ("0.1.0,", None),
            ("1.2", None),
            ("bridge", None),
            ("a.b.c", None),
        ] {
            assert_eq!(parse_version(word), version, "{word}");
        }
    }
}
