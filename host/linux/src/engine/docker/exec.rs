//! Commands inside running containers.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bollard::{
    Docker as Client,
    container::LogOutput,
    errors::Error,
    exec::{ResizeExecOptions, StartExecOptions, StartExecResults},
    models::ExecConfig,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    exec::{ExecEvent, ExecRequest, ExecStream},
    workload::{ExitStatus, OutputChunk, OutputStream},
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Docker, owner::Owner};

/// How long a prepared command waits for somebody to attach.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often an ended command's exit code is asked for.
const POLL: Duration = Duration::from_millis(20);

/// Prepared commands, by the engine's id of each.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

struct Session {
    owner: Arc<Owner>,
    tty: bool,
    since: Instant,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.since.elapsed() < PATIENCE);
        sessions
    }
}

impl Docker {
    pub(super) async fn create_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String> {
        let owner = self.own(caller, id).await?;
        if request.command.is_empty() {
            return Err(HostError::Invalid("the command to run is empty".into()));
        }
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(request.tty),
            env: Some(request.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
            cmd: Some(request.command.clone()),
            user: request.user.clone(),
            working_dir: request.working_dir.clone(),
            ..ExecConfig::default()
        };
        let created = self.engine.call(|client| async move { client.create_exec(id, config).await });
        let session = created.await.map_err(|error| self.when_gone(id, error))?.id;
        self.sessions.lock().insert(session.clone(), Session { owner, tty: request.tty, since: Instant::now() });
        Ok(session)
    }

    pub(super) async fn start_exec(&self, caller: &Caller, session: &str) -> Result<Box<dyn ExecStream>> {
        let missing = || {
            HostError::NotFound(format!(
                "no prepared command {session:?} of this driver and task; one not attached to is dropped after {PATIENCE:?}"
            ))
        };
        let found = {
            let mut sessions = self.sessions.lock();
            let own = sessions.get(session).is_some_and(|session| session.owner.is(caller));
            if own { sessions.remove(session) } else { None }
        };
        let tty = found.ok_or_else(missing)?.tty;
        let client = self.engine.client()?;
        let options = StartExecOptions { detach: false, tty, output_capacity: None };
        match client.start_exec(session, Some(options)).await.map_err(|error| self.engine.explain(error))? {
            StartExecResults::Attached { output, input } => Ok(Box::new(Attached {
                client,
                session: session.to_owned(),
                output: Some(output),
                input: Some(input),
                ended: false,
            })),
            StartExecResults::Detached => Err(HostError::Other("the engine did not attach to the command".into())),
        }
    }
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// A running command. `output` goes when it ends, `input` when the caller closes it.
struct Attached {
    client: Client,
    session: String,
    output: Option<Output>,
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    ended: bool,
}

async fn exit_code(client: &Client, session: &str) -> Result<i64> {
    loop {
        let seen = client.inspect_exec(session).await;
        let seen =
            seen.map_err(|error| HostError::Unavailable(format!("the command's exit code is unknown: {error}")))?;
        match seen.exit_code {
            Some(code) if seen.running != Some(true) => return Ok(code),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

#[async_trait]
impl ExecStream for Attached {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        let lost = |error: std::io::Error| HostError::Unavailable(format!("the command takes no more input: {error}"));
        if data.is_empty() {
            if let Some(mut input) = self.input.take() {
                input.shutdown().await.map_err(lost)?;
            }
            return Ok(());
        }
        let closed = || HostError::Invalid("the command's input was closed".into());
        let input = self.input.as_mut().ok_or_else(closed)?;
        input.write_all(&data).await.map_err(lost)?;
        input.flush().await.map_err(lost)
    }

    async fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        let resized = self.client.resize_exec(&self.session, ResizeExecOptions { height: rows, width: columns }).await;
        resized.map_err(|error| HostError::Other(format!("the terminal's size could not be set: {error}")))
    }

    async fn next(&mut self) -> Result<Option<ExecEvent>> {
        if self.ended {
            return Ok(None);
        }
        while let Some(output) = &mut self.output {
            match output.next().await {
                Some(Ok(piece)) if piece.as_ref().is_empty() => {}
                Some(Ok(piece)) => return Ok(Some(ExecEvent::Output(chunk(piece)))),
                Some(Err(error)) => {
                    self.output = None;
                    return Err(HostError::Unavailable(format!("the command's output broke off: {error}")));
                }
                None => self.output = None,
            }
        }
        let code = exit_code(&self.client, &self.session).await?;
        self.ended = true;
        let exit_code = i32::try_from(code).unwrap_or(i32::MAX);
        Ok(Some(ExecEvent::Exited(ExitStatus { exit_code, ..ExitStatus::default() })))
    }
}

fn chunk(piece: LogOutput) -> OutputChunk {
    let stream = if matches!(piece, LogOutput::StdErr { .. }) { OutputStream::Stderr } else { OutputStream::Stdout };
    OutputChunk { stream, data: piece.into_bytes(), at: None }
}
