//! `[::1]:port` of ports that lead into a network of an allocation's own.
//!
//! The kernel maps a port for every other address of this machine, but no packet from ::1 leaves the loopback interface.
//! So a socket beside the one that holds the port listens on ::1 alone, and what is connected to it is copied. TCP only.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

/// Most connections of one port at a time; others wait until one has ended.
const MOST: usize = 128;
/// How long the allocation may take to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long no more is tried when there are no more files.
const PAUSE: Duration = Duration::from_millis(200);

/// Leads what is connected to a socket somewhere else.
#[derive(Debug)]
pub(super) struct Proxy {
    pub to: SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Begins, in the current runtime.
    pub fn begin(listener: std::net::TcpListener, to: SocketAddr) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { to, task: tokio::spawn(serve(listener, to)) })
    }

    /// Ends; the socket and all connections are closed when this returns.
    pub async fn end(self) {
        self.task.abort();
        // That it was aborted is no news.
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST => match accepted {
                Ok((stream, _)) => drop(connections.spawn(lead(stream, to))),
                Err(_) => sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn lead(mut here: TcpStream, to: SocketAddr) {
    match timeout(CONNECT_WITHIN, TcpStream::connect(to)).await {
        Ok(Ok(mut there)) => {
            // However it ends, both sides have seen it.
            let _ = copy_bidirectional(&mut here, &mut there).await;
        }
        // As if nobody listened.
        _ => drop(here.set_zero_linger()),
    }
}
