//! How much the expressions of one job file may produce.
//!
//! A few lines of HCL can ask for an exabyte (`local.a = "${local.b}${local.b}"`, forty times over). Every value
//! that is copied or made is charged, by its size, to one budget per file.

use std::cell::Cell;

use super::value::Value;

/// Bytes, roughly, that all values made while reading one file may take together.
const TOTAL: usize = 32 << 20;
/// Levels of lists and maps within each other, kept well below what a stack bears.
const DEPTH: usize = 100;
/// What a value costs beside the bytes of its text.
const CELL: usize = 16;

/// What is left.
#[derive(Debug)]
pub struct Budget {
    left: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Cell::new(TOTAL) }
    }
}

impl Budget {
    /// Takes the size of a value; the error is a sentence.
    pub fn charge(&self, value: &Value) -> Result<(), String> {
        let size = size(value, DEPTH).ok_or_else(|| format!("Values may be nested at most {DEPTH} levels deep."))?;
        self.charge_bytes(size)
    }

    /// Takes a number of bytes; once it is used up, every further charge fails.
    pub fn charge_bytes(&self, bytes: usize) -> Result<(), String> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(format!("The expressions of a job file may produce at most {TOTAL} bytes."))
            }
        }
    }
}

fn size(value: &Value, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let inner = match value {
        Value::String(text) => text.len(),
        Value::Number(number) => number.cost(),
        Value::Array(items) => sum(items.iter().map(|item| size(item, depth)))?,
        Value::Object(fields) => sum(fields.iter().map(|(key, item)| Some(key.len() + size(item, depth)?)))?,
        _ => 0,
    };
    Some(inner.saturating_add(CELL))
}

fn sum(mut sizes: impl Iterator<Item = Option<usize>>) -> Option<usize> {
    sizes.try_fold(0usize, |sum, size| Some(sum.saturating_add(size?)))
}
