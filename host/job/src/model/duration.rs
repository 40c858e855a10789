//! Durations: `"1h30m"` in job files, integer nanoseconds in JSON.

use std::time::Duration;

/// Units of a Go duration and their length in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a Go duration (`30s`, `1h30m`, `1.5h`, `-5s`) as nanoseconds; the error is worded as Go words it.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: f64 = 0.0;
    let mut exact: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if !number.bytes().any(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        match number.parse::<u64>() {
            Ok(whole) => exact += i128::from(whole) * i128::from(*length),
            Err(_) => total += number.parse::<f64>().map_err(|_| invalid())? * *length as f64,
        }
        rest = tail;
    }
    let sum = exact.saturating_add(total as i128);
    let signed = if negative { -sum } else { sum };
    i64::try_from(signed).map_err(|_| invalid())
}

/// Writes a duration the way Go does: `1h30m0s`, `15s`, `1.5ms`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}µs", nanos as f64 / 1e3);
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", nanos as f64 / 1e6);
    }
    let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60);
    let seconds = (duration.as_secs() % 60) as f64 + f64::from(duration.subsec_nanos()) / 1e9;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `#[serde(with = "nanoseconds")]`: a [`Duration`] as the integer Go writes.
pub mod nanoseconds {
    use std::time::Duration;

    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    /// Writes nanoseconds, at most Go's largest duration (about 292 years).
    pub fn serialize<S: Serializer>(value: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_i64(i64::try_from(value.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Reads nanoseconds; negative ones are an error.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        let nanos = i64::deserialize(input)?;
        u64::try_from(nanos)
            .map(Duration::from_nanos)
            .map_err(|_| D::Error::custom(format!("must be a positive duration, got {nanos}ns")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("30s", Ok(30_000_000_000)),
            ("1h30m", Ok(5_400_000_000_000)),
            ("500ms", Ok(500_000_000)),
            ("1.5s", Ok(1_500_000_000)),
            (".5s", Ok(500_000_000)),
            ("-5s", Ok(-5_000_000_000)),
            ("2us3ns", Ok(2_003)),
            ("2µs", Ok(2_000)),
            ("5", Err("time: missing unit in duration \"5\"")),
            ("1d", Err("time: unknown unit \"d\" in duration \"1d\"")),
            ("", Err("time: invalid duration \"\"")),
            ("s", Err("time: invalid duration \"s\"")),
            ("1.2.3s", Err("time: invalid duration \"1.2.3s\"")),
            ("9999999999h", Err("time: invalid duration \"9999999999h\"")),
        ] {
            assert_eq!(parse_duration(text), expected.map_err(String::from), "{text}");
        }
    }

    #[test]
    fn writes_go_durations() {
        for (nanos, expected) in [
            (0, "0s"),
            (15_000_000_000, "15s"),
            (1_800_000_000_000, "30m0s"),
            (5_400_000_000_000, "1h30m0s"),
            (1_500_000, "1.5ms"),
            (90_500_000_000, "1m30.5s"),
        ] {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), expected);
        }
    }
}
