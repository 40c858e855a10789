//! Commands inside running containers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bollard::{Docker as Client, exec::ResizeExecOptions, models::ExecConfig};
use bytes::{Bytes, BytesMut};
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    exec::{ExecEvent, ExecInput, ExecOutput, ExecRequest, ExecStream, PREPARED_FOR},
    workload::{ExitStatus, OutputChunk, OutputStream},
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};

use super::{Docker, frames::Frames, owner::Owner, wire::Hijacked};

/// How much output is read at once, bytes.
const READ_BYTES: usize = 32 << 10;
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
        sessions.retain(|_, session| session.since.elapsed() < PREPARED_FOR);
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

    pub(super) async fn start_exec(&self, caller: &Caller, session: &str) -> Result<ExecStream> {
        let missing = || {
            HostError::NotFound(format!(
                "no prepared command {session:?} of this driver and task; one not attached to is dropped after {PREPARED_FOR:?}"
            ))
        };
        let found = {
            let mut sessions = self.sessions.lock();
            let own = sessions.get(session).is_some_and(|session| session.owner.is(caller));
            if own { sessions.remove(session) } else { None }
        };
        let tty = found.ok_or_else(missing)?.tty;
        let document = json!({"Detach": false, "Tty": tty});
        let stream = self.engine.hijack(&format!("/exec/{session}/start"), &document).await?;
        let (output, input) = split(stream);
        let client = self.engine.client()?;
        let input = Input { client: client.clone(), session: session.to_owned(), stream: Some(input) };
        let output = Output {
            client,
            session: session.to_owned(),
            stream: Some(output),
            frames: (!tty).then(Frames::default),
            buffer: BytesMut::new(),
            ended: false,
        };
        Ok(ExecStream { input: Box::new(input), output: Box::new(output) })
    }
}

/// The way into a running command; `stream` goes when the caller closes it.
struct Input {
    client: Client,
    session: String,
    stream: Option<WriteHalf<Hijacked>>,
}

/// The way out of a running command; `stream` goes when it ends.
struct Output {
    client: Client,
    session: String,
    stream: Option<ReadHalf<Hijacked>>,
    /// Without a terminal, both streams come framed; a terminal's one comes as it is.
    frames: Option<Frames>,
    buffer: BytesMut,
    ended: bool,
}

impl Output {
    /// Output that was read and not handed on.
    fn take(&mut self) -> Result<Option<OutputChunk>> {
        let Some(frames) = &mut self.frames else {
            let chunk = OutputChunk { stream: OutputStream::Stdout, data: self.buffer.split().freeze(), mark: None };
            return Ok((!chunk.data.is_empty()).then_some(chunk));
        };
        frames.push(&self.buffer.split());
        let piece = frames.next()?;
        Ok(piece.map(|piece| OutputChunk { stream: piece.stream, data: piece.data, mark: None }))
    }

    /// The next output; none when the command has closed it. Cancel-safe.
    async fn read(&mut self) -> Result<Option<OutputChunk>> {
        loop {
            if let Some(chunk) = self.take()? {
                return Ok(Some(chunk));
            }
            let Some(stream) = &mut self.stream else { return Ok(None) };
            self.buffer.reserve(READ_BYTES);
            if stream.read_buf(&mut self.buffer).await.map_err(broken)? == 0 {
                return Ok(None);
            }
        }
    }
}

fn broken(error: std::io::Error) -> HostError {
    HostError::Unavailable(format!("the command's output broke off: {error}"))
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
impl ExecInput for Input {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        let lost = |error: std::io::Error| HostError::Unavailable(format!("the command takes no more input: {error}"));
        if data.is_empty() {
            if let Some(mut input) = self.stream.take() {
                input.shutdown().await.map_err(lost)?;
            }
            return Ok(());
        }
        let closed = || HostError::Invalid("the command's input was closed".into());
        let input = self.stream.as_mut().ok_or_else(closed)?;
        input.write_all(&data).await.map_err(lost)?;
        input.flush().await.map_err(lost)
    }

    async fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        let resized = self.client.resize_exec(&self.session, ResizeExecOptions { height: rows, width: columns }).await;
        resized.map_err(|error| HostError::Other(format!("the terminal's size could not be set: {error}")))
    }
}

#[async_trait]
impl ExecOutput for Output {
    async fn next(&mut self) -> Result<Option<ExecEvent>> {
        if self.ended {
            return Ok(None);
        }
        match self.read().await {
            Ok(Some(chunk)) => return Ok(Some(ExecEvent::Output(chunk))),
            Ok(None) => self.stream = None,
            Err(error) => {
                self.stream = None;
                return Err(error);
            }
        }
        let code = exit_code(&self.client, &self.session).await?;
        self.ended = true;
        let exit_code = i32::try_from(code).unwrap_or(i32::MAX);
        Ok(Some(ExecEvent::Exited(ExitStatus { exit_code, ..ExitStatus::default() })))
    }
}
