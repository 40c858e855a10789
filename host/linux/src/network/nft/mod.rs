//! nf_tables by its netlink messages (`linux/netfilter/nf_tables.h`). Everything in one batch is one transaction: it
//! happens whole or not at all.

mod expression;
mod objects;
mod read;

pub(super) use expression::{ConnectionState, Rule, Verdict};
pub(super) use objects::{Element, Hook, Map, Transaction, is_missing};
pub(super) use read::{Chain, Known, Ruleset};

/// Families of tables.
pub(super) mod table_family {
    pub const INET: u8 = 1;
    pub const IPV4: u8 = 2;
    pub const IPV6: u8 = 10;
}

/// `NFNL_SUBSYS_NFTABLES`, and the number of a message below it.
const fn kind(message: u16) -> u16 {
    (10 << 8) | message
}

const NEW_TABLE: u16 = kind(0);
const DELETE_TABLE: u16 = kind(2);
const NEW_CHAIN: u16 = kind(3);
const GET_CHAIN: u16 = kind(4);
const NEW_RULE: u16 = kind(6);
const GET_RULE: u16 = kind(7);
const DELETE_RULE: u16 = kind(8);
const NEW_MAP: u16 = kind(9);
const NEW_ELEMENT: u16 = kind(12);
const GET_ELEMENT: u16 = kind(13);
const DELETE_ELEMENT: u16 = kind(14);
const GET_GENERATION: u16 = kind(16);

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}
