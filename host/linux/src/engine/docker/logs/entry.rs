//! What one piece of the engine's log stream says: a stamp, a space, and output.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::container::LogOutput;
use bytes::Bytes;
use longshore_core::workload::OutputStream;

use super::PIECE_BYTES;

/// One line of output, or a part of a long one.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) stream: OutputStream,
    /// When the engine received it; none if the stamp cannot be read.
    pub(super) at: Option<SystemTime>,
    pub(super) data: Bytes,
}

/// The entries of a piece. A container without a terminal has one in each; the output of a terminal is one
/// stream, in which only a full buffer (or a line's end) tells where the next stamp is.
pub(super) fn entries(piece: LogOutput) -> Vec<Entry> {
    let stream = if matches!(piece, LogOutput::StdErr { .. }) { OutputStream::Stderr } else { OutputStream::Stdout };
    let terminal = matches!(piece, LogOutput::Console { .. });
    let mut rest = piece.into_bytes();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let at = split_stamp(&mut rest);
        let next_stamp = terminal && rest.len() > PIECE_BYTES && split_stamp(&mut rest.slice(PIECE_BYTES..)).is_some();
        let data = if next_stamp { rest.split_to(PIECE_BYTES) } else { std::mem::take(&mut rest) };
        found.push(Entry { stream, at, data });
    }
    found
}

/// Takes the stamp and the space after it off the front, if they are there.
fn split_stamp(data: &mut Bytes) -> Option<SystemTime> {
    let end = data.iter().take(40).position(|byte| *byte == b' ')?;
    let at = parse_stamp(std::str::from_utf8(&data[..end]).ok()?)?;
    let _ = data.split_to(end + 1);
    Some(at)
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

    #[test]
    fn a_terminals_long_line_comes_apart_again() {
        let stamp = "2026-11-21T05:47:04.000000001Z ";
        let full = "x".repeat(PIECE_BYTES);
        let message = Bytes::from(format!("{stamp}{full}{stamp}rest\n"));
        let data: Vec<_> = entries(LogOutput::Console { message }).into_iter().map(|entry| entry.data).collect();
        assert_eq!(data, [Bytes::from(full), Bytes::from("rest\n")]);
    }

    #[test]
    fn output_without_a_stamp_is_kept() {
        let entry = &entries(LogOutput::StdErr { message: "plain words".into() })[0];
        assert_eq!((entry.stream, entry.at, &entry.data[..]), (OutputStream::Stderr, None, &b"plain words"[..]));
    }
}
