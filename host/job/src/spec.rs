//! The language as a table: every block and attribute, its name in HCL and in JSON, its type, and what becomes of it.
//!
//! One table drives everything that knows names: reading HCL, reading and printing JSON, suggestions, warnings and
//! refusals. A block that the agent learns to act on changes its [`Effect`] here and nothing else: what it may hold
//! is known already, and [`model`](crate::model) has a place for it.

mod connect;
mod files;
mod finish;
mod group;
mod job;
mod reasons;
mod service;
mod task;

use serde_json::{Map, Value};

pub use finish::{is_shorthand, task_alone};
pub use job::JOB;

/// A block and what it may hold.
pub struct Block {
    /// In HCL; empty for what only JSON has.
    pub name: &'static str,
    /// In the JSON of the block it stands in; in lower case if [`finish`](Self::finish) of that block spells it out.
    pub json: &'static str,
    /// How often it may stand, and as what it appears in JSON.
    pub shape: Shape,
    /// JSON name of the value its label gives; `None` for a block without label.
    pub label: Option<&'static str>,
    /// What becomes of it.
    pub effect: Effect,
    /// Its attributes.
    pub attributes: &'static [Attribute],
    /// The blocks it may hold.
    pub blocks: &'static [&'static Block],
    /// Last touch on the JSON of one such block: shorthands are spelled out. An error is a summary.
    pub finish: Option<Finish>,
    /// Chooses the JSON name by content; ports go to one of two lists.
    pub place: Option<Place>,
    /// The other JSON name that [`place`](Self::place) may choose.
    pub other_json: Option<&'static str>,
    /// What stands in a printed document where it was not written.
    pub absent: Absent,
}

/// What stands in a printed document for what was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// `null`.
    Null,
    /// The zero of its type: `""`, `0`, `false`.
    Zero,
    /// Nothing, not even its name.
    Omitted,
}

/// See [`Block::finish`].
pub type Finish = fn(&mut Map<String, Value>) -> Result<(), String>;

/// See [`Block::place`].
pub type Place = fn(&Map<String, Value>) -> &'static str;

/// A block with nothing said yet, to fill in with `..BLOCK`.
pub const BLOCK: Block = Block {
    name: "",
    json: "",
    shape: Shape::One,
    label: None,
    effect: Effect::Acts,
    attributes: &[],
    blocks: &[],
    finish: None,
    place: None,
    other_json: None,
    absent: Absent::Null,
};

/// How often a block may stand, and as what it appears in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Once; an object.
    One,
    /// Any number of times; a list of objects.
    Many,
    /// Any number of times; an object of objects, by label.
    ByLabel,
    /// Once, as block or attribute; an object of strings.
    Strings,
    /// Once, as block only; an object of strings.
    StringsBlock,
    /// Once; an object of lists of strings.
    Lists,
    /// Once; free-form, for a driver's schema to judge.
    Free,
}

/// An attribute.
pub struct Attribute {
    /// In HCL; empty for what only JSON has.
    pub name: &'static str,
    /// In JSON; in lower case for a shorthand that [`finish`](Block::finish) spells out.
    pub json: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// What becomes of it.
    pub effect: Effect,
    /// What stands in a printed document where it was not written.
    pub absent: Absent,
    /// Whether a block without it is an error.
    pub required: bool,
}

impl Attribute {
    const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// Type of an attribute's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// One of some strings; with what Nomad calls any other.
    Choice(&'static [&'static str], &'static str),
    /// `true` or `false`.
    Bool,
    /// A whole number from … to …; with what is said of any other.
    Whole(i64, i64, &'static str),
    /// A Go duration, not negative; integer nanoseconds in JSON. With what is said of a negative one.
    Duration(&'static str),
    /// A list of strings.
    Texts,
    /// An object of strings.
    Strings,
    /// A list of whole numbers from … to …; with what is said of any other.
    Wholes(i64, i64, &'static str),
    /// Whatever stands there.
    Any,
}

/// What becomes of a block or attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The agent acts on it.
    Acts,
    /// Read and kept, with a warning that it has no effect on a single machine.
    NoEffect,
    /// Read and kept, with this warning.
    Warned(&'static str),
    /// Read and kept; the agent refuses it, for this reason, when the job is submitted.
    Refused(&'static str),
    /// No part of the language any more, for this reason.
    Removed(&'static str),
}

/// An attribute the agent acts on; `null` where it was not written.
const fn attribute(name: &'static str, json: &'static str, kind: Kind) -> Attribute {
    Attribute { name, json, kind, effect: Effect::Acts, absent: Absent::Null, required: false }
}

/// As [`attribute`], but the zero of its type where it was not written.
const fn plain(name: &'static str, json: &'static str, kind: Kind) -> Attribute {
    Attribute { absent: Absent::Zero, ..attribute(name, json, kind) }
}

/// A value that job files cannot hold, only JSON.
const fn only_json(json: &'static str, kind: Kind) -> Attribute {
    attribute("", json, kind)
}

/// A whole number that fits the model's `u32`.
const fn whole(error: &'static str) -> Kind {
    Kind::Whole(0, u32::MAX as i64, error)
}

/// A size that fits the model's `u64`.
const fn size(error: &'static str) -> Kind {
    Kind::Whole(0, i64::MAX, error)
}

impl Block {
    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The inner block of this name.
    pub fn block(&self, name: &str) -> Option<&'static Block> {
        self.blocks.iter().copied().find(|block| block.name == name)
    }

    /// Names of all attributes that can be written in HCL.
    pub fn attribute_names(&self) -> impl Iterator<Item = &'static str> {
        self.attributes.iter().map(|attribute| attribute.name).filter(|name| !name.is_empty())
    }

    /// Names of all inner blocks that can be written in HCL.
    pub fn block_names(&self) -> impl Iterator<Item = &'static str> {
        self.blocks.iter().map(|block| block.name).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(block: &Block) {
        let mut names: Vec<_> = block.attribute_names().chain(block.block_names()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "a name stands twice in {}", block.name);
        block.blocks.iter().for_each(|inner| check(inner));
    }

    #[test]
    fn no_name_stands_twice_in_a_block() {
        check(&JOB);
    }
}
