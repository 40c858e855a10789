//! What is in the kernel's tables.

use rustix::io::{Errno, Result};

use super::{
    GET_CHAIN, GET_ELEMENT, GET_GENERATION, GET_RULE,
    expression::meta,
    header,
    objects::{Element, comment},
    table_family,
};
use crate::network::netlink::{Batch, Socket, attributes, text};

/// A chain that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::network) struct Chain {
    pub family: u8,
    pub table: String,
    pub name: String,
    /// Number of its hook, if it has one.
    pub hook: Option<u32>,
    /// Whether what no rule decides is dropped.
    pub drops: bool,
}

/// A rule that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::network) struct Known {
    pub chain: String,
    pub handle: u64,
    pub comment: String,
    /// What it lets pass, if that is all it is about: packets of an interface.
    pub accepts: Option<Passage>,
}

/// Packets that come or leave by an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::network) struct Passage {
    pub incoming: bool,
    /// Its name with a NUL behind it, or how the names of several begin.
    name: Vec<u8>,
}

impl Passage {
    /// Whether it is that of an interface too.
    pub fn is_of(&self, interface: &str) -> bool {
        match self.name.iter().position(|byte| *byte == 0) {
            Some(end) => self.name[..end] == *interface.as_bytes(),
            None => interface.as_bytes().starts_with(&self.name),
        }
    }
}

/// Reads tables.
pub(in crate::network) trait Ruleset {
    /// A number that grows with every transaction on the machine's tables.
    fn generation(&mut self) -> Result<u32>;
    /// All chains of all tables.
    fn chains(&mut self) -> Result<Vec<Chain>>;
    /// The rules of a table, in order; none if there is no such table.
    fn rules(&mut self, family: u8, table: &str) -> Result<Vec<Known>>;
    /// The elements of a map; none if there is no such map.
    fn elements(&mut self, table: &str, map: &str) -> Result<Vec<Element>>;
}

impl Ruleset for Socket {
    fn generation(&mut self) -> Result<u32> {
        let mut batch = Batch::new();
        batch.message(GET_GENERATION, 0, &header(0, 0), |_| {});
        let answer = self.transact(&batch)?;
        answer.check(&[])?;
        let found = answer.messages.first().and_then(|(_, message)| {
            let mut list = attributes(message.get(4..)?);
            list.find(|(kind, _)| *kind == 1).map(|(_, value)| number(value))
        });
        found.ok_or(Errno::PROTO)
    }

    fn chains(&mut self) -> Result<Vec<Chain>> {
        let mut chains = Vec::new();
        self.dump(GET_CHAIN, &header(0, 0), |_| {}, |_, payload| chains.push(read_chain(payload)))?;
        Ok(chains)
    }

    fn rules(&mut self, family: u8, table: &str) -> Result<Vec<Known>> {
        let mut rules = Vec::new();
        let dumped = self.dump(
            GET_RULE,
            &header(family, 0),
            |message| message.text(1, table),
            |_, payload| {
                let found = read_rule(payload);
                // Some kernels do not select.
                if found.0 == table {
                    rules.push(found.1);
                }
            },
        );
        if_there(dumped).map(|()| rules)
    }

    fn elements(&mut self, table: &str, map: &str) -> Result<Vec<Element>> {
        let mut elements = Vec::new();
        let dumped = self.dump(
            GET_ELEMENT,
            &header(table_family::INET, 0),
            |message| {
                message.text(1, table);
                message.text(2, map);
            },
            |_, payload| {
                let list = attributes(payload.get(4..).unwrap_or_default()).filter(|(kind, _)| *kind == 3);
                elements.extend(list.flat_map(|(_, list)| attributes(list)).map(|(_, entry)| read_element(entry)));
            },
        );
        if_there(dumped).map(|()| elements)
    }
}

fn if_there(dumped: Result<()>) -> Result<()> {
    match dumped {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

fn read_chain(payload: &[u8]) -> Chain {
    let mut chain = Chain {
        family: payload.first().copied().unwrap_or(0),
        table: String::new(),
        name: String::new(),
        hook: None,
        drops: false,
    };
    for (kind, value) in attributes(payload.get(4..).unwrap_or_default()) {
        match kind {
            1 => chain.table = text(value),
            3 => chain.name = text(value),
            4 => chain.hook = attributes(value).find(|(kind, _)| *kind == 1).map(|(_, value)| number(value)),
            5 => chain.drops = number(value) == 0,
            _ => {}
        }
    }
    chain
}

fn read_rule(payload: &[u8]) -> (String, Known) {
    let (mut table, mut rule) =
        (String::new(), Known { chain: String::new(), handle: 0, comment: String::new(), accepts: None });
    for (kind, value) in attributes(payload.get(4..).unwrap_or_default()) {
        match kind {
            1 => table = text(value),
            2 => rule.chain = text(value),
            3 => rule.handle = value.try_into().map_or(0, u64::from_be_bytes),
            4 => {
                rule.comment = matched_comment(value).unwrap_or(rule.comment);
                rule.accepts = accepted(value);
            }
            7 => rule.comment = comment(value),
            _ => {}
        }
    }
    (table, rule)
}

/// The attribute of a number among others.
fn part(list: &[u8], number: u16) -> Option<&[u8]> {
    attributes(list).find(|(kind, _)| *kind == number).map(|(_, value)| value)
}

/// What the expressions of `iifname NAME accept` and `oifname NAME accept` let pass; none of any others.
fn accepted(expressions: &[u8]) -> Option<Passage> {
    const EQUAL: u32 = 0;
    const ACCEPT: u32 = 1;
    let all = attributes(expressions).map(|(_, one)| Some((text(part(one, 1)?), part(one, 2).unwrap_or_default())));
    let all: Vec<_> = all.collect::<Option<Vec<_>>>()?.into_iter().filter(|(name, _)| name != "counter").collect();
    let [(meta, key), (cmp, compared), (immediate, verdict)] = &all[..] else { return None };
    let is_such = [meta.as_str(), cmp, immediate] == ["meta", "cmp", "immediate"]
        && number(part(compared, 2)?) == EQUAL
        && number(part(part(part(verdict, 2)?, 2)?, 1)?) == ACCEPT;
    let incoming = match number(part(key, 2)?) {
        meta::INTERFACE_IN => true,
        meta::INTERFACE_OUT => false,
        _ => return None,
    };
    let name = part(part(compared, 3)?, 1)?.to_vec();
    is_such.then_some(Passage { incoming, name })
}

/// The comment in a rule's expressions: where `iptables-restore` leaves one that was beside them when `iptables-save`
/// wrote the rules down.
fn matched_comment(expressions: &[u8]) -> Option<String> {
    let named = |attribute, name| part(attribute, 1).is_some_and(|found| text(found) == name);
    let mut matches = attributes(expressions).filter(|(_, expression)| named(expression, "match"));
    let data = matches.find_map(|(_, expression)| part(expression, 2).filter(|data| named(data, "comment")))?;
    part(data, 3).map(text)
}

fn read_element(entry: &[u8]) -> Element {
    let data = |value| attributes(value).next().map(|(_, data)| data.to_vec()).unwrap_or_default();
    let mut element = Element { key: Vec::new(), value: Vec::new(), owner: String::new() };
    for (kind, value) in attributes(entry) {
        match kind {
            1 => element.key = data(value),
            2 => element.value = data(value),
            6 => element.owner = comment(value),
            _ => {}
        }
    }
    element
}

fn number(value: &[u8]) -> u32 {
    value.get(..4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}
