//! Durations as job files write them: Go's, `1m30s`.

use longshore_sdk::Error;

/// Milliseconds of a duration such as `300ms`, `5m` or `1h30m`.
pub fn milliseconds(key: &str, text: &str) -> Result<u32, Error> {
    let wrong = || Error::invalid(format!("{key}: {text:?} is not a duration such as \"5m\" or \"1m30s\""));
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |length| end + length);
        total += number
            * match &rest[end..unit_end] {
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3600e3,
                _ => return Err(wrong()),
            };
        rest = &rest[unit_end..];
    }
    if text.is_empty() || total > f64::from(u32::MAX) { Err(wrong()) } else { Ok(total as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        for (text, expected) in [("5m", 300_000), ("1m30s", 90_000), ("300ms", 300), ("1.5h", 5_400_000), ("0s", 0)] {
            assert_eq!(milliseconds("x", text), Ok(expected), "{text}");
        }
        for text in ["", "5", "m", "1d", "-5m", "1..5s", "9999999999h"] {
            assert!(milliseconds("x", text).is_err(), "{text}");
        }
    }
}
