//! The language as a table: every block and attribute, its name in HCL and in JSON, its type, and what becomes of it.
//!
//! One table drives everything that knows names: reading HCL, reading JSON, suggestions, warnings and refusals.
//! To support a block, give it attributes here, a type in [`model`](crate::model), and take it out of
//! `refused`.

mod finish;
mod group;
mod job;
mod refused;
mod task;

use serde_json::{Map, Value};

pub use job::JOB;

/// A block and what it may hold.
pub struct Block {
    /// In HCL.
    pub name: &'static str,
    /// In the JSON of the block it stands in.
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
};

/// How often a block may stand, and as what it appears in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Once; an object.
    One,
    /// Once; a list of one object.
    OneInList,
    /// Any number of times; a list of objects.
    Many,
    /// Once, as block or attribute; an object of strings.
    Strings,
    /// Once; free-form, for a driver's schema to judge.
    Free,
}

/// An attribute.
pub struct Attribute {
    /// In HCL; empty for what only the agent sets.
    pub name: &'static str,
    /// In JSON.
    pub json: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// What becomes of it.
    pub effect: Effect,
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
    /// Refused, for this reason.
    Refused(&'static str),
}

/// An attribute the agent acts on.
const fn attribute(name: &'static str, json: &'static str, kind: Kind) -> Attribute {
    Attribute { name, json, kind, effect: Effect::Acts }
}

/// An attribute of another effect.
const fn attribute_with(name: &'static str, json: &'static str, kind: Kind, effect: Effect) -> Attribute {
    Attribute { name, json, kind, effect }
}

/// A block that is refused whatever it holds.
const fn refused(name: &'static str, json: &'static str, reason: &'static str) -> Block {
    Block { name, json, shape: Shape::Many, effect: Effect::Refused(reason), ..BLOCK }
}

/// A block that has no effect on a single machine, whatever it holds.
const fn no_effect(name: &'static str, json: &'static str) -> Block {
    Block { name, json, shape: Shape::Many, effect: Effect::NoEffect, ..BLOCK }
}

/// A value that only the agent sets, in JSON.
const fn set_by_agent(json: &'static str, kind: Kind) -> Attribute {
    attribute("", json, kind)
}

/// A count that fits the model's `u32`.
const fn count(error: &'static str) -> Kind {
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

    /// Names of all inner blocks.
    pub fn block_names(&self) -> impl Iterator<Item = &'static str> {
        self.blocks.iter().map(|block| block.name)
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
