//! A task's log as a stream of bytes: the frames of `/v1/client/fs/logs`.

use base64::Engine;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;

use super::{Client, checked, segment};
use crate::failure::{Failure, Outcome, chain};

/// Which log, and from where.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// The allocation's whole id.
    pub alloc: String,
    /// The task.
    pub task: String,
    /// `stdout` or `stderr`.
    pub kind: &'static str,
    /// Wait for more until the task is dead.
    pub follow: bool,
    /// Begin so many bytes before the end; none for the start.
    pub tail_bytes: Option<u64>,
}

/// The log's bytes as they come.
pub struct LogStream {
    body: Incoming,
    pending: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Frame {
    data: String,
}

impl Client {
    /// Opens a log.
    pub async fn logs(&self, query: &LogQuery) -> Outcome<LogStream> {
        let from = match query.tail_bytes {
            Some(bytes) => format!("origin=end&offset={bytes}"),
            None => "origin=start&offset=0".into(),
        };
        let path = format!(
            "/v1/client/fs/logs/{}?task={}&type={}&follow={}&{from}",
            segment(&query.alloc),
            segment(&query.task),
            query.kind,
            query.follow,
        );
        let response = checked(self.send(Method::GET, &path, None).await?).await?;
        Ok(LogStream { body: response.into_body(), pending: Vec::new() })
    }
}

impl LogStream {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Outcome<Option<Vec<u8>>> {
        loop {
            let data = self.decode_pending()?;
            if !data.is_empty() {
                return Ok(Some(data));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.pending.extend_from_slice(bytes);
                    }
                }
                Some(Err(error)) => {
                    return Err(Failure::unreachable(format!("the agent broke off: {}", chain(&error))));
                }
            }
        }
    }

    /// Takes every whole frame out of what was received; a cut one stays for later.
    fn decode_pending(&mut self) -> Outcome<Vec<u8>> {
        let mut frames = serde_json::Deserializer::from_slice(&self.pending).into_iter::<Frame>();
        let mut data = Vec::new();
        let mut whole = 0;
        while let Some(frame) = frames.next() {
            match frame {
                Ok(frame) => {
                    let piece = base64::engine::general_purpose::STANDARD
                        .decode(&frame.data)
                        .map_err(|error| Failure::failed(format!("a log frame does not decode: {error}")))?;
                    data.extend(piece);
                    whole = frames.byte_offset();
                }
                Err(error) if error.is_eof() => break,
                Err(error) => return Err(Failure::failed(format!("a log frame does not decode: {error}"))),
            }
        }
        self.pending.drain(..whole);
        Ok(data)
    }
}
