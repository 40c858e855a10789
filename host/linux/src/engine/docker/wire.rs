//! Requests that the client library has no way for: over TLS, and for a connection that becomes a command's terminal.
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
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    connect::{CALL_SECONDS, Engine, MAX_ERROR_BYTES, refused_with},
    tls::Tls,
};

/// A connection that was an HTTP request and is now a command's terminal.
pub(super) type Hijacked = TokioIo<Upgraded>;

impl Engine {
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
            let connection = self.connect().await?;
            exchange(connection, request).await.map_err(|error| self.silent(&error))
        };
        timeout(Duration::from_secs(CALL_SECONDS), answered).await.map_err(|_| self.too_slow())?
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
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ERROR_BYTES).collect().await;
    refused_with(status.as_u16(), &body.map(|body| body.to_bytes()).unwrap_or_default())
}
