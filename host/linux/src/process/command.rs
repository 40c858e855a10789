//! Short commands for no task: a tool's version, a word to a service manager.

use std::{os::unix::process::ExitStatusExt, process::Stdio, time::Duration};

use longshore_core::{
    error::{HostError, Result},
    process::{CommandResult, MAX_COMMAND_OUTPUT},
    workload::ExitStatus,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

/// Runs a command to its end with an empty environment but for PATH; killed when the time is over.
pub(super) async fn run(command: &str, args: &[String], timeout_ms: u32) -> Result<CommandResult> {
    let mut child = Command::new(command)
        .args(args)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot_run(command, &error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(read(stdout), read(stderr), child.wait()) };
    let ended = tokio::time::timeout(Duration::from_millis(timeout_ms.into()), all).await;
    let (stdout, stderr, status) =
        ended.map_err(|_| HostError::Timeout(format!("command {command:?} had not ended after {timeout_ms} ms")))?;
    let status = status.map_err(|error| HostError::Other(format!("waiting for {command:?}: {error}")))?;
    let signal = status.signal().unwrap_or(0);
    let exit = ExitStatus {
        exit_code: status.code().unwrap_or(128 + signal),
        signal: signal.unsigned_abs(),
        ..ExitStatus::default()
    };
    Ok(CommandResult { exit, stdout, stderr })
}

fn cannot_run(command: &str, error: &std::io::Error) -> HostError {
    match error.kind() {
        std::io::ErrorKind::NotFound => HostError::NotFound(format!("command {command:?} is not on this machine")),
        _ => HostError::Other(format!("cannot run {command:?}: {error}")),
    }
}

/// Reads to the end and keeps the first [`MAX_COMMAND_OUTPUT`] bytes.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_COMMAND_OUTPUT - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, timeout_ms: u32) -> Result<CommandResult> {
        run("sh", &["-c".into(), script.into()], timeout_ms).await
    }

    #[tokio::test]
    async fn output_and_code_are_answered() {
        let result = shell("echo out; echo err >&2; exit 7", 5_000).await.unwrap();
        assert_eq!((&*result.stdout, &*result.stderr, result.exit.exit_code), (&b"out\n"[..], &b"err\n"[..], 7));
    }

    #[tokio::test]
    async fn a_flood_is_cut_and_does_not_block() {
        let result = shell("head -c 1000000 /dev/zero", 5_000).await.unwrap();
        assert_eq!(result.stdout.len(), MAX_COMMAND_OUTPUT);
        assert!(result.exit.success());
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told() {
        assert!(matches!(shell("sleep 60", 50).await, Err(HostError::Timeout(_))));
        assert!(matches!(run("/no/such/tool", &[], 50).await, Err(HostError::NotFound(_))));
        assert_eq!(shell("kill -9 $$", 5_000).await.unwrap().exit.signal, 9);
    }
}
