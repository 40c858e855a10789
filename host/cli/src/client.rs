//! The agent's HTTP API, as the commands use it.

mod address;
mod logs;
mod session;

use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::{TcpStream, UnixStream};

pub use address::Address;
pub use logs::LogQuery;
pub use session::{ExecCommand, exec};

use crate::failure::{Failure, Outcome, chain};

/// How long connecting may take; answers may take longer (blocking queries, log streams).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Everything but what may stand in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Escapes one segment of a path, or one value of a query.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A connection's two directions, whatever carries them.
trait Pipe: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Pipe for T {}

/// Speaks to one agent.
#[derive(Clone)]
pub struct Client {
    address: Address,
    token: Option<String>,
}

impl Client {
    /// A client of the agent at an address.
    pub fn new(address: Address, token: Option<String>) -> Self {
        Self { address, token }
    }

    /// Reads a resource; `path` begins with `/v1/`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.call(Method::GET, path, None).await
    }

    /// Writes.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<T> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::failed(chain(&error)))?;
        self.call(Method::PUT, path, Some(body)).await
    }

    /// Writes bytes that are no JSON.
    pub async fn put_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Outcome<T> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// Deletes.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Outcome<T> {
        self.call(Method::DELETE, path, None).await
    }

    /// Like [`Self::get`], but a missing resource is `None`.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Outcome<Option<T>> {
        let response = self.send(Method::GET, path, None).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        decode(checked(response).await?).await.map(Some)
    }

    /// Like [`Self::find`], with the index to wait for a change from.
    pub async fn find_indexed<T: DeserializeOwned>(&self, path: &str) -> Outcome<Option<(T, u64)>> {
        let response = self.send(Method::GET, path, None).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = checked(response).await?;
        let index = response.headers().get("X-Nomad-Index").and_then(|index| index.to_str().ok()?.parse().ok());
        Ok(Some((decode(response).await?, index.unwrap_or(1))))
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Outcome<T> {
        let response = self.send(method, path, body).await?;
        decode(checked(response).await?).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Outcome<http::Response<Incoming>> {
        let pipe = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(pipe)).await.map_err(|error| self.broken(&error))?;
        tokio::spawn(connection);
        let request = self
            .request(method, path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| Failure::failed(chain(&error)))?;
        sender.send_request(request).await.map_err(|error| self.broken(&error))
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let host = match &self.address {
            Address::Unix(_) => "localhost",
            Address::Tcp(authority) => authority,
        };
        let request = Request::builder().method(method).uri(path).header(header::HOST, host);
        match &self.token {
            Some(token) => request.header("X-Nomad-Token", token),
            None => request,
        }
    }

    async fn connect(&self) -> Outcome<Box<dyn Pipe>> {
        let connecting = async {
            Ok(match &self.address {
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Pipe>,
                Address::Tcp(authority) => Box::new(TcpStream::connect(authority.as_str()).await?),
            })
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| self.absent(&error)),
            Err(_) => Err(self.absent(&std::io::ErrorKind::TimedOut.into())),
        }
    }

    fn absent(&self, error: &std::io::Error) -> Failure {
        let failure = Failure::unreachable(format!("no agent answers at {}: {error}", self.address));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                failure.remedy("the socket belongs to the user who started the agent; run this as that user")
            }
            _ => {
                failure.remedy("start one with `longshore agent`, or say where it is with --address or LONGSHORE_ADDR")
            }
        }
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        Failure::unreachable(format!("the agent at {} broke off: {}", self.address, chain(error)))
    }
}

async fn checked(response: http::Response<Incoming>) -> Outcome<http::Response<Incoming>> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = collect(response).await?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let text = if text.is_empty() { status.to_string() } else { text };
    Err(match status {
        StatusCode::FORBIDDEN => {
            Failure::denied(text).remedy("give the agent's token by LONGSHORE_TOKEN or --token-file")
        }
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => Failure::input(text),
        _ => Failure::failed(text),
    })
}

async fn decode<T: DeserializeOwned>(response: http::Response<Incoming>) -> Outcome<T> {
    let body = collect(response).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Failure::failed(format!("the agent's answer is not what this program expects: {error}")))
}

async fn collect(response: http::Response<Incoming>) -> Outcome<Bytes> {
    let body = response.into_body().collect().await;
    Ok(body.map_err(|error| Failure::unreachable(format!("the agent broke off: {}", chain(&error))))?.to_bytes())
}
