//! The engine's way to send two streams over one connection: frames of eight bytes of head (the stream's
//! number, three zeros, the length) and as many bytes of output as the head says.

use bytes::{Buf, Bytes, BytesMut};
use longshore_core::{
    error::{HostError, Result},
    workload::OutputStream,
};

use super::connect::one_line;

const HEAD_BYTES: usize = 8;
/// Most that is held of a frame, bytes: a longer one is given in pieces of this size.
pub(super) const MAX_PIECE_BYTES: usize = 64 << 10;

/// A frame, or a part of one that is too long to be held.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) stream: OutputStream,
    /// Whether it is the beginning of its frame.
    pub(super) begins: bool,
    pub(super) data: Bytes,
}

/// Takes framed bytes apart, however they are cut.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    current: Option<Current>,
}

/// The frame whose head was read.
struct Current {
    kind: Kind,
    left: usize,
    begins: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Output(OutputStream),
    /// The engine's own words about why there will be no more.
    Failure,
}

impl Frames {
    pub(super) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole piece, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            let Some(current) = &mut self.current else {
                if self.buffer.len() < HEAD_BYTES {
                    return Ok(None);
                }
                let head = self.buffer.split_to(HEAD_BYTES);
                self.current =
                    Some(Current { kind: kind(head[0])?, left: (&head[4..]).get_u32() as usize, begins: true });
                continue;
            };
            let length = current.left.min(MAX_PIECE_BYTES);
            if self.buffer.len() < length {
                return Ok(None);
            }
            let (kind, begins) = (current.kind, std::mem::take(&mut current.begins));
            current.left -= length;
            if current.left == 0 {
                self.current = None;
            }
            let data = self.buffer.split_to(length).freeze();
            match kind {
                Kind::Failure => return Err(HostError::Invalid(one_line(&String::from_utf8_lossy(&data)))),
                Kind::Output(_) if data.is_empty() => {}
                Kind::Output(stream) => return Ok(Some(Piece { stream, begins, data })),
            }
        }
    }
}

fn kind(number: u8) -> Result<Kind> {
    match number {
        // Standard input, which some engines echo, counts as output of a terminal would.
        0 | 1 => Ok(Kind::Output(OutputStream::Stdout)),
        2 => Ok(Kind::Output(OutputStream::Stderr)),
        3 => Ok(Kind::Failure),
        other => Err(HostError::Other(format!("the engine sent output of an unknown stream, {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u8, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&[number, 0, 0, 0], &length[..], data].concat()
    }

    fn all(frames: &mut Frames) -> Vec<Piece> {
        std::iter::from_fn(|| frames.next().unwrap()).collect()
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let bytes = [frame(1, b"\x01one"), frame(2, b"two\n"), frame(1, b""), frame(1, b"three")].concat();
        for cut in 1..bytes.len() {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for part in bytes.chunks(cut) {
                frames.push(part);
                got.extend(all(&mut frames).into_iter().map(|piece| (piece.stream, piece.data)));
            }
            let expected = [
                (OutputStream::Stdout, Bytes::from_static(b"\x01one")),
                (OutputStream::Stderr, Bytes::from_static(b"two\n")),
                (OutputStream::Stdout, Bytes::from_static(b"three")),
            ];
            assert_eq!(got, expected, "pieces of {cut}");
        }
    }

    #[test]
    fn a_frame_without_end_is_given_in_bounded_pieces() {
        let mut frames = Frames::default();
        frames.push(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        for round in 0..100 {
            frames.push(&[b'x'; MAX_PIECE_BYTES]);
            let pieces = all(&mut frames);
            assert_eq!(pieces.len(), 1);
            assert_eq!((pieces[0].begins, pieces[0].data.len()), (round == 0, MAX_PIECE_BYTES));
        }
        assert!(frames.buffer.is_empty());
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let mut frames = Frames::default();
        frames.push(b"plain text");
        assert!(matches!(frames.next(), Err(HostError::Other(_))));
        let mut frames = Frames::default();
        frames.push(&frame(3, b"driver does not\nread"));
        assert_eq!(frames.next(), Err(HostError::Invalid("driver does not read".into())));
    }
}
