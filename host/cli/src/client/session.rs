//! A command inside a task: the frames of `/v1/client/allocation/:id/exec` over a WebSocket.

use std::{convert::Infallible, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::Method;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, handshake::client::generate_key},
};

use super::{Client, Pipe, segment};
use crate::{
    failure::{Failure, Outcome, chain},
    terminal::RawMode,
};

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct ExecCommand {
    /// The allocation's whole id.
    pub alloc: String,
    /// The task.
    pub task: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Give it this program's input.
    pub stdin: bool,
    /// Give it a terminal.
    pub tty: bool,
}

type Socket = WebSocketStream<Box<dyn Pipe>>;
type Sink = SplitSink<Socket, Message>;

/// Runs a command with this program's input and output; answers its exit code. Neither direction waits for the other:
/// a command may take no more input before its output is read.
pub async fn exec(client: &Client, command: &ExecCommand) -> Outcome<i32> {
    let (sink, stream) = open(client, command).await?.split();
    let _raw = command.tty.then(RawMode::enter).flatten();
    let resized = signal(SignalKind::window_change()).map_err(|error| Failure::failed(chain(&error)))?;
    let input = if command.stdin { read_input() } else { mpsc::channel(1).1 };
    tokio::select! {
        ended = print(stream) => ended,
        never = feed(sink, input, command.tty.then_some(resized)) => match never {},
    }
}

/// Prints what the command says, until it ends.
async fn print(mut stream: SplitStream<Socket>) -> Outcome<i32> {
    loop {
        if let Some(code) = receive(stream.next().await).await? {
            return Ok(code);
        }
    }
}

/// Sends input, and the terminal's size at first and whenever it changes. Has no end of its own: the command may have
/// ended while this was typed, and what it said last is still to be read.
async fn feed(mut sink: Sink, mut input: mpsc::Receiver<Vec<u8>>, mut resized: Option<Signal>) -> Infallible {
    let mut input_open = true;
    let mut frame = resized.is_some().then(size).flatten();
    loop {
        if let Some(frame) = frame {
            let _ = sink.send(Message::text(frame.to_string())).await;
        }
        frame = tokio::select! {
            piece = input.recv(), if input_open => {
                input_open = piece.is_some();
                Some(stdin(piece.as_deref()))
            }
            () = changed(&mut resized) => size(),
        };
    }
}

/// The next piece of input; none for its end.
fn stdin(piece: Option<&[u8]>) -> Value {
    match piece {
        Some(data) => json!({"stdin": {"data": STANDARD.encode(data)}}),
        None => json!({"stdin": {"close": true}}),
    }
}

fn size() -> Option<Value> {
    crate::terminal::size().map(|(height, width)| json!({"tty_size": {"height": height, "width": width}}))
}

/// Waits until the terminal has another size; for ever without one.
async fn changed(resized: &mut Option<Signal>) {
    match resized {
        Some(resized) => resized.recv().await.unwrap_or(()),
        None => std::future::pending().await,
    }
}

async fn open(client: &Client, command: &ExecCommand) -> Outcome<Socket> {
    let words = serde_json::to_string(&command.command).map_err(|error| Failure::failed(chain(&error)))?;
    let path = format!(
        "/v1/client/allocation/{}/exec?task={}&tty={}&command={}",
        segment(&command.alloc),
        segment(&command.task),
        command.tty,
        segment(&words),
    );
    let mut request = client
        .request(Method::GET, &path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .body(())
        .map_err(|error| Failure::failed(chain(&error)))?;
    *request.uri_mut() = format!("ws://agent{path}").parse().map_err(|error| Failure::failed(chain(&error)))?;
    let pipe = client.connect().await?;
    let (socket, _) = tokio_tungstenite::client_async(request, pipe).await.map_err(refused)?;
    Ok(socket)
}

fn refused(error: tungstenite::Error) -> Failure {
    match error {
        tungstenite::Error::Http(response) => {
            let text = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            match response.status().as_u16() {
                403 => Failure::denied(text.trim()),
                status if text.trim().is_empty() => Failure::failed(format!("the agent answered {status}")),
                _ => Failure::failed(text.trim()),
            }
        }
        other => Failure::unreachable(chain(&other)),
    }
}

/// Prints what a message carries; answers the exit code when it is the last.
async fn receive(message: Option<Result<Message, tungstenite::Error>>) -> Outcome<Option<i32>> {
    let text = match message {
        Some(Ok(Message::Text(text))) => text,
        Some(Ok(Message::Close(Some(frame)))) if !frame.reason.is_empty() => {
            return Err(Failure::failed(frame.reason.as_str()));
        }
        Some(Ok(Message::Close(_))) | None => return Err(Failure::failed("the session ended without an exit code")),
        Some(Ok(_)) => return Ok(None),
        Some(Err(error)) => return Err(Failure::unreachable(chain(&error))),
    };
    let frame: Value = serde_json::from_str(text.as_str()).map_err(|error| Failure::failed(chain(&error)))?;
    if let Some(data) = data_of(&frame, "stdout")? {
        let mut out = tokio::io::stdout();
        let _ = out.write_all(&data).await;
        let _ = out.flush().await;
    }
    if let Some(data) = data_of(&frame, "stderr")? {
        let mut out = tokio::io::stderr();
        let _ = out.write_all(&data).await;
        let _ = out.flush().await;
    }
    if frame["exited"] == true {
        let code = frame.pointer("/result/exit_code").and_then(Value::as_i64).unwrap_or(0);
        return Ok(Some(i32::try_from(code).unwrap_or(1)));
    }
    Ok(None)
}

fn data_of(frame: &Value, stream: &str) -> Outcome<Option<Vec<u8>>> {
    let Some(data) = frame[stream]["data"].as_str() else { return Ok(None) };
    STANDARD.decode(data).map(Some).map_err(|error| Failure::failed(chain(&error)))
}

/// Standard input in pieces, until its end. A thread of its own: a read from a terminal cannot be given up.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count) = std::io::stdin().lock().read(&mut buffer) {
            if count == 0 || sender.blocking_send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}
