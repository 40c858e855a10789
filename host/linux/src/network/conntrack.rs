//! Connections the kernel remembers (`linux/netfilter/nfnetlink_conntrack.h`).

use std::net::IpAddr;

use rustix::io::{Errno, Result};

use super::netlink::{Batch, Socket, family, flag};

/// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = (1 << 8) | 2;

/// Forgets every connection that was led to an address: a datagram flow would otherwise go on to whoever had the
/// address, or the port, before. Needs Linux 5.8; older kernels are left to their timeouts.
pub(super) fn forget(socket: &mut Socket, address: IpAddr) -> Result<()> {
    const REPLY: u16 = 2;
    const FILTER: u16 = 25;
    const SOURCE_ADDRESS: u32 = 1;
    let (family, kind, octets) = match address {
        IpAddr::V4(four) => (family::INET, 1, four.octets().to_vec()),
        IpAddr::V6(six) => (family::INET6, 3, six.octets().to_vec()),
    };
    let mut batch = Batch::new();
    batch.message(DELETE, flag::ACK, &[family, 0, 0, 0], |message| {
        message.nested(REPLY, |tuple| tuple.nested(1, |ip| ip.attribute(kind, &octets)));
        message.nested(FILTER, |filter| {
            filter.number(1, 0);
            filter.number(2, SOURCE_ADDRESS);
        });
    });
    socket.transact(&batch)?.check(&[Errno::NOENT, Errno::INVAL, Errno::OPNOTSUPP])
}
