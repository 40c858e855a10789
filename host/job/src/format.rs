//! Job files in the usual form: two spaces a level, `=` aligned in a run of lines; comments and text stay.
//!
//! The text is never taken apart further than into lines, strings, comments and brackets, so nothing can be lost.

use crate::diagnostics::Diagnostics;
use crate::source::Source;

/// A job file in the usual form; fails where it cannot be read at all.
pub fn format(name: &str, text: &str) -> Result<String, Diagnostics> {
    let source = Source::new(name, text);
    crate::hcl::check_syntax(&source)?;
    let lines = scan(source.text());
    let mut out: Vec<String> = Vec::with_capacity(lines.len());
    let mut run: Vec<(usize, String, String)> = Vec::new();
    for line in &lines {
        match line {
            Line::Assignment { depth, name, rest, single: true } => {
                run.push((*depth, name.clone(), rest.clone()));
                continue;
            }
            _ => align(&mut run, &mut out),
        }
        match line {
            Line::Assignment { depth, name, rest, .. } => out.push(format!("{}{name} = {rest}", indent(*depth))),
            Line::Code { depth, text } => {
                // None before the end of a block, nor after its beginning.
                while text.starts_with('}') && out.last().is_some_and(String::is_empty) {
                    out.pop();
                }
                out.push(format!("{}{text}", indent(*depth)));
            }
            Line::Raw(text) => out.push(text.clone()),
            // One empty line is enough, and none is needed at the start.
            Line::Empty if out.last().is_none_or(|last| last.is_empty() || last.ends_with('{')) => {}
            Line::Empty => out.push(String::new()),
        }
    }
    align(&mut run, &mut out);
    let mut formatted = out.join("\n");
    formatted.truncate(formatted.trim_end_matches('\n').len());
    formatted.push('\n');
    Ok(formatted)
}

/// What a line is.
enum Line {
    /// Part of a heredoc or of a long comment.
    Raw(String),
    Empty,
    /// `name = …`; `single` when its value ends on the same line.
    Assignment {
        depth: usize,
        name: String,
        rest: String,
        single: bool,
    },
    Code {
        depth: usize,
        text: String,
    },
}

/// Writes a run of assignments, their signs below each other.
fn align(run: &mut Vec<(usize, String, String)>, out: &mut Vec<String>) {
    let width = run.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or(0);
    for (depth, name, rest) in run.drain(..) {
        let pad = " ".repeat(width - name.chars().count());
        out.push(format!("{}{name}{pad} = {rest}", indent(depth)));
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// What a line is in the middle of.
#[derive(Clone, PartialEq, Eq)]
enum Inside {
    Code,
    Comment,
    Heredoc(String),
}

fn scan(text: &str) -> Vec<Line> {
    let (mut inside, mut depth) = (Inside::Code, 0usize);
    let mut lines = Vec::new();
    for raw in text.lines() {
        if inside != Inside::Code {
            let ended = match &inside {
                Inside::Heredoc(marker) => raw.trim() == marker,
                _ => raw.contains("*/"),
            };
            if ended {
                inside = Inside::Code;
            }
            lines.push(Line::Raw(raw.to_owned()));
            continue;
        }
        let code = raw.trim();
        if code.is_empty() {
            lines.push(Line::Empty);
            continue;
        }
        let brackets = Brackets::of(code);
        let here = depth.saturating_sub(brackets.closes_first);
        depth = (depth + brackets.opens).saturating_sub(brackets.closes);
        let goes_on = brackets.opens != brackets.closes || brackets.inside != Inside::Code;
        lines.push(match assignment(code) {
            Some((name, rest)) => {
                let (name, rest) = (name.to_owned(), rest.to_owned());
                Line::Assignment { depth: here, name, rest, single: !goes_on }
            }
            None => Line::Code { depth: here, text: spaced(code) },
        });
        inside = brackets.inside;
    }
    lines
}

/// `name = value`, and not a comparison.
fn assignment(code: &str) -> Option<(&str, &str)> {
    let (name, rest) = code.split_once('=')?;
    let name = name.trim();
    let plain = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    let is_name = !plain.is_empty() && plain.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter));
    (is_name && !rest.starts_with(['=', '>'])).then(|| (name, rest.trim()))
}

/// `job   "x"{` as `job "x" {`.
fn spaced(code: &str) -> String {
    let Some(head) = code.strip_suffix('{').filter(|head| is_header(head)) else {
        return code.to_owned();
    };
    format!("{} {{", head.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Name and labels of a block, none of which has spaces in it.
fn is_header(head: &str) -> bool {
    let mut words = head.split_whitespace();
    let is_word = |word: &str| word.chars().all(|letter| letter.is_alphanumeric() || "_-./".contains(letter));
    let is_label = |word: &str| {
        is_word(word) || word.len() > 1 && word.strip_prefix('"').and_then(|w| w.strip_suffix('"')).is_some_and(is_word)
    };
    words.next().is_some_and(is_word) && words.all(is_label)
}

/// The brackets of a line that are neither in strings nor in comments.
struct Brackets {
    opens: usize,
    closes: usize,
    /// Closing ones before anything else.
    closes_first: usize,
    /// What the next line is in the middle of.
    inside: Inside,
}

impl Brackets {
    fn of(code: &str) -> Self {
        let mut found = Self { opens: 0, closes: 0, closes_first: 0, inside: Inside::Code };
        let mut only_closed = true;
        let mut rest = code;
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            rest = match letter {
                '#' => return found,
                '/' if after.starts_with('/') => return found,
                '/' if after.starts_with('*') => match after.find("*/") {
                    Some(end) => &after[end + 2..],
                    None => {
                        found.inside = Inside::Comment;
                        return found;
                    }
                },
                '<' if after.starts_with('<') => {
                    let marker = after[1..].trim_start_matches('-').trim();
                    if !marker.is_empty() && marker.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
                        found.inside = Inside::Heredoc(marker.to_owned());
                        return found;
                    }
                    after
                }
                '"' => past_string(after),
                '{' | '[' | '(' => {
                    found.opens += 1;
                    after
                }
                '}' | ']' | ')' => {
                    found.closes += 1;
                    found.closes_first += usize::from(only_closed);
                    after
                }
                _ => after,
            };
            only_closed &= "}]), \t".contains(letter);
        }
        found
    }
}

/// What follows the string whose first quote was just read; strings may stand in its `${…}`.
fn past_string(text: &str) -> &str {
    let mut rest = text;
    let mut levels = 0usize;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        rest = match letter {
            '\\' => after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default(),
            '$' | '%' if after.starts_with('{') => {
                levels += 1;
                &after[1..]
            }
            '{' if levels > 0 => {
                levels += 1;
                after
            }
            '}' if levels > 0 => {
                levels -= 1;
                after
            }
            '"' if levels == 0 => return after,
            '"' => past_string(after),
            _ => after,
        };
    }
    rest
}
