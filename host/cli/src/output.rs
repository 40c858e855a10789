//! What commands print: tables and fields for people, JSON for programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::{Failure, Outcome, chain};

const HEADING: Style = Style::new().bold();

/// Prints a value as indented JSON.
pub fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(chain(&error)))?;
    anstream::println!("{text}");
    Ok(())
}

/// Prints a heading with an empty line before it.
pub fn print_heading(text: &str) {
    anstream::println!("\n{HEADING}{text}{HEADING:#}");
}

/// Prints named fields, one a line, their values aligned. Empty ones are left out.
pub fn print_fields(fields: &[(&str, String)]) {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        anstream::println!("{name:width$} = {}", painted(value));
    }
}

/// Columns aligned by their widest entry.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Prints it, the heads in bold and known states in colour.
    pub fn print(&self) {
        let widths = widths(&self.rows);
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let pad = if column + 1 < row.len() { widths[column] + 2 - cell.chars().count() } else { 0 };
                let text = if number == 0 { format!("{HEADING}{cell}{HEADING:#}") } else { painted(cell) };
                line.push_str(&text);
                line.extend(std::iter::repeat_n(' ', pad));
            }
            anstream::println!("{}", line.trim_end());
        }
    }
}

/// Rows as lines with aligned columns.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let widths = widths(rows);
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The width of each column.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths = vec![0; rows.iter().map(Vec::len).max().unwrap_or(0)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

/// A known state in its colour, anything else as it is.
fn painted(text: &str) -> String {
    let color = match text {
        "running" | "ready" | "healthy" | "complete" | "successful" => AnsiColor::Green,
        "pending" | "starting" | "unhealthy" => AnsiColor::Yellow,
        "failed" | "lost" | "dead" | "down" | "undetected" => AnsiColor::Red,
        _ => return text.to_owned(),
    };
    let style = color.on_default();
    format!("{style}{text}{style:#}")
}

/// The first eight characters of an id: enough to name it on a command line.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// `ip:port`, an IPv6 address in brackets.
pub fn address(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// How long ago a moment (Unix nanoseconds) was: `3m ago`; empty for 0.
pub fn ago(nanoseconds: i64) -> String {
    if nanoseconds <= 0 {
        return String::new();
    }
    let then = UNIX_EPOCH + Duration::from_nanos(nanoseconds.unsigned_abs());
    format!("{} ago", span(SystemTime::now().duration_since(then).unwrap_or_default()))
}

/// A duration in its two largest units: `2d3h`, `4m10s`, `0s`.
pub fn span(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut text = String::new();
    let mut parts = 0;
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            parts += 1;
        }
        if parts == 2 {
            break;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Bytes in the largest unit that leaves a whole part: `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units() {
        let table = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (250, "4m10s"),
            (3_600, "1h"),
            (3_601, "1h1s"),
            (90_061, "1d1h"),
            (864_000, "10d"),
        ];
        for (seconds, expected) in table {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn sizes_use_binary_units() {
        let table = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (64 << 20, "64.0 MiB"), (1 << 40, "1.0 TiB")];
        for (count, expected) in table {
            assert_eq!(bytes(count), expected);
        }
    }
}
