//! Tables, chains, rules, maps and their elements, gathered into one transaction.

use rustix::io::{Errno, Result};

use super::{
    DELETE_ELEMENT, DELETE_RULE, DELETE_TABLE, NEW_CHAIN, NEW_ELEMENT, NEW_MAP, NEW_RULE, NEW_TABLE, expression::Rule,
    header, table_family,
};
use crate::network::netlink::{Batch, Socket, flag};

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`, as the batch's subject.
const SUBJECT: u16 = 10;
/// Elements in one message: the length of its list has 16 bits.
const ELEMENTS: usize = 400;
/// Userdata of a comment: type 0.
const COMMENT: u8 = 0;

/// Where a base chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// Number of the hook.
    pub number: u32,
    pub priority: i32,
}

impl Hook {
    pub const PREROUTING: u32 = 0;
    pub const FORWARD: u32 = 2;
    pub const OUTPUT: u32 = 3;
    pub const POSTROUTING: u32 = 4;
}

/// A map from something joined to something joined.
#[derive(Clone, Copy, Debug)]
pub(in crate::network) struct Map {
    pub name: &'static str,
    /// Tells it from others of the same transaction.
    pub id: u32,
    /// Type numbers and lengths of the key's parts, in bytes.
    pub key: &'static [(u32, u32)],
    /// The same of the value.
    pub value: &'static [(u32, u32)],
}

/// One entry of a map, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::network) struct Element {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// `nft` shows it as a comment.
    pub owner: String,
}

/// Changes that happen together or not at all.
pub(in crate::network) struct Transaction(Batch);

impl Transaction {
    /// Nothing yet.
    pub fn new() -> Self {
        let mut batch = Batch::new();
        batch.message(BATCH_BEGIN, 0, &header(0, SUBJECT), |_| {});
        Self(batch)
    }

    /// Whether it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.0.len() <= 1
    }

    /// Commits. The error is the first the kernel gives.
    pub fn commit(mut self, socket: &mut Socket) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let last = self.0.len() - 1;
        // Kernels before 6.10 do not acknowledge the end of a batch; its last message is acknowledged by all.
        self.0.acknowledge(last);
        self.0.message(BATCH_END, 0, &header(0, SUBJECT), |_| {});
        socket.transact(&self.0)?.check(&[])
    }

    /// A table of both families, unless it is there.
    pub fn table(&mut self, name: &str) {
        self.0.message(NEW_TABLE, flag::CREATE, &header(table_family::INET, 0), |table| table.text(1, name));
    }

    /// Removes a table with all in it.
    pub fn delete_table(&mut self, name: &str) {
        self.0.message(DELETE_TABLE, 0, &header(table_family::INET, 0), |table| table.text(1, name));
    }

    /// A chain, unless it is there; its policy is to accept.
    pub fn chain(&mut self, table: &str, name: &str, hook: Option<Hook>) {
        const ACCEPT: u32 = 1;
        self.0.message(NEW_CHAIN, flag::CREATE, &header(table_family::INET, 0), |chain| {
            chain.text(1, table);
            chain.text(3, name);
            if let Some(hook) = hook {
                chain.nested(4, |place| {
                    place.number_be(1, hook.number);
                    place.number_be(2, hook.priority as u32);
                });
                chain.number_be(5, ACCEPT);
                chain.text(7, hook.kind);
            }
        });
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, table: &str, chain: &str) {
        self.0.message(DELETE_RULE, 0, &header(table_family::INET, 0), |rule| {
            rule.text(1, table);
            rule.text(2, chain);
        });
    }

    /// Removes one rule.
    pub fn delete_rule(&mut self, family: u8, table: &str, chain: &str, handle: u64) {
        self.0.message(DELETE_RULE, 0, &header(family, 0), |rule| {
            rule.text(1, table);
            rule.text(2, chain);
            rule.attribute(3, &handle.to_be_bytes());
        });
    }

    /// A rule at the end of a chain of our own.
    pub fn rule(&mut self, table: &str, chain: &str, rule: Rule) {
        self.add_rule(table_family::INET, table, chain, flag::APPEND, "", rule);
    }

    /// A rule at the head of somebody's chain, with a comment to know it by.
    pub fn first_rule(&mut self, family: u8, table: &str, chain: &str, comment: &str, rule: Rule) {
        self.add_rule(family, table, chain, 0, comment, rule);
    }

    fn add_rule(&mut self, family: u8, table: &str, chain: &str, flags: u16, comment: &str, rule: Rule) {
        self.0.message(NEW_RULE, flag::CREATE | flags, &header(family, 0), |message| {
            message.text(1, table);
            message.text(2, chain);
            message.nested(4, |list| rule.write(list));
            if !comment.is_empty() {
                message.attribute(7, &user_data(comment));
            }
        });
    }

    /// A map, unless it is there.
    pub fn map(&mut self, table: &str, map: &Map) {
        const MAP_OF_JOINED: u32 = 0x8 | 0x80;
        let joined = |parts: &[(u32, u32)]| parts.iter().fold(0, |joined, (kind, _)| (joined << 6) | kind);
        let length = |parts: &[(u32, u32)]| parts.iter().map(|(_, length)| length.next_multiple_of(4)).sum();
        self.0.message(NEW_MAP, flag::CREATE, &header(table_family::INET, 0), |message| {
            message.text(1, table);
            message.text(2, map.name);
            message.number_be(3, MAP_OF_JOINED);
            message.number_be(4, joined(map.key));
            message.number_be(5, length(map.key));
            message.number_be(6, joined(map.value));
            message.number_be(7, length(map.value));
            message.nested(9, |description| {
                description.nested(2, |fields| {
                    for (_, length) in map.key {
                        fields.nested(1, |field| field.number_be(1, *length));
                    }
                });
            });
            message.number_be(10, map.id);
        });
    }

    /// Adds elements; one that is there makes the whole transaction fail with `EXIST`.
    pub fn add_elements(&mut self, table: &str, map: &str, elements: &[Element]) {
        self.elements(NEW_ELEMENT, flag::CREATE | flag::EXCLUSIVE, table, map, elements);
    }

    /// Removes elements; one that is not there makes the whole transaction fail with `NOENT`.
    pub fn delete_elements(&mut self, table: &str, map: &str, elements: &[Element]) {
        self.elements(DELETE_ELEMENT, 0, table, map, elements);
    }

    fn elements(&mut self, kind: u16, flags: u16, table: &str, map: &str, elements: &[Element]) {
        for some in elements.chunks(ELEMENTS) {
            self.0.message(kind, flags, &header(table_family::INET, 0), |message| {
                message.text(1, table);
                message.text(2, map);
                message.nested(3, |list| {
                    for element in some {
                        list.nested(1, |entry| write_element(entry, element, kind == NEW_ELEMENT));
                    }
                });
            });
        }
    }
}

fn write_element(entry: &mut Batch, element: &Element, whole: bool) {
    entry.nested(1, |key| key.attribute(1, &element.key));
    if whole {
        entry.nested(2, |value| value.attribute(1, &element.value));
        entry.attribute(6, &user_data(&element.owner));
    }
}

/// A comment as `nft` keeps it: type, length with the NUL, text.
fn user_data(comment: &str) -> Vec<u8> {
    let shown = &comment.as_bytes()[..comment.len().min(127)];
    [&[COMMENT, shown.len() as u8 + 1], shown, &[0]].concat()
}

/// The text of a comment.
pub(super) fn comment(user_data: &[u8]) -> String {
    let text = user_data.get(2..).unwrap_or_default();
    crate::network::netlink::text(text)
}

/// Whether the kernel has no nf_tables, or not all of it that is needed.
pub(in crate::network) fn is_missing(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::INVAL | Errno::NOENT)
}
