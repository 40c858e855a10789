//! Sockets: where the API listens, who gets in, how it ends.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, middleware};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Api,
    guard::{self, Guard, Token},
    router,
};

/// Most connections of one listener at a time: those who have no token keep nobody from the socket.
const MAX_CONNECTIONS: usize = 512;
/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long open requests may go on after the end was asked for.
const FAREWELL: Duration = Duration::from_secs(3);
/// Longest path a Unix socket can have, bytes.
const MAX_SOCKET_PATH: usize = 107;

/// Why the API cannot listen.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Another agent is there.
    #[error("another agent listens on {path}; stop it first, or give this one its own data directory")]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// The path is too long for a socket.
    #[error("{path} is too long for a Unix socket (at most 107 bytes); choose a shorter one with http.socket")]
    TooLong {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{path} is there and is no socket; remove it, or choose another path with http.socket")]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The system's answer.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        reason: io::Error,
    },
}

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// Open to its owner; removed when dropped.
    Unix(OwnSocket),
    /// Open to whoever shows the token.
    Tcp(TcpListener, Token),
}

/// A Unix socket and its path.
#[derive(Debug)]
pub struct OwnSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl axum::serve::Listener for OwnSocket {
    type Io = tokio::net::UnixStream;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        axum::serve::Listener::accept(&mut self.listener).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens on a Unix socket only its owner may open (0600). What a dead agent left is replaced, a live
/// one's is refused.
pub fn bind_unix(path: &Path) -> Result<Listener, ServeError> {
    let failed = |reason| ServeError::Listen { address: path.display().to_string(), reason };
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(ServeError::TooLong { path: path.into() });
    }
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(ServeError::NoSocket { path: path.into() });
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(ServeError::Taken { path: path.into() });
        }
    }
    let listener = bind_private(path).map_err(failed)?;
    Ok(Listener::Unix(OwnSocket { listener, path: path.into() }))
}

/// Binds inside a directory nobody else can enter, then moves the socket into place: at no moment can it be
/// opened by others.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let nest = parent.join(format!(".{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&nest)?;
    let bind = || {
        let born = nest.join("s");
        let listener = UnixListener::bind(&born)?;
        fs::set_permissions(&born, fs::Permissions::from_mode(0o600))?;
        fs::rename(&born, path)?;
        Ok(listener)
    };
    let bound = bind();
    let _ = fs::remove_dir_all(&nest);
    bound
}

/// Listens on TCP for clients that show the token.
pub async fn bind_tcp(address: SocketAddr, token: Token) -> Result<Listener, ServeError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|reason| ServeError::Listen { address: address.to_string(), reason })?;
    Ok(Listener::Tcp(listener, token))
}

impl Listener {
    /// The TCP address, if it is one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(listener, _) => listener.local_addr().ok(),
        }
    }
}

/// Serves until `end` is cancelled, then lets open requests finish for a moment.
pub async fn serve(api: Api, listeners: Vec<Listener>, end: CancellationToken) {
    let connections = Connections { tasks: TaskTracker::new(), end };
    let hostname: Arc<str> = api.agent.node().name.as_str().into();
    let open = router(api.clone());
    for listener in listeners {
        let connections = connections.clone();
        match listener {
            Listener::Unix(socket) => {
                connections.tasks.clone().spawn(connections.accept(open.clone(), socket));
            }
            Listener::Tcp(listener, token) => {
                let guard = Guard { token, hostname: hostname.clone() };
                let app = open.clone().layer(middleware::from_fn_with_state(guard, guard::check));
                connections.tasks.clone().spawn(connections.accept(app, listener));
            }
        }
    }
    connections.end.cancelled().await;
    api.end();
    connections.tasks.close();
    if tokio::time::timeout(FAREWELL, connections.tasks.wait()).await.is_err() {
        tracing::debug!("open requests were cut off");
    }
}

#[derive(Clone)]
struct Connections {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Connections {
    /// Takes connections until the end; a failed accept (no file descriptors left, mostly) is tried again.
    async fn accept<L>(self, app: Router, mut listener: L)
    where
        L: axum::serve::Listener,
    {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(room) = room.clone().acquire_owned().await else { return };
            let stream = tokio::select! {
                (stream, _) = listener.accept() => stream,
                () = self.end.cancelled() => return,
            };
            let connection = serve_connection(app.clone(), stream, self.end.clone());
            self.tasks.spawn(async move {
                connection.await;
                drop(room);
            });
        }
    }
}

async fn serve_connection<S>(app: Router, stream: S, end: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}
