//! What a text that cannot be parsed is in the middle of.
//!
//! The parser tells how far it came, which for a quote that is not closed, or a `%{` of another language, is the start
//! of the argument around it. This goes through the text by its brackets and quotes alone, to find the place itself.

use std::ops::Range;

/// What is open somewhere in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// `{` of a block or object.
    Brace(usize),
    /// `${` or `%{` of a template.
    Template(usize),
    /// A quoted text.
    Quoted(usize),
    /// A heredoc, and what ends it.
    Heredoc(usize, String),
}

/// What no text may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The line ends before the quoted text.
    Unclosed,
    /// `%{` and a word that is not of the language.
    Keyword(String),
    /// A character that means nothing.
    Character(char),
}

/// A text gone through up to some place.
pub struct Scan {
    /// Innermost last.
    pub open: Vec<Open>,
    /// What was met, in order.
    pub troubles: Vec<(Range<usize>, Trouble)>,
}

/// Goes through a text.
pub fn scan(text: &str) -> Scan {
    let mut scanner = Scanner { text, at: 0, found: Scan { open: Vec::new(), troubles: Vec::new() } };
    while scanner.at < text.len() {
        match scanner.found.open.last() {
            Some(Open::Quoted(start)) => scanner.quoted(*start),
            Some(Open::Heredoc(_, end)) => {
                let end = end.clone();
                scanner.heredoc(&end);
            }
            _ => scanner.code(),
        }
    }
    scanner.found
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    found: Scan,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> char {
        self.rest().chars().next().unwrap_or_default()
    }

    /// Up to the end of the line, without it.
    fn line(&self) -> &'t str {
        self.rest().split('\n').next().unwrap_or_default()
    }

    fn trouble(&mut self, length: usize, trouble: Trouble) {
        self.found.troubles.push((self.at..self.at + length, trouble));
    }

    /// Of blocks and expressions.
    fn code(&mut self) {
        let (rest, next) = (self.rest(), self.next());
        let length = next.len_utf8();
        if next == '#' || rest.starts_with("//") {
            self.at += self.line().len();
            return;
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            self.at += comment.find("*/").map_or(rest.len(), |end| end + 4);
            return;
        }
        if let Some(marker) = marker(self.line()) {
            self.found.open.push(Open::Heredoc(self.at, marker.to_owned()));
            self.at += self.line().len() + 1;
            return;
        }
        match next {
            '"' => self.found.open.push(Open::Quoted(self.at)),
            '{' => self.found.open.push(Open::Brace(self.at)),
            '}' => drop(self.found.open.pop()),
            '&' | '|' if rest[1..].starts_with(next) => self.at += 1,
            '&' | '|' | '\'' | '`' | ';' | '@' | '$' | '^' | '~' | '\u{201c}' | '\u{201d}' | '\u{2018}'
            | '\u{2019}' => {
                // `~` stands beside the braces of a template, too.
                let strips = next == '~' && (rest[1..].starts_with('}') || self.text[..self.at].ends_with('{'));
                if !strips {
                    self.trouble(length, Trouble::Character(next));
                }
            }
            _ => {}
        }
        self.at += length;
    }

    fn quoted(&mut self, start: usize) {
        match self.next() {
            '\\' => self.at += 1 + self.rest()[1..].chars().next().map_or(0, char::len_utf8),
            '"' => {
                self.found.open.pop();
                self.at += 1;
            }
            '\n' => {
                self.found.troubles.push((start..self.at, Trouble::Unclosed));
                // Nothing that follows can be told apart.
                self.at = self.text.len();
            }
            _ => self.template(),
        }
    }

    fn heredoc(&mut self, end: &str) {
        let begins = self.at == 0 || self.text[..self.at].ends_with('\n');
        if begins && self.line().trim() == end {
            self.found.open.pop();
            self.at += self.line().len();
        } else {
            self.template();
        }
    }

    /// One character of a text, or the start of what is to be filled in.
    fn template(&mut self) {
        let rest = self.rest();
        if rest.starts_with("$${") || rest.starts_with("%%{") {
            self.at += 3;
        } else if rest.starts_with("${") || rest.starts_with("%{") {
            let inside = rest[2..].trim_start_matches('~').trim_start();
            let word: String = inside.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rest.starts_with('%') && !["if", "else", "endif", "for", "endfor"].contains(&word.as_str()) {
                self.trouble(2 + rest[2..].find(['}', '\n']).unwrap_or(0), Trouble::Keyword(word));
            }
            self.found.open.push(Open::Template(self.at));
            self.at += 2;
            // To a shell, a length; here, a comment, which would hide the rest of the line.
            if self.next() == '#' {
                self.trouble(1, Trouble::Character('#'));
                self.at += 1;
            }
        } else {
            self.at += self.next().len_utf8();
        }
    }
}

/// The marker that `<<EOF` or `<<-EOF` at the end of a line begins.
fn marker(line: &str) -> Option<&str> {
    let marker = line.strip_prefix("<<")?;
    let marker = marker.strip_prefix('-').unwrap_or(marker).trim_end();
    let fits = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    (!marker.is_empty() && marker.chars().all(fits)).then_some(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_and_what_is_wrong_is_found() {
        let quoted = |at| Open::Quoted(at);
        for (text, open, troubles) in [
            ("a = 1", vec![], vec![]),
            ("a {\n b = \"}{\" # {\n/* { */\n// {\n", vec![Open::Brace(2)], vec![]),
            ("a = \"${b[\"c\"]} \\\" $${ %%{ é", vec![quoted(4)], vec![]),
            ("a = \"b\nc = 'd'", vec![quoted(4)], vec![(4..6, Trouble::Unclosed)]),
            ("a = \"${b", vec![quoted(4), Open::Template(5)], vec![]),
            ("a = <<E\n{ \" ' ; ${x}\n E\nb", vec![], vec![]),
            (
                "a = <<-E\n x %{time} y",
                vec![Open::Heredoc(4, "E".into())],
                vec![(12..18, Trouble::Keyword("time".into()))],
            ),
            ("a = \"%{ if b ~}%{~ endif }\" && c || d", vec![], vec![]),
            (
                "a = b & c | 'd';",
                vec![],
                vec![
                    (6..7, Trouble::Character('&')),
                    (10..11, Trouble::Character('|')),
                    (12..13, Trouble::Character('\'')),
                    (14..15, Trouble::Character('\'')),
                    (15..16, Trouble::Character(';')),
                ],
            ),
            ("}}}", vec![], vec![]),
            ("\"\\", vec![quoted(0)], vec![]),
            ("/*", vec![], vec![]),
            ("%{", vec![Open::Brace(1)], vec![]),
        ] {
            let found = scan(text);
            assert_eq!((found.open, found.troubles), (open, troubles), "{text}");
        }
    }
}
