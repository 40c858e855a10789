//! `wasi:http` for drivers: only to engines the operator named, whatever address the guest writes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// Where an engine of an `http:<name>` grant answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpEngine {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`, plain HTTP.
    Tcp(String),
}

/// Sends a guest's requests to the engine that its authority names: `http://lxd/1.0` goes to the engine `lxd`.
pub(crate) struct EngineRouter {
    engines: Arc<BTreeMap<String, HttpEngine>>,
}

impl EngineRouter {
    pub(crate) fn new(engines: Arc<BTreeMap<String, HttpEngine>>) -> Self {
        Self { engines }
    }
}

type ResponseFuture = Box<dyn Future<Output = Result<(Response<WasiBody>, DoneFuture), Error>> + Send>;
type DoneFuture = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for EngineRouter {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: DoneFuture,
    ) -> ResponseFuture {
        let engine = request.uri().authority().and_then(|name| self.engines.get(name.as_str())).cloned();
        Box::new(async move {
            match engine {
                Some(HttpEngine::Unix(path)) => {
                    let stream = connect(UnixStream::connect(path), options).await?;
                    send(stream, request, options).await
                }
                Some(HttpEngine::Tcp(address)) => {
                    let stream = connect(TcpStream::connect(address), options).await?;
                    send(stream, request, options).await
                }
                None => Err(Error::HttpRequestDenied),
            }
        })
    }
}

/// Connects within the time the guest allows.
pub(crate) async fn connect<S>(
    connecting: impl Future<Output = std::io::Result<S>>,
    options: Option<RequestOptions>,
) -> Result<S, Error> {
    match options.and_then(|options| options.connect_timeout) {
        Some(limit) => tokio::time::timeout(limit, connecting).await.map_err(|_| Error::ConnectionTimeout)?,
        None => connecting.await,
    }
    .map_err(Error::Connect)
}

/// One HTTP/1.1 exchange; path and query go out as the guest wrote them.
pub(crate) async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    mut request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<(Response<WasiBody>, DoneFuture), Error> {
    let target = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let target: Uri = target.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    *request.uri_mut() = target;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the response's body was read or dropped: with the store, at the latest.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to an engine ended");
        }
    });
    let sending = sender.send_request(request);
    let response = match options.and_then(|options| options.first_byte_timeout) {
        Some(limit) => tokio::time::timeout(limit, sending).await.map_err(|_| Error::ConnectionReadTimeout)?,
        None => sending.await,
    }?;
    let response = response.map(|body| body.map_err(Error::Hyper).boxed_unsync());
    Ok((response, Box::new(async { Ok(()) })))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::{Empty, Full};
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use tokio::net::UnixListener;

    use super::*;

    /// An engine that answers with what it was asked.
    fn serve(listener: UnixListener) {
        let echo = |request: Request<Incoming>| async move {
            let told = format!("{} {}", request.method(), request.uri());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(told))))
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)));
            }
        });
    }

    async fn ask(router: &mut EngineRouter, uri: &str) -> Result<String, Error> {
        let body = Empty::new().map_err(Error::from).boxed_unsync();
        let request = Request::builder().uri(uri).body(body).unwrap();
        let sending = router.send_request(request, None, Box::new(async { Ok(()) }));
        let (response, _) = Box::into_pin(sending).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn requests_reach_only_named_engines_and_keep_their_query() {
        let scratch = tempfile::tempdir().unwrap();
        let socket = scratch.path().join("engine.sock");
        serve(UnixListener::bind(&socket).unwrap());
        let engines = BTreeMap::from([("lxd".to_owned(), HttpEngine::Unix(socket))]);
        let mut router = EngineRouter::new(Arc::new(engines));
        assert_eq!(ask(&mut router, "http://lxd/1.0?recursion=1&x=y").await.unwrap(), "GET /1.0?recursion=1&x=y");
        for elsewhere in ["http://127.0.0.1/", "http://lxd.example/", "http://lxd:80/", "http://LXD2/"] {
            let refused = ask(&mut router, elsewhere).await.unwrap_err();
            assert!(matches!(refused, Error::HttpRequestDenied), "{elsewhere}: {refused}");
        }
    }
}
