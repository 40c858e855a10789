//! A socket to one part of the kernel.

use std::os::fd::OwnedFd;

use rustix::{
    io::{Errno, Result},
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, netdevice,
        netlink::SocketAddrNetlink, recv, send, socket_with, sockopt,
    },
};

use super::{
    batch::{Batch, HEADER, u32_at},
    flag,
};

/// Room for large batches and their answers; the default would refuse some 800 elements in one batch.
const BUFFER: usize = 16 << 20;
/// Room for one datagram of answers.
const DATAGRAM: usize = 128 << 10;
/// An answer that is an error or, with code 0, none.
const ERROR: u16 = 2;
/// The end of a dump.
const DONE: u16 = 3;

/// What the kernel said to a batch.
#[derive(Debug, Default)]
pub(in crate::network) struct Answer {
    /// Messages it refused, by number.
    pub refused: Vec<(usize, Errno)>,
    /// Messages it sent, without their headers: type and payload.
    pub messages: Vec<(u16, Vec<u8>)>,
}

impl Answer {
    /// The first refusal as an error, those in `harmless` left out.
    pub fn check(&self, harmless: &[Errno]) -> Result<()> {
        let mut refused = self.refused.iter().map(|(_, error)| *error);
        refused.find(|error| !harmless.contains(error)).map_or(Ok(()), Err)
    }
}

/// A netlink socket. It stays in the network namespace of the thread that opened it and can be used from any.
#[derive(Debug)]
pub(in crate::network) struct Socket {
    socket: OwnedFd,
    /// Room for what the kernel says.
    buffer: Vec<u8>,
}

impl Socket {
    /// For links, addresses, routes and neighbours.
    pub fn route() -> Result<Self> {
        Self::open(None)
    }

    /// For nf_tables and connection tracking.
    pub fn netfilter() -> Result<Self> {
        Self::open(Some(rustix::net::netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        connect(&socket, &SocketAddrNetlink::new(0, 0))?;
        // Only the privileged may; for the others, who can change nothing anyway, the default will do.
        let _ = sockopt::set_socket_send_buffer_size_force(&socket, BUFFER);
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER);
        Ok(Self { socket, buffer: vec![0; DATAGRAM] })
    }

    /// The index of a link by name, without all that the kernel would tell of it.
    pub fn index(&self, name: &str) -> Result<u32> {
        netdevice::name_to_index(&self.socket, name)
    }

    /// Sends a batch and collects what the kernel says, which it has said when `send` returns.
    pub fn transact(&mut self, batch: &Batch) -> Result<Answer> {
        send(&self.socket, batch.bytes(), SendFlags::empty())?;
        let mut answer = Answer::default();
        loop {
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) => answer.read(self.buffer.get(..length).unwrap_or_default()),
                Err(Errno::AGAIN) => return Ok(answer),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for a list; `each` gets every entry's type and payload.
    pub fn dump(
        &mut self,
        kind: u16,
        fixed: &[u8],
        body: impl FnOnce(&mut Batch),
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<()> {
        let mut batch = Batch::new();
        batch.message(kind, flag::DUMP, fixed, body);
        send(&self.socket, batch.bytes(), SendFlags::empty())?;
        loop {
            let (_, length) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
            for (kind, _, payload) in messages(self.buffer.get(..length).unwrap_or_default()) {
                match kind {
                    DONE => return Ok(()),
                    ERROR => return errno(payload).map_or(Ok(()), Err),
                    _ => each(kind, payload),
                }
            }
        }
    }
}

impl Answer {
    fn read(&mut self, datagram: &[u8]) {
        for (kind, number, payload) in messages(datagram) {
            match kind {
                ERROR => self.refused.extend(errno(payload).map(|error| (number as usize, error))),
                DONE => {}
                _ => self.messages.push((kind, payload.to_vec())),
            }
        }
    }
}

/// The code of an error message; none for success.
fn errno(payload: &[u8]) -> Option<Errno> {
    let code = u32_at(payload, 0) as i32;
    (code != 0).then(|| Errno::from_raw_os_error(code.wrapping_neg()))
}

/// Type, number and payload of each message in a datagram.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(datagram, 0) as usize;
        let payload = datagram.get(HEADER..length)?;
        let kind = u16::from_ne_bytes([datagram[4], datagram[5]]);
        let number = u32_at(datagram, 8);
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, number, payload))
    })
}
