//! What the engine's log stream says, taken apart: a stamp, a space, and output.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use longshore_core::{error::Result, workload::OutputStream};

use crate::engine::docker::frames::Frames;

/// The engine's buffer for a line, bytes: a longer one comes in pieces of this size.
const PIECE_BYTES: usize = 16 << 10;
/// No stamp is longer, with the space after it.
const STAMP_BYTES: usize = 40;

/// One line of output, or a part of a long one.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) stream: OutputStream,
    /// When the engine received it; none if the engine gives no stamps.
    pub(super) at: Option<SystemTime>,
    pub(super) data: Bytes,
}

/// Takes the stream apart, holding no more than one bounded piece of it.
pub(super) struct Decoder {
    format: Format,
    /// The last stamp of each stream, which is that of what comes without one.
    last: [Option<SystemTime>; 2],
}

enum Format {
    /// Without a terminal: one entry in each frame.
    Framed(Frames),
    /// With one: a single stream, in which only a line's end or a full buffer tells where the next stamp is.
    Plain(Plain),
}

impl Decoder {
    pub(super) fn new(terminal: bool) -> Self {
        let format = if terminal { Format::Plain(Plain::default()) } else { Format::Framed(Frames::default()) };
        Self { format, last: [None; 2] }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        match &mut self.format {
            Format::Framed(frames) => frames.push(data),
            Format::Plain(plain) => plain.buffer.extend_from_slice(data),
        }
    }

    /// Nothing comes any more: what is there is all of it.
    pub(super) fn end(&mut self) {
        if let Format::Plain(plain) = &mut self.format {
            plain.ended = true;
        }
    }

    /// The next whole entry, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let (stream, stamp, data) = match &mut self.format {
            Format::Framed(frames) => {
                let Some(mut piece) = frames.next()? else { return Ok(None) };
                let stamp = if piece.begins { split_stamp(&mut piece.data) } else { None };
                (piece.stream, stamp, piece.data)
            }
            Format::Plain(plain) => match plain.next() {
                Some((stamp, data)) => (OutputStream::Stdout, stamp, data),
                None => return Ok(None),
            },
        };
        let last = &mut self.last[stream as usize];
        *last = stamp.or(*last);
        Ok(Some(Entry { stream, at: *last, data }))
    }
}

/// The output of a terminal.
#[derive(Default)]
struct Plain {
    buffer: BytesMut,
    /// The stamp of what is at the front of the buffer, once that was looked for.
    begun: Option<Option<SystemTime>>,
    ended: bool,
}

impl Plain {
    fn next(&mut self) -> Option<(Option<SystemTime>, Bytes)> {
        let stamp = match self.begun {
            Some(stamp) => stamp,
            None => {
                let stamp = self.begin()?;
                *self.begun.insert(stamp)
            }
        };
        let window = &self.buffer[..self.buffer.len().min(PIECE_BYTES)];
        let length = match window.iter().position(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if window.len() == PIECE_BYTES || self.ended => window.len(),
            None => return None,
        };
        self.begun = None;
        (length > 0).then(|| (stamp, self.buffer.split_to(length).freeze()))
    }

    /// The stamp at the front of the buffer, once all of it must be there.
    fn begin(&mut self) -> Option<Option<SystemTime>> {
        let front = &self.buffer[..self.buffer.len().min(STAMP_BYTES)];
        if front.len() < STAMP_BYTES && !front.contains(&b' ') && !self.ended {
            return None;
        }
        let (stamp, length) = read_stamp(front);
        let _ = self.buffer.split_to(length);
        Some(stamp)
    }
}

/// Takes the stamp and the space after it off the front, if they are there.
fn split_stamp(data: &mut Bytes) -> Option<SystemTime> {
    let (stamp, length) = read_stamp(data);
    let _ = data.split_to(length);
    stamp
}

/// The stamp at the front and how long it is with the space after it; none and 0 when there is none.
fn read_stamp(data: &[u8]) -> (Option<SystemTime>, usize) {
    let end = data.iter().take(STAMP_BYTES).position(|byte| *byte == b' ');
    let text = end.and_then(|end| Some((std::str::from_utf8(&data[..end]).ok()?, end + 1)));
    match text.and_then(|(text, length)| Some((parse_stamp(text)?, length))) {
        Some((stamp, length)) => (Some(stamp), length),
        None => (None, 0),
    }
}

/// RFC 3339 with up to nine decimals, `2026-11-21T05:47:04.123456789Z`, not before 1970.
fn parse_stamp(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once('T')?;
    let (clock, offset) = match time.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let (clock, zone) = time.split_at_checked(time.rfind(['+', '-'])?)?;
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let seconds = digits(hours)? * 3600 + digits(minutes)? * 60;
            (clock, if zone.starts_with('-') { -seconds } else { seconds })
        }
    };
    let (clock, decimals) = clock.split_once('.').unwrap_or((clock, "0"));
    let nanos = digits(decimals)?.checked_mul(10_i64.pow(9_u32.checked_sub(u32::try_from(decimals.len()).ok()?)?))?;
    let clock: Vec<i64> = clock.split(':').map(digits).collect::<Option<_>>()?;
    let date: Vec<i64> = date.split('-').map(digits).collect::<Option<_>>()?;
    let ([year, month @ 1..=12, day @ 1..=31], [hour, minute, second]) = (&date[..], &clock[..]) else { return None };
    let seconds = days_from_civil(*year, *month, *day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let since_epoch = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    UNIX_EPOCH.checked_add(since_epoch)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 in the Gregorian calendar. Years begin in March, so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read() {
        let table: &[(&str, Option<(u64, u32)>)] = &[
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("2000-02-29T12:00:00.5Z", Some((951_825_600, 500_000_000))),
            ("2026-11-21T05:47:04.123456789Z", Some((1_795_240_024, 123_456_789))),
            ("2026-11-21T06:47:04.123456789+01:00", Some((1_795_240_024, 123_456_789))),
            ("1969-12-31T23:59:59Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-21 05:47:04Z", None),
            ("2026-11-21T05:47:04.1234567890Z", None),
            ("2026-11-21T05:47:04", None),
            ("T", None),
            ("", None),
            ("9999999999-01-01T00:00:00Z", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(seconds, nanos)| UNIX_EPOCH + Duration::new(seconds, nanos));
            assert_eq!(parse_stamp(text), expected, "{text}");
        }
    }

    fn decoded(terminal: bool, bytes: &[u8], cut: usize) -> Vec<(OutputStream, u32, Bytes)> {
        let mut decoder = Decoder::new(terminal);
        let mut found = Vec::new();
        let mut take = |decoder: &mut Decoder| {
            while let Some(entry) = decoder.next().unwrap() {
                let at = entry.at.map_or(0, |at| at.duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
                found.push((entry.stream, at, entry.data));
            }
        };
        for part in bytes.chunks(cut) {
            decoder.push(part);
            take(&mut decoder);
        }
        decoder.end();
        take(&mut decoder);
        found
    }

    fn stamp(ns: u32) -> String {
        format!("2026-11-21T05:47:04.{ns:09}Z ")
    }

    #[test]
    fn a_terminals_output_comes_apart_at_lines_and_full_buffers() {
        let full = "x".repeat(PIECE_BYTES);
        let text = [
            &stamp(1),
            "one two\r\n",
            &stamp(2),
            &full,
            &stamp(2),
            &full,
            &stamp(2),
            "rest\r\n",
            &stamp(3),
            "\x01no end",
        ];
        let out = |at, data: &str| (OutputStream::Stdout, at, Bytes::from(data.to_owned()));
        let expected = [out(1, "one two\r\n"), out(2, &full), out(2, &full), out(2, "rest\r\n"), out(3, "\x01no end")];
        for cut in [1, 7, 31, 4096, 1 << 20] {
            assert_eq!(decoded(true, text.concat().as_bytes(), cut), expected, "pieces of {cut}");
        }
    }

    #[test]
    fn a_terminal_that_never_ends_a_line_is_held_in_a_bounded_buffer() {
        let mut decoder = Decoder::new(true);
        decoder.push(stamp(1).as_bytes());
        let mut read = 0;
        for _ in 0..1000 {
            decoder.push(&[b'.'; 1000]);
            while let Some(entry) = decoder.next().unwrap() {
                read += entry.data.len();
                assert!(entry.data.len() <= PIECE_BYTES);
            }
            let Format::Plain(plain) = &decoder.format else { panic!() };
            assert!(plain.buffer.len() < PIECE_BYTES + 1000);
        }
        assert!(read > 1_000_000 - PIECE_BYTES);
    }

    #[test]
    fn frames_have_a_stamp_each_and_long_ones_one_for_all_their_pieces() {
        let long = format!("{}{}", stamp(5), "y".repeat(200_000));
        let frame = |number: u8, data: &str| {
            [&[number, 0, 0, 0], &u32::try_from(data.len()).unwrap().to_be_bytes()[..], data.as_bytes()].concat()
        };
        let bytes = [frame(1, &format!("{}out\n", stamp(4))), frame(2, &long), frame(2, "plain words")].concat();
        let found = decoded(false, &bytes, 1000);
        assert_eq!(found[0], (OutputStream::Stdout, 4, Bytes::from_static(b"out\n")));
        let rest = &found[1..];
        assert!(rest.iter().all(|(stream, at, _)| (*stream, *at) == (OutputStream::Stderr, 5)));
        assert_eq!(rest.iter().map(|(_, _, data)| data.len()).sum::<usize>(), 200_000 + "plain words".len());
    }
}
