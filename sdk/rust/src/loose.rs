//! Spellings the JSON of a job may use for one thing: a block is an object or a list of one, a map is an
//! object or a list of objects to merge, a text in a map may be a number or a boolean.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// A map of texts.
pub type Texts = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(many) => many,
            Self::One(one) => vec![one],
        }
    }
}

/// `{a: 1}` or `[{a: 1}, {b: 2}]`; later entries win.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
    let maps = OneOrMany::<BTreeMap<String, Value>>::deserialize(deserializer)?.into_vec();
    let text = |(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(_) | Value::Bool(_) => Ok((key, value.to_string())),
        _ => Err(D::Error::custom(format!("the value of {key:?} must be a string"))),
    };
    maps.into_iter().flatten().map(text).collect()
}

/// Like [`texts`], of port numbers.
pub fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u16>, D::Error> {
    let number = |(key, text): (String, String)| match text.parse() {
        Ok(port) => Ok((key, port)),
        Err(_) => Err(D::Error::custom(format!("the value of {key:?} must be a port number, not {text:?}"))),
    };
    texts(deserializer)?.into_iter().map(number).collect()
}

/// A repeatable block.
pub fn blocks<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    OneOrMany::deserialize(deserializer).map(OneOrMany::into_vec)
}

/// A block that may be there once.
pub fn block<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let mut all = blocks(deserializer)?;
    if all.len() > 1 {
        return Err(D::Error::custom("this block may be there only once"));
    }
    Ok(all.pop())
}
