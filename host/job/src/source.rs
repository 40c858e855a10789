//! Text with a name, and places in it.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// A file (or a value given on the command line) as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Offset of the first byte of each line.
    lines: Arc<[usize]>,
}

impl Source {
    /// Names a text; the name is what errors show. A mark that some editors put before a text is not part of it.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        let text: Arc<str> = text.into();
        let text = text.strip_prefix('\u{feff}').map(Arc::from).unwrap_or(text);
        let ends = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self { name: name.into(), text, lines }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a range of bytes; a range outside the text is pulled into it.
    pub fn locate(&self, span: &Range<usize>) -> Location {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end.max(start));
        let (line, column) = self.position(start);
        let (end_line, end_column) = self.position(end);
        Location { file: self.name().into(), line, column, end_line, end_column, start, end }
    }

    /// A line by its number from 1, with its end; empty where there is none.
    pub(crate) fn line(&self, number: usize) -> &str {
        let Some(start) = number.checked_sub(1).and_then(|index| self.lines.get(index)) else { return "" };
        &self.text[*start..self.lines.get(number).copied().unwrap_or(self.text.len())]
    }

    /// The nearest start of a character at or before an offset.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }
}

/// A place in a source: lines and columns count from 1, columns in characters, offsets in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// Name of the source.
    pub file: String,
    /// First line.
    pub line: usize,
    /// First column.
    pub column: usize,
    /// Line in which the place ends.
    pub end_line: usize,
    /// Column just past the place.
    pub end_column: usize,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset just past the last byte.
    pub end: usize,
}

impl std::fmt::Display for Location {
    /// `file:12,3-9`, as HCL writes it.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{},{}-", self.file, self.line, self.column)?;
        if self.end_line != self.line {
            write!(out, "{},", self.end_line)?;
        }
        write!(out, "{}", self.end_column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns_of_characters() {
        let source = Source::new("x.hcl", "a = 1\nß = \"ä\"\n");
        for (span, expected) in [
            (0..1, "x.hcl:1,1-2"),
            (6..8, "x.hcl:2,1-2"),
            (11..15, "x.hcl:2,5-8"),
            (4..8, "x.hcl:1,5-2,2"),
            (7..7, "x.hcl:2,1-1"),
            (900..901, "x.hcl:3,1-1"),
        ] {
            assert_eq!(source.locate(&span).to_string(), expected, "{span:?}");
        }
    }
}
