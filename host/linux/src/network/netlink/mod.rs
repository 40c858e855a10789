//! Netlink: a socket, a batch of messages, and a reader of attributes. Messages about links are rtnetlink's; those
//! about nf_tables are written here, because no crate does.
//!
//! Everything blocks for as long as the kernel needs, which is microseconds to milliseconds.

mod batch;
mod socket;

pub(super) use batch::{Batch, attributes, text};
pub(super) use socket::Socket;

/// Message flags (`linux/netlink.h`).
pub(super) mod flag {
    pub const REQUEST: u16 = 0x1;
    pub const ACK: u16 = 0x4;
    pub const DUMP: u16 = 0x300;
    /// Replace what is there.
    pub const REPLACE: u16 = 0x100;
    /// Refuse if it is there.
    pub const EXCLUSIVE: u16 = 0x200;
    pub const CREATE: u16 = 0x400;
    /// At the end of the list.
    pub const APPEND: u16 = 0x800;
}

/// Address families as the kernel numbers them.
pub(super) mod family {
    pub const INET: u8 = 2;
    pub const INET6: u8 = 10;
}
