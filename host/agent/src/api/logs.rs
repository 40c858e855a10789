//! `/v1/client/fs/logs/:alloc`: a task's output as frames, or plain.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::{Stream, StreamExt, stream};
use longshore_core::workload::OutputStream;
use serde::Deserialize;
use serde_json::json;

use super::{
    Api,
    allocations::find,
    answer::{Query, Refused, Result},
};
use crate::{ControlError, LogPiece, LogStart, LogStream};

/// How often a follower hears that the agent is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    task: String,
    #[serde(rename = "type")]
    kind: String,
    follow: bool,
    origin: String,
    offset: u64,
    plain: bool,
}

pub(super) async fn read(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response> {
    let (kind, start) = wanted.check()?;
    find(&api, &id)?;
    let log = api.agent.logs(&id, &wanted.task, kind, start, wanted.follow)?;
    let log = log.take_until(api.ending.clone().cancelled_owned());
    let (kind, body) = if wanted.plain {
        ("text/plain; charset=utf-8", Body::from_stream(log.map(|piece| piece.map(|piece| piece.data))))
    } else {
        ("application/json", Body::from_stream(frames(Box::pin(log), wanted.follow)))
    };
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

impl Wanted {
    fn check(&self) -> Result<(OutputStream, LogStart)> {
        if self.task.is_empty() {
            return Err(Refused::invalid("must provide task name"));
        }
        let kind = match self.kind.as_str() {
            "stdout" => OutputStream::Stdout,
            "stderr" => OutputStream::Stderr,
            _ => return Err(Refused::invalid("must provide log type (stdout/stderr)")),
        };
        match self.origin.as_str() {
            "" | "start" => Ok((kind, LogStart::Start(self.offset))),
            "end" => Ok((kind, LogStart::End(self.offset))),
            _ => Err(Refused::invalid("origin must be start or end")),
        }
    }
}

/// One frame a piece, and `{}` for every second without one.
fn frames(log: LogStream, follow: bool) -> impl Stream<Item = std::result::Result<Bytes, Infallible>> {
    stream::unfold(log, move |mut log| async move {
        let next = if follow {
            match tokio::time::timeout(HEARTBEAT, log.next()).await {
                Ok(next) => next,
                Err(_) => return Some((Ok(Bytes::from_static(b"{}")), log)),
            }
        } else {
            log.next().await
        };
        Some((Ok(frame(next?)), log))
    })
}

/// A failure midway is told as the last thing the log says: the status line has gone out long ago.
fn frame(piece: std::result::Result<LogPiece, ControlError>) -> Bytes {
    let frame = match piece {
        Ok(piece) => json!({"Offset": piece.offset, "Data": STANDARD.encode(&piece.data), "File": piece.file}),
        Err(error) => {
            json!({"Data": STANDARD.encode(format!("\n[longshore: {error}]\n")), "FileEvent": error.to_string()})
        }
    };
    Bytes::from(frame.to_string())
}
