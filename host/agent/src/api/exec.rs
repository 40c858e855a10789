//! `/v1/client/allocation/:id/exec`: a command inside a task, over a WebSocket.
//!
//! Client to agent: `{"stdin":{"data":"<base64>"}}`, `{"stdin":{"close":true}}`,
//! `{"tty_size":{"height":24,"width":80}}`, `{}`. Agent to client: `{"stdout":{"data":…}}`,
//! `{"stderr":{"data":…}}`, `{"exited":true,"result":{"exit_code":0}}`. What cannot be done ends the
//! connection with 1008 (the client's fault) or 1011 (ours) and one line.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use longshore_core::{
    exec::{ExecEvent, ExecInput, ExecOutput, ExecRequest, ExecStream},
    workload::ExitStatus,
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{Instant, interval_at},
};

use super::{
    Api,
    answer::{Query, Refused},
};

/// Longest reason a close frame can carry, bytes.
const MAX_REASON: usize = 123;
/// Largest frame taken from a client, bytes.
const MAX_FRAME: usize = 1 << 20;
/// Pieces of input that wait for the command to take them.
const WAITING_INPUT: usize = 4;
/// How often a client that says nothing is looked for.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Added to a signal's number when a command was ended by it, as shells do.
const SIGNAL_BASE: i32 = 128;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    task: String,
    tty: bool,
    /// A JSON list of strings.
    command: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClientFrame {
    stdin: Option<Stdin>,
    tty_size: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stdin {
    data: Option<String>,
    close: bool,
}

#[derive(Debug, Deserialize)]
struct Size {
    height: u16,
    width: u16,
}

/// Why a session ends without an exit code.
type Ended = CloseFrame;

/// What one frame puts into the command.
struct Piece {
    size: Option<Size>,
    data: Bytes,
    /// Whether it is the last input.
    last: bool,
}

pub(super) async fn open(
    State(api): State<Api>,
    Path(alloc): Path<String>,
    Query(wanted): Query<Wanted>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.max_message_size(MAX_FRAME).on_upgrade(async move |mut socket| {
        let frame = match start(&api, &alloc, &wanted).await {
            Ok(session) => carry(&api, &mut socket, session).await,
            Err(refused) => close(refused),
        };
        // A client that is gone needs no farewell.
        let _ = socket.send(Message::Close(Some(frame))).await;
    })
}

async fn start(api: &Api, alloc: &str, wanted: &Wanted) -> Result<ExecStream, Refused> {
    let command: Vec<String> = serde_json::from_str(&wanted.command).unwrap_or_default();
    if command.is_empty() {
        return Err(Refused::invalid("command is not present"));
    }
    if wanted.task.is_empty() {
        return Err(Refused::invalid("must provide task name"));
    }
    let request = ExecRequest { command, tty: wanted.tty, ..ExecRequest::default() };
    Ok(api.agent.exec(alloc, &wanted.task, request).await?)
}

/// Carries input and output until one side ends. A command may take no input before its output is read, so neither
/// waits for the other.
async fn carry(api: &Api, socket: &mut WebSocket, session: ExecStream) -> Ended {
    let (sender, receiver) = mpsc::channel(WAITING_INPUT);
    tokio::select! {
        ended = talk(api, socket, session.output, &sender) => ended,
        never = feed(session.input, receiver) => match never {},
    }
}

/// Takes frames from the client while there is room for them, and gives it the output.
async fn talk(
    api: &Api,
    socket: &mut WebSocket,
    mut session: Box<dyn ExecOutput>,
    pieces: &mpsc::Sender<Piece>,
) -> Ended {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    loop {
        let done = tokio::select! {
            received = receive(socket, pieces) => received,
            event = session.next() => match event {
                Ok(Some(event)) => output(socket, event).await,
                Ok(None) => Err(internal("the command ended without an exit code")),
                Err(error) => Err(internal(&error.to_string())),
            },
            // Nothing is read from a client whose input nobody takes: this is how its end is noticed.
            _ = heartbeat.tick() => send(socket, Message::Ping(Bytes::new())).await,
            () = api.ending.cancelled() => Err(away("the agent is ending")),
        };
        if let Err(frame) = done {
            return frame;
        }
    }
}

/// The next frame of the client, as soon as the command has taken enough of the earlier ones. Cancel-safe.
async fn receive(socket: &mut WebSocket, pieces: &mpsc::Sender<Piece>) -> Result<(), Ended> {
    let room = pieces.reserve().await.map_err(|_| internal("the command's input is gone"))?;
    let message = socket.recv().await.and_then(Result::ok).ok_or_else(|| away("the client is gone"))?;
    if let Some(piece) = input(message)? {
        room.send(piece);
    }
    Ok(())
}

/// What a message puts into the command.
fn input(message: Message) -> Result<Option<Piece>, Ended> {
    let frame: ClientFrame = match &message {
        Message::Text(text) => serde_json::from_str(text.as_str()),
        Message::Binary(bytes) => serde_json::from_slice(bytes),
        Message::Close(_) => return Err(away("the client closed")),
        Message::Ping(_) | Message::Pong(_) => return Ok(None),
    }
    .map_err(|error| close(Refused::invalid(format!("a frame does not parse: {error}"))))?;
    let stdin = frame.stdin.unwrap_or_default();
    let data = STANDARD
        .decode(stdin.data.unwrap_or_default())
        .map_err(|error| close(Refused::invalid(format!("stdin data is no base64: {error}"))))?;
    Ok(Some(Piece { size: frame.tty_size, data: data.into(), last: stdin.close }))
}

/// Gives the command its input, as fast as it takes it. Has no end of its own, as the command may go on without input.
async fn feed(mut session: Box<dyn ExecInput>, mut pieces: mpsc::Receiver<Piece>) -> Infallible {
    while let Some(piece) = pieces.recv().await {
        // A command that no longer reads may still have output and an exit code to give.
        if let Err(error) = take(&mut *session, piece).await {
            tracing::debug!(%error, "input of a command was not taken");
        }
    }
    std::future::pending().await
}

async fn take(session: &mut dyn ExecInput, piece: Piece) -> longshore_core::error::Result<()> {
    if let Some(size) = piece.size {
        // A command without a terminal has no size to change.
        let _ = session.resize(size.height, size.width).await;
    }
    if !piece.data.is_empty() {
        session.write(piece.data).await?;
    }
    if piece.last { session.write(Bytes::new()).await } else { Ok(()) }
}

async fn output(socket: &mut WebSocket, event: ExecEvent) -> Result<(), Ended> {
    let (frame, last) = match event {
        ExecEvent::Output(chunk) => (json!({chunk.stream.name(): {"data": STANDARD.encode(&chunk.data)}}), false),
        ExecEvent::Exited(status) => (json!({"exited": true, "result": {"exit_code": exit_code(&status)}}), true),
    };
    send(socket, Message::text(frame.to_string())).await?;
    if last { Err(CloseFrame { code: close_code::NORMAL, reason: "".into() }) } else { Ok(()) }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
    socket.send(message).await.map_err(|_| away("the client is gone"))
}

fn exit_code(status: &ExitStatus) -> i32 {
    if status.signal == 0 { status.exit_code } else { SIGNAL_BASE + status.signal as i32 }
}

fn close(refused: Refused) -> CloseFrame {
    if refused.status.is_client_error() { frame(close_code::POLICY, &refused.text) } else { internal(&refused.text) }
}

fn internal(text: &str) -> CloseFrame {
    frame(close_code::ERROR, text)
}

fn away(text: &str) -> CloseFrame {
    frame(close_code::AWAY, text)
}

fn frame(code: u16, text: &str) -> CloseFrame {
    let mut end = text.len().min(MAX_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    CloseFrame { code, reason: text[..end].into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_a_close_frame() {
        let table = [("short".to_owned(), 5), ("x".repeat(200), 123), ("ß".repeat(100), 122)];
        for (text, expected) in table {
            assert_eq!(internal(&text).reason.as_str().len(), expected);
        }
    }

    #[test]
    fn a_signal_is_told_as_shells_do() {
        let table = [(0, 0, 0), (3, 0, 3), (0, 9, 137)];
        for (exit_code_, signal, expected) in table {
            let status = ExitStatus { exit_code: exit_code_, signal, ..ExitStatus::default() };
            assert_eq!(exit_code(&status), expected);
        }
    }
}
