//! Datagrams that come to a port on ::1.
//!
//! Each sender has a socket of its own towards the allocation, by which the answers find their way back, until neither
//! side has said anything for a while.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
    time::{Instant, sleep},
};

use super::PAUSE;

/// Most senders of one port at a time; whoever has been silent for longest makes room for the next.
const MOST: usize = 256;
/// How long neither side may say nothing. The kernel's patience with those it maps.
const SILENCE: Duration = Duration::from_secs(120);
/// Datagrams of one sender that wait for their turn; more are lost, as datagrams may be.
const WAITING: usize = 32;
/// The longest datagram.
const LONGEST: usize = 65_535;

/// The socket, in the current runtime.
pub(super) fn open(socket: OwnedFd) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// A sender, as it is known here.
struct Flow {
    to: Sender<Vec<u8>>,
    last: Instant,
}

/// Leads datagrams until it is dropped.
pub(super) async fn serve(socket: UdpSocket, to: SocketAddr) {
    let socket = Arc::new(socket);
    let mut known: HashMap<SocketAddr, Flow> = HashMap::new();
    let mut flows = JoinSet::new();
    loop {
        tokio::select! {
            ready = socket.readable() => match ready.and_then(|()| receive(&socket)) {
                Ok(Some((datagram, from))) => {
                    let flow = known.entry(from).or_insert_with(|| {
                        let (to_flow, datagrams) = channel(WAITING);
                        flows.spawn(lead(socket.clone(), from, datagrams, to));
                        Flow { to: to_flow, last: Instant::now() }
                    });
                    flow.last = Instant::now();
                    let _ = flow.to.try_send(datagram);
                    if known.len() > MOST && let Some(silent) = longest_silent(&known) {
                        // Without a sender it ends.
                        known.remove(&silent);
                    }
                }
                Ok(None) => {}
                Err(_) => sleep(PAUSE).await,
            },
            Some(ended) = flows.join_next() => {
                // Another with the same address may have begun.
                if let Ok(from) = ended && known.get(&from).is_some_and(|flow| flow.to.is_closed()) {
                    known.remove(&from);
                }
            }
        }
    }
}

fn longest_silent(known: &HashMap<SocketAddr, Flow>) -> Option<SocketAddr> {
    known.iter().min_by_key(|(_, flow)| flow.last).map(|(from, _)| *from)
}

/// One datagram. Room for it is made when it is there: most of some thousand ports have none most of the time.
fn receive(socket: &UdpSocket) -> io::Result<Option<(Vec<u8>, SocketAddr)>> {
    let mut datagram = Vec::with_capacity(LONGEST);
    match socket.try_recv_buf_from(&mut datagram) {
        Ok((_, from)) => {
            datagram.shrink_to_fit();
            Ok(Some((datagram, from)))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Leads one sender's datagrams there, and the answers back; answers whose it was when it has ended.
async fn lead(here: Arc<UdpSocket>, from: SocketAddr, mut datagrams: Receiver<Vec<u8>>, to: SocketAddr) -> SocketAddr {
    let own: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let Ok(there) = UdpSocket::bind(own).await else { return from };
    if there.connect(to).await.is_err() {
        return from;
    }
    loop {
        // That nobody listens there (yet) is told by an error, and a datagram that is lost is lost.
        tokio::select! {
            sent = datagrams.recv() => match sent {
                Some(datagram) => drop(there.send(&datagram).await),
                None => return from,
            },
            ready = there.readable() => {
                if let Ok(Some((answer, _))) = ready.and_then(|()| receive(&there)) {
                    drop(here.send_to(&answer, from).await);
                }
            }
            () = sleep(SILENCE) => return from,
        }
    }
}
