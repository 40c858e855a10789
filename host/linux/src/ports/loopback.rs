//! `[::1]:port` of ports that lead into a network of an allocation's own.
//!
//! The kernel maps a port for every other address of this machine, but no packet from ::1 leaves the loopback
//! interface. So beside the sockets that hold the port others are bound to ::1 alone, and what comes to them is copied:
//! connections here, datagrams in `datagrams`.

mod datagrams;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::sockets::Transport;

/// Most connections of one port at a time; others wait until one has ended.
const MOST: usize = 128;
/// How long the allocation may take to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long no more is tried when there are no more files.
const PAUSE: Duration = Duration::from_millis(200);

/// Leads what comes to sockets somewhere else. Dropped, it ends some time soon.
#[derive(Debug)]
pub(super) struct Proxy {
    pub to: SocketAddr,
    tasks: JoinSet<()>,
}

impl Proxy {
    /// Begins, in the current runtime, with bound sockets; those of TCP listen.
    pub fn begin(sockets: Vec<(Transport, OwnedFd)>, to: SocketAddr) -> io::Result<Self> {
        let mut tasks = JoinSet::new();
        for (transport, socket) in sockets {
            match transport {
                Transport::Tcp => {
                    let listener = TcpListener::from(socket);
                    listener.set_nonblocking(true)?;
                    tasks.spawn(serve(tokio::net::TcpListener::from_std(listener)?, to));
                }
                Transport::Udp => drop(tasks.spawn(datagrams::serve(datagrams::open(socket)?, to))),
            }
        }
        Ok(Self { to, tasks })
    }

    /// Ends; the sockets and all connections are closed when this returns.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

async fn serve(listener: tokio::net::TcpListener, to: SocketAddr) {
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
