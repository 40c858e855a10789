//! The one file format between agent and shim: `key=value` records, each ended by a NUL byte, closed by `end=`.
//!
//! Keys repeat (`arg`, `env`, …) and keep their order. NUL cannot occur in arguments, variables or paths, so
//! nothing is ever quoted. The closing record tells a whole file from one that a full disk or a power cut tore.
//! This file is compiled into both ends.

/// Records in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(Vec<(String, Vec<u8>)>);

impl Record {
    /// Adds one; a NUL byte in `value` ends it there.
    pub fn push(&mut self, key: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
        self.0.push((key.into(), value[..end].to_vec()));
    }

    /// The first of this key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_slice())
    }

    /// The first of this key as text; none if it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first of this key as a number.
    pub fn number<N: std::str::FromStr>(&self, key: &str) -> Option<N> {
        self.text(key)?.parse().ok()
    }

    /// All of this key, in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_slice())
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.0 {
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(b'=');
            bytes.extend_from_slice(value);
            bytes.push(0);
        }
        bytes.extend_from_slice(b"end=\0");
        bytes
    }

    /// Reads a file's bytes; none unless it is whole. What follows the closing record is ignored.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut records = Vec::new();
        for line in bytes.split(|byte| *byte == 0) {
            let split = line.iter().position(|byte| *byte == b'=')?;
            let key = std::str::from_utf8(&line[..split]).ok()?;
            if key == "end" {
                return Some(Self(records));
            }
            records.push((key.into(), line[split + 1..].to_vec()));
        }
        None
    }
}
