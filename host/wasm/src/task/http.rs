//! HTTP handlers served on a port: one instance for each request.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView,
    io::TokioIo,
    p2::{
        bindings::{ProxyPre, http::types::Scheme},
        body::HyperOutgoingBody,
    },
};

use super::{Guest, TaskError, TaskHost};

/// Serves until the process is killed.
pub(super) async fn serve(host: TaskHost) -> Result<i32, TaskError> {
    let wrong = |error| host.wrong_world("an HTTP handler (wasi:http/incoming-handler)", &error);
    let pre = host.linker.instantiate_pre(&host.component).and_then(ProxyPre::new).map_err(wrong)?;
    let listener = listen(host.spec.listen_address.as_deref().unwrap_or_default()).await?;
    let server = Arc::new(Server { host, pre });
    loop {
        match listener.accept().await {
            Ok((client, address)) => {
                tokio::spawn(server.clone().serve_client(client, address));
            }
            // Out of file descriptors, or the client is gone already: wait for better times.
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn listen(address: &str) -> Result<TcpListener, TaskError> {
    let failed = |reason: String| TaskError::Listen { address: address.into(), reason };
    let address: SocketAddr =
        address.parse().map_err(|_| failed("an HTTP handler needs `listen`, an address like 127.0.0.1:8080".into()))?;
    TcpListener::bind(address).await.map_err(|error| failed(error.to_string()))
}

struct Server {
    host: TaskHost,
    pre: ProxyPre<Guest>,
}

impl Server {
    async fn serve_client(self: Arc<Self>, client: TcpStream, address: SocketAddr) {
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { server.handle(request).await }
        });
        let connection = http1::Builder::new().keep_alive(true).serve_connection(TokioIo::new(client), service);
        if let Err(error) = connection.await {
            eprintln!("request from {address} failed: {error}");
        }
    }

    /// Runs one request on a fresh instance. The guest may go on after it has answered.
    async fn handle(&self, request: Request<Incoming>) -> wasmtime::Result<Response<HyperOutgoingBody>> {
        let mut store = self.host.store()?;
        let (sender, receiver) = oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let answer = store.data_mut().http().new_response_outparam(sender)?;
        let pre = self.pre.clone();
        let guest = tokio::spawn(async move {
            let proxy = pre.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(store, request, answer).await
        });
        match receiver.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(code)) => Err(code.into()),
            // The guest dropped the answer: what it ended with says why.
            Err(_) => match guest.await? {
                Ok(()) => Err(wasmtime::Error::msg("the component ended without answering the request")),
                Err(error) => Err(error),
            },
        }
    }
}

/// Requests the component sends: plain HTTP when the job allows connections, otherwise none.
pub(super) struct Outbound {
    pub(super) allowed: bool,
}

type Sent = wasmtime_wasi_http::Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>)>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let allowed = self.allowed;
        Box::new(async move { if allowed { send(request).await } else { Err(Error::HttpRequestDenied) } })
    }
}

async fn send(mut request: Request<WasiBody>) -> Sent {
    if request.uri().scheme() == Some(&::http::uri::Scheme::HTTPS) {
        // No TLS in the host: a component that needs it brings its own over sockets.
        return Err(Error::TlsProtocolError);
    }
    let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let io = TokioIo::new(stream.map_err(Error::Connect)?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(Error::Hyper)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(Error::Hyper)?;
    Ok((response.map(|body| body.map_err(Error::Hyper).boxed_unsync()), Box::new(std::future::ready(Ok(())))))
}
