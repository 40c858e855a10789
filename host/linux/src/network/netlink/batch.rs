//! Messages as bytes.

use super::flag;

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// The bits of an attribute's type that are no flags.
const KIND: u16 = 0x3fff;

/// Messages that go to the kernel in one piece. A message's number is its place in the batch, from 0.
#[derive(Debug, Default)]
pub(in crate::network) struct Batch {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message: its fixed part, then attributes.
    pub fn message(&mut self, kind: u16, flags: u16, fixed: &[u8], body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        let number = self.starts.len() as u32;
        self.starts.push(start);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(fixed);
        self.pad();
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// Adds a text, which ends with a NUL.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// Adds a number in the machine's order, as links want it.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Adds a number in the network's order, as nf_tables wants it.
    pub fn number_be(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Adds an attribute that holds others. Its length must stay below 64 KiB.
    pub fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.nested_after(kind, &[], body);
    }

    /// Adds an attribute that holds a fixed part and then others.
    pub fn nested_after(&mut self, kind: u16, fixed: &[u8], body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        self.bytes.extend_from_slice(fixed);
        body(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Asks for an answer to message `number`.
    pub fn acknowledge(&mut self, number: usize) {
        if let Some(start) = self.starts.get(number) {
            let place = start + 6..start + 8;
            let flags = u16::from_ne_bytes([self.bytes[place.start], self.bytes[place.start + 1]]) | flag::ACK;
            self.bytes[place].copy_from_slice(&flags.to_ne_bytes());
        }
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The attributes in `bytes`, as far as they are whole: type without flags, and value.
pub(in crate::network) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & KIND;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// A text attribute's value.
pub(in crate::network) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Four bytes at a place, in the machine's order; 0 where there are none.
pub(in crate::network) fn u32_at(bytes: &[u8], place: usize) -> u32 {
    let four = bytes.get(place..place + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut batch = Batch::new();
        batch.message(16, flag::CREATE, &[1, 2], |message| {
            message.text(3, "eth0");
            message.nested(18, |info| info.number(1, 7));
        });
        let bytes = batch.bytes();
        assert_eq!(u32_at(bytes, 0) as usize, bytes.len());
        let found: Vec<_> = attributes(&bytes[HEADER + 4..]).collect();
        assert_eq!((found[0].0, text(found[0].1)), (3, "eth0".into()));
        assert_eq!(attributes(found[1].1).collect::<Vec<_>>(), [(1, &7u32.to_ne_bytes()[..])]);
    }

    proptest! {
        #[test]
        fn torn_attributes_end_the_list(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read: usize = attributes(&bytes).map(|(_, value)| value.len() + 4).sum();
            prop_assert!(read <= bytes.len());
        }
    }
}
