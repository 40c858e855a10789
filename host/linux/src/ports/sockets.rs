//! Sockets that hold a port and do nothing else.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;

use longshore_core::port;
use rustix::{
    io::{Errno, Result},
    net::{AddressFamily, Protocol, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt},
};

/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

/// A transport a number is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// The transports of a protocol.
pub(super) fn transports(protocol: &port::Protocol) -> &'static [Transport] {
    match protocol {
        port::Protocol::Tcp => &[Transport::Tcp],
        port::Protocol::Udp => &[Transport::Udp],
        port::Protocol::Both => &[Transport::Tcp, Transport::Udp],
    }
}

/// Holds a number on all addresses of both families.
pub(super) fn hold(number: u16, protocol: &port::Protocol) -> Result<Vec<OwnedFd>> {
    transports(protocol).iter().map(|transport| hold_one(number, *transport)).collect()
}

/// A socket on ::1 alone beside one that holds the number; it listens, if it is one of TCP. None where there is no such
/// address.
pub(super) fn bound_beside(held: &OwnedFd, number: u16, transport: Transport) -> Result<Option<OwnedFd>> {
    let (kind, protocol) = kind(transport);
    let socket = match socket_with(AddressFamily::INET6, kind, SocketFlags::CLOEXEC, Some(protocol)) {
        Err(Errno::AFNOSUPPORT) => return Ok(None),
        made => made?,
    };
    // Two sockets share a number if both allow it and none listens yet.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseaddr(held, true)?;
    let bound = bind(&socket, &SocketAddrV6::new(Ipv6Addr::LOCALHOST, number, 0, 0));
    let ready = bound.and_then(|()| if transport == Transport::Tcp { listen(&socket, BACKLOG) } else { Ok(()) });
    sockopt::set_socket_reuseaddr(held, false)?;
    match ready {
        Err(Errno::ADDRNOTAVAIL) => Ok(None),
        ready => ready.map(|()| Some(socket)),
    }
}

fn kind(transport: Transport) -> (SocketType, Protocol) {
    match transport {
        Transport::Tcp => (SocketType::STREAM, ipproto::TCP),
        Transport::Udp => (SocketType::DGRAM, ipproto::UDP),
    }
}

fn hold_one(number: u16, transport: Transport) -> Result<OwnedFd> {
    match bound(number, transport, false) {
        // Connections of an ended server linger for a minute, and only those that allow reuse ignore them. A
        // listener is refused all the same.
        Err(Errno::ADDRINUSE) if transport == Transport::Tcp => bound(number, transport, true),
        other => other,
    }
}

fn bound(number: u16, transport: Transport, past_lingering: bool) -> Result<OwnedFd> {
    match bound_in(AddressFamily::INET6, number, transport, past_lingering) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            bound_in(AddressFamily::INET, number, transport, past_lingering)
        }
        other => other,
    }
}

fn bound_in(family: AddressFamily, number: u16, transport: Transport, past_lingering: bool) -> Result<OwnedFd> {
    let (kind, protocol) = kind(transport);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    let address: SocketAddr = if family == AddressFamily::INET6 {
        sockopt::set_ipv6_v6only(&socket, false)?;
        SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, number, 0, 0).into()
    } else {
        SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, number).into()
    };
    if past_lingering {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)?;
    if past_lingering {
        // From now on nobody who allows reuse may share the number with us.
        sockopt::set_socket_reuseaddr(&socket, false)?;
    }
    Ok(socket)
}
