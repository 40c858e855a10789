//! Where the engine is, how its errors read to people, and what is tried again.

use std::{
    future::Future,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker as Client, errors::Error};
use longshore_core::error::{HostError, Result};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

use super::{
    tls::{Tls, TlsFiles},
    wire,
};

/// Where Docker listens when nobody says otherwise.
const DEFAULT_ENDPOINT: &str = "/var/run/docker.sock";
/// Longest wait for the head of an answer, in seconds. Calls that may take longer set their own.
pub(super) const CALL_SECONDS: u64 = 120;
/// Longest error text that is read, bytes.
pub(super) const MAX_ERROR_BYTES: usize = 64 << 10;
/// How often an idempotent call is made when the engine fails it for no reason of the call's own, as in Nomad.
const TRIES: u32 = 5;

/// How the engine is reached.
pub(super) enum Endpoint {
    Unix(String),
    Http(String),
    Tls(String, Arc<Tls>),
    /// Not at all; why.
    Unsupported(String),
}

/// Bytes to the engine and back.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket that the runtime does not watch any more, if what comes is to be read from it as it is.
    fn into_socket(self: Box<Self>) -> io::Result<Result<OwnedFd, Connection>>;
}

impl Duplex for UnixStream {
    fn into_socket(self: Box<Self>) -> io::Result<Result<OwnedFd, Connection>> {
        Ok(Ok(self.into_std()?.into()))
    }
}

impl Duplex for TcpStream {
    fn into_socket(self: Box<Self>) -> io::Result<Result<OwnedFd, Connection>> {
        Ok(Ok(self.into_std()?.into()))
    }
}

impl Duplex for TlsStream<TcpStream> {
    fn into_socket(self: Box<Self>) -> io::Result<Result<OwnedFd, Connection>> {
        Ok(Err(self))
    }
}

/// A connection to the engine, however it is reached.
pub(super) type Connection = Box<dyn Duplex>;

/// The engine's address and the client for it, made when first needed.
pub(super) struct Engine {
    endpoint: Endpoint,
    client: OnceLock<Client>,
}

impl Engine {
    /// Without a word of the operator's, the environment counts, as for Docker's own client.
    pub(super) fn new(configured: Option<&str>, tls: Option<&TlsFiles>) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let ambient = (configured.is_none() && variable("DOCKER_TLS_VERIFY").is_some()).then(|| {
            let home = || Some(PathBuf::from(variable("HOME")?).join(".docker"));
            TlsFiles::of_directory(&variable("DOCKER_CERT_PATH").map(PathBuf::from).or_else(home).unwrap_or_default())
        });
        let text = configured.map(str::to_owned).or_else(|| variable("DOCKER_HOST"));
        let endpoint = Endpoint::parse(text.as_deref().unwrap_or(DEFAULT_ENDPOINT), tls.or(ambient.as_ref()));
        Self { endpoint, client: OnceLock::new() }
    }

    /// Whether the engine shares this machine's kernel.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.endpoint, Endpoint::Unix(_))
    }

    /// A client. Each call of it opens a connection of its own, so none outlives a restart of the engine.
    pub(super) fn client(&self) -> Result<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let made = match &self.endpoint {
            Endpoint::Unix(path) => Client::connect_with_unix(path, CALL_SECONDS, API_DEFAULT_VERSION),
            Endpoint::Http(address) => Client::connect_with_http(address, CALL_SECONDS, API_DEFAULT_VERSION),
            Endpoint::Tls(address, tls) => {
                let (to, tls) = (address.clone(), tls.clone());
                let transport = move |request: BollardRequest| wire::over_tls(to.clone(), tls.clone(), request);
                let address = format!("https://{address}");
                Client::connect_with_custom_transport(transport, Some(address), CALL_SECONDS, API_DEFAULT_VERSION)
            }
            Endpoint::Unsupported(why) => return Err(HostError::Invalid(why.clone())),
        };
        let client = made.map_err(|error| self.explain(error))?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let connected: io::Result<Connection> = match &self.endpoint {
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as Connection),
            Endpoint::Http(address) => TcpStream::connect(address).await.map(|stream| Box::new(stream) as Connection),
            Endpoint::Tls(address, tls) => tls.connect(address).await.map(|stream| Box::new(stream) as Connection),
            Endpoint::Unsupported(why) => return Err(HostError::Invalid(why.clone())),
        };
        connected.map_err(|error| self.silent(&error))
    }

    /// Makes one call. Boxed, as what the client library has in hand meanwhile is much, and its answers are: those who
    /// wait for a container for days would all hold room for it.
    pub(super) async fn call<T, F, R>(&self, call: F) -> Result<T>
    where
        F: FnOnce(Client) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        let client = self.client()?;
        Box::pin(call(client)).await.map_err(|error| self.explain(error))
    }

    /// Makes a call that may be made twice, again when the connection breaks or the engine fails inside.
    pub(super) async fn retry<T, F, R>(&self, call: F) -> Result<T>
    where
        F: Fn(Client) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        self.again(|| self.call(&call)).await
    }

    /// The same for what is no call of the client library's.
    pub(super) async fn again<T, F, R>(&self, call: F) -> Result<T>
    where
        F: Fn() -> R,
        R: Future<Output = Result<T>>,
    {
        let mut pause = Backoff::default();
        for _ in 1..TRIES {
            let answer = call().await;
            if !matches!(answer, Err(HostError::Unavailable(_))) {
                return answer;
            }
            // Not kept while waiting: with the answer that could have come instead, it is large.
            drop(answer);
            pause.wait().await;
        }
        call().await
    }

    /// The host's error for the client's.
    pub(super) fn explain(&self, error: Error) -> HostError {
        match error {
            Error::DockerResponseServerError { status_code, message } => refused(status_code, one_line(&message)),
            Error::DockerStreamError { error } => HostError::Other(one_line(&error)),
            Error::RequestTimeoutError => self.too_slow(),
            Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => self.not_understood(&error),
            Error::InvalidURIError { .. } | Error::URLParseError { .. } | Error::URLEncodedError { .. } => {
                HostError::Invalid(format!("no request can be made of this: {error}"))
            }
            error => self.silent(&error),
        }
    }

    /// A document that came whole is not understood; one that did not broke off.
    pub(super) fn unclear(&self, error: &serde_json::Error) -> HostError {
        if error.is_eof() { self.silent(error) } else { self.not_understood(error) }
    }

    fn not_understood(&self, error: &dyn std::error::Error) -> HostError {
        HostError::Other(format!("Docker Engine at {} answered what is not understood: {error}", self.endpoint))
    }

    /// It took longer than a call may.
    pub(super) fn too_slow(&self) -> HostError {
        HostError::Timeout(format!("Docker Engine at {} did not answer in time", self.endpoint))
    }

    /// It cannot be reached, or broke off.
    pub(super) fn silent(&self, error: &dyn std::error::Error) -> HostError {
        HostError::Unavailable(format!(
            "Docker Engine at {} does not answer: {}; start it or set docker.endpoint",
            self.endpoint,
            root_cause(error)
        ))
    }
}

impl Endpoint {
    fn parse(text: &str, tls: Option<&TlsFiles>) -> Self {
        let wrong = |what: &str| Self::Unsupported(format!("docker.endpoint {text:?}: {what}"));
        match text.split_once("://") {
            None if text.starts_with('/') => Self::Unix(text.into()),
            Some(("unix", path)) if path.starts_with('/') => Self::Unix(path.into()),
            Some(("tcp" | "http" | "https", address)) if !address.is_empty() => {
                let address = address.trim_end_matches('/').to_owned();
                match tls.map(|files| Tls::new(&address, files)) {
                    Some(Ok(tls)) => Self::Tls(address, Arc::new(tls)),
                    Some(Err(why)) => wrong(&format!("docker.tls: {why}")),
                    None if text.starts_with("https") => wrong("name the engine's authority in docker.tls.ca"),
                    None => Self::Http(address),
                }
            }
            _ => wrong("not an address of a Docker Engine, like `unix:///var/run/docker.sock` or `tcp://host:port`"),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => f.write_str(path),
            Self::Http(address) | Self::Tls(address, _) => f.write_str(address),
            Self::Unsupported(why) => f.write_str(why),
        }
    }
}

/// The engine understood and refused.
pub(super) fn refused(status: u16, message: String) -> HostError {
    let taken = ["port is already allocated", "address already in use"].iter().any(|text| message.contains(text));
    match status {
        _ if taken => HostError::Conflict(message),
        400 | 501 => HostError::Invalid(message),
        401 | 403 => HostError::Denied(message),
        404 => HostError::NotFound(message),
        409 => HostError::Conflict(message),
        // What went wrong inside the engine may go well another time.
        500 | 503 => explained(message),
        _ => HostError::Other(message),
    }
}

/// A refusal as the engine words it: JSON with a message, or just text.
pub(super) fn refused_with(status: u16, body: &[u8]) -> HostError {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice(body).map(|said: Said| said.message);
    let message = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    refused(status, if message.trim().is_empty() { format!("status {status}") } else { one_line(&message) })
}

/// Podman has this one number for nearly all that goes wrong; what did, its words tell.
fn explained(message: String) -> HostError {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&["that name is already in use", "can only kill running containers"]) {
        HostError::Conflict(message)
    } else if says(&["network not found", "no such volume"]) {
        HostError::NotFound(message)
    } else if says(&["command that was not found", "no command or entrypoint provided", "invalid argument"]) {
        HostError::Invalid(message)
    } else {
        HostError::Unavailable(message)
    }
}

/// Errors of the host are one line each.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The innermost cause: "Connection refused" rather than "client error (Connect)".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    one_line(&cause.to_string())
}

/// Pauses that grow from 50 ms to 5 s.
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl Backoff {
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        let nowhere = TlsFiles::of_directory("/no/such/directory".as_ref());
        let table = [
            ("/run/docker.sock", None, "unix /run/docker.sock"),
            ("unix:///run/docker.sock", Some(&nowhere), "unix /run/docker.sock"),
            ("tcp://127.0.0.1:2375", None, "http 127.0.0.1:2375"),
            ("http://127.0.0.1:2375/", None, "http 127.0.0.1:2375"),
            ("tcp://127.0.0.1:2376", Some(&nowhere), "docker.tls: /no/such/directory/ca.pem: "),
            ("https://engine:2376", None, "docker.tls.ca"),
            ("ssh://engine", None, "not an address"),
            ("unix://run/docker.sock", None, "not an address"),
            ("docker.sock", None, "not an address"),
            ("", None, "not an address"),
        ];
        for (text, tls, expected) in table {
            let said = match Endpoint::parse(text, tls) {
                Endpoint::Unix(path) => format!("unix {path}"),
                Endpoint::Http(address) => format!("http {address}"),
                Endpoint::Tls(address, _) => format!("tls {address}"),
                Endpoint::Unsupported(why) => why,
            };
            assert!(said.contains(expected), "{text:?}: {said}");
        }
    }

    #[test]
    fn refusals_keep_their_meaning() {
        assert!(matches!(
            refused(500, "Bind for :80 failed: port is already allocated".into()),
            HostError::Conflict(_)
        ));
        assert!(matches!(refused(404, "x".into()), HostError::NotFound(_)));
        assert!(matches!(refused(500, "x".into()), HostError::Unavailable(_)));
        assert!(matches!(refused(418, "x".into()), HostError::Other(_)));
        // Of Podman 4.3.1.
        let taken = "the container name \"t\" is already in use by c268: that name is already in use";
        assert!(matches!(refused(500, taken.into()), HostError::Conflict(_)));
        let absent = "container create: unable to find network with name or ID x: network not found";
        assert!(matches!(refused(500, absent.into()), HostError::NotFound(_)));
        let program = "runc: exec: \"/x\": OCI runtime attempted to invoke a command that was not found";
        assert!(matches!(refused(500, program.into()), HostError::Invalid(_)));
        assert_eq!(one_line("a\n  b\r\n"), "a b");
    }
}
