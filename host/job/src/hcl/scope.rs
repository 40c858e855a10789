//! Names an expression may use.

use super::value::{Map, Value};

/// Names, and below them those of the surrounding scope.
#[derive(Debug, Default)]
pub struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    names: Map<String, Value>,
}

impl<'a> Scope<'a> {
    /// No names.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope within this one, with nothing of its own yet.
    pub fn inner(&'a self) -> Self {
        Self { outer: Some(self), names: Map::new() }
    }

    /// Adds a name, hiding one of the surrounding scope.
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        self.names.insert(name.into(), value);
    }

    /// Adds a field to the object of this name, such as a finished local to `local`.
    pub fn set_field(&mut self, name: &str, field: &str, value: Value) {
        let object = self.names.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(fields) = object {
            fields.insert(field.into(), value);
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.names.get(name).or_else(|| self.outer?.get(name))
    }
}
