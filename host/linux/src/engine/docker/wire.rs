//! Requests whose answer is a stream of output. The client library guesses from the first byte of a stream
//! whether it is framed, and waits for a line's end without bound; who asks here knows, so the bytes come as
//! they are.
//!
//! Each request has a connection of its own, which ends with the answer.

use std::{sync::Arc, time::Duration};

use bollard::BollardRequest;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::handshake,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, UPGRADE},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use longshore_core::error::{HostError, Result};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{
    connect::{CALL_SECONDS, Endpoint, Engine, one_line, refused},
    tls::Tls,
};

/// Longest error text that is read, bytes.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// A connection that was an HTTP request and is now a command's terminal.
pub(super) type Hijacked = TokioIo<Upgraded>;

/// The body of an answer, as it comes.
pub(super) struct Body(Incoming);

impl Body {
    /// The next bytes; none at the end. Cancel-safe.
    pub(super) async fn next(&mut self, engine: &Engine) -> Result<Option<Bytes>> {
        while let Some(frame) = self.0.frame().await {
            let frame = frame.map_err(|error| engine.silent(&error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Engine {
    /// Asks for a stream; `path` begins with a slash and carries the query.
    pub(super) async fn read_stream(&self, path: &str) -> Result<Body> {
        let request = Request::builder().method(Method::GET).uri(path).header(HOST, "docker");
        let answer = self.send(request.body(Full::default())).await?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(answer).await);
        }
        Ok(Body(answer.into_body()))
    }

    /// Posts a document and takes the connection over.
    pub(super) async fn hijack(&self, path: &str, document: &Value) -> Result<Hijacked> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, "docker")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .header(CONTENT_TYPE, "application/json");
        let answer = self.send(request.body(Full::from(document.to_string()))).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(answer).await);
        }
        hyper::upgrade::on(answer).await.map(TokioIo::new).map_err(|error| self.silent(&error))
    }

    async fn send(&self, request: Result<Request<Full<Bytes>>, hyper::http::Error>) -> Result<Response<Incoming>> {
        let request =
            request.map_err(|error| HostError::Invalid(format!("no request can be made of this: {error}")))?;
        let answered = async {
            match self.endpoint() {
                Endpoint::Unix(path) => {
                    self.exchange(UnixStream::connect(path).await.map_err(|error| self.silent(&error))?, request).await
                }
                Endpoint::Http(address) => {
                    self.exchange(TcpStream::connect(address).await.map_err(|error| self.silent(&error))?, request)
                        .await
                }
                Endpoint::Tls(address, tls) => {
                    self.exchange(tls.connect(address).await.map_err(|error| self.silent(&error))?, request).await
                }
                Endpoint::Unsupported(why) => Err(HostError::Invalid(why.clone())),
            }
        };
        timeout(Duration::from_secs(CALL_SECONDS), answered).await.map_err(|_| self.too_slow())?
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        exchange(stream, request).await.map_err(|error| self.silent(&error))
    }
}

async fn exchange<S, B>(stream: S, request: Request<B>) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: hyper::body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the answer's body, or with what the connection became.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

/// A request of the client library, over TLS.
pub(super) async fn over_tls(
    address: String,
    tls: Arc<Tls>,
    request: BollardRequest,
) -> Result<Response<Incoming>, bollard::errors::Error> {
    let (mut head, body) = request.into_parts();
    // The library writes for a proxy; an engine wants the path alone.
    if let Some(path) = head.uri.path_and_query() {
        head.uri = hyper::Uri::from(path.clone());
    }
    head.headers.entry(HOST).or_insert(HeaderValue::from_static("docker"));
    let stream = tls.connect(&address).await?;
    Ok(exchange(stream, Request::from_parts(head, body)).await?)
}

/// What the engine says when it does not do it.
async fn refusal(answer: Response<Incoming>) -> HostError {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ERROR_BYTES).collect().await;
    let text = body.map(|body| body.to_bytes()).unwrap_or_default();
    let said = serde_json::from_slice(&text).map(|said: Said| said.message);
    let message = said.unwrap_or_else(|_| String::from_utf8_lossy(&text).into_owned());
    refused(status.as_u16(), if message.is_empty() { status.to_string() } else { one_line(&message) })
}
