//! Values of expressions: those of JSON, with HCL's numbers.

use std::fmt::{Display, Formatter};

use serde_json::Value as Json;

use super::number::Number;

/// A map in the order of writing.
pub type Map<K, V> = indexmap::IndexMap<K, V>;

/// What an expression gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// A list, a set or a tuple.
    Array(Vec<Value>),
    /// A map or an object.
    Object(Map<String, Value>),
}

impl Value {
    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is a list.
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// Whether it is a map.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Its text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Its elements, if it is a list.
    pub fn as_array(&self) -> Option<&Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The field of this name.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(key),
            _ => None,
        }
    }

    /// Whether no number in it is infinite.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Number(number) => !number.is_infinite(),
            Self::Array(items) => items.iter().all(Self::is_finite),
            Self::Object(fields) => fields.values().all(Self::is_finite),
            _ => true,
        }
    }

    /// As JSON, which has whole numbers of 64 bits and floats; `None` if a number is too large even for a float.
    pub fn json(&self) -> Option<Json> {
        Some(match self {
            Self::Null => Json::Null,
            Self::Bool(truth) => Json::Bool(*truth),
            Self::Number(number) => match number.whole().and_then(|whole| i64::try_from(whole).ok()) {
                Some(whole) => whole.into(),
                None => Json::Number(serde_json::Number::from_f64(number.float())?),
            },
            Self::String(text) => Json::String(text.clone()),
            Self::Array(items) => Json::Array(items.iter().map(Self::json).collect::<Option<_>>()?),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(key, item)| Some((key.clone(), item.json()?)));
                Json::Object(fields.collect::<Option<_>>()?)
            }
        })
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            // A float of JSON is never out of bounds.
            Json::Number(number) => Number::read(&number.to_string()).map_or(Self::Null, Self::Number),
            Json::String(text) => Self::String(text),
            Json::Array(items) => items.into_iter().collect(),
            Json::Object(fields) => {
                Self::Object(fields.into_iter().map(|(key, item)| (key, Self::from(item))).collect())
            }
        }
    }
}

/// As JSON text, with every digit.
impl Display for Value {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(truth) => truth.fmt(out),
            Self::Number(number) => number.fmt(out),
            Self::String(text) => Json::from(text.as_str()).fmt(out),
            Self::Array(items) => {
                out.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    out.write_str(if index > 0 { "," } else { "" })?;
                    item.fmt(out)?;
                }
                out.write_str("]")
            }
            Self::Object(fields) => {
                out.write_str("{")?;
                for (index, (key, item)) in fields.iter().enumerate() {
                    out.write_str(if index > 0 { "," } else { "" })?;
                    Json::from(key.as_str()).fmt(out)?;
                    out.write_str(":")?;
                    item.fmt(out)?;
                }
                out.write_str("}")
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(whole: i64) -> Self {
        Self::Number(whole.into())
    }
}

impl From<u64> for Value {
    fn from(whole: u64) -> Self {
        Self::Number(whole.into())
    }
}

impl From<usize> for Value {
    fn from(whole: usize) -> Self {
        Self::from(whole as u64)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}
