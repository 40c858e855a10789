//! Files as Nomad's agents have them, in HCL 1. It does not ask for a new line after each attribute and in each block, and
//! lets keys in a block be strings: `client { options { "docker.cleanup.image" = "0" } }`.

use std::{iter::Peekable, str::CharIndices};

/// A file as HCL 2 has it.
pub struct Modern {
    /// The file.
    pub text: String,
    /// Where something was put in: its place in the old text, and its length.
    added: Vec<(usize, usize)>,
}

impl Modern {
    /// The place in the old text that a place in the new one stands for.
    pub fn old_place(&self, new: usize) -> usize {
        let mut before = 0;
        for (at, length) in &self.added {
            if at + before + length > new {
                return (*at).min(new.saturating_sub(before));
            }
            before += length;
        }
        new - before
    }
}

/// What was read last of an attribute or of the head of a block.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Nothing,
    Name,
    Equals,
    Value,
}

/// Something between braces, brackets or nothing.
struct Level {
    /// Where what is asked for is not `name = value`.
    is_list: bool,
    is_block: bool,
    seen: Seen,
}

impl Level {
    fn of(is_list: bool, is_block: bool) -> Self {
        Self { is_list, is_block, seen: Seen::Nothing }
    }
}

/// Puts in what HCL 2 asks for. What is no HCL of either kind stays that.
pub fn modern(text: &str) -> Modern {
    let mut modern = Modern { text: String::new(), added: Vec::new() };
    let mut levels = vec![Level::of(false, true)];
    let mut chars = text.char_indices().peekable();
    let mut copied = 0;
    // Whether nothing but space stands before this in its line.
    let mut is_first = true;
    while let Some((at, c)) = chars.next() {
        let put = |modern: &mut Modern, copied: &mut usize, what: &str| {
            modern.text.push_str(&text[*copied..at]);
            modern.text.push_str(what);
            modern.added.push((at, what.len()));
            *copied = at;
        };
        let Some(level) = levels.last_mut() else { break };
        match c {
            '\n' => {
                level.seen = if level.seen == Seen::Value { Seen::Nothing } else { level.seen };
                is_first = true;
                continue;
            }
            _ if c.is_whitespace() => continue,
            '#' => skip_line(&mut chars),
            '/' if text[at..].starts_with("//") => skip_line(&mut chars),
            '/' if text[at..].starts_with("/*") => {
                skip_to(&mut chars, at + text[at..].find("*/").map_or(0, |end| end + 2))
            }
            ',' => level.seen = Seen::Nothing,
            '=' | ':' => level.seen = Seen::Equals,
            '{' => {
                let holds_strings = text[at + 1..].trim_start().starts_with('"');
                let is_head = level.seen == Seen::Name && !level.is_list;
                if is_head && holds_strings {
                    put(&mut modern, &mut copied, "= ");
                }
                level.seen = Seen::Value;
                levels.push(Level::of(false, is_head && !holds_strings));
                is_first = false;
                continue;
            }
            '[' | '(' => {
                level.seen = Seen::Value;
                levels.push(Level::of(true, false));
            }
            '}' | ']' | ')' => {
                if level.is_block && level.seen != Seen::Nothing && !is_first && levels.len() > 1 {
                    put(&mut modern, &mut copied, "\n");
                }
                if levels.len() > 1 {
                    levels.pop();
                }
            }
            _ => {
                let is_new = level.seen == Seen::Value || (level.is_block && level.seen == Seen::Nothing);
                if is_new && !level.is_list && !is_first {
                    put(&mut modern, &mut copied, "\n");
                }
                let has_value = matches!(level.seen, Seen::Equals);
                level.seen = if has_value { Seen::Value } else { Seen::Name };
                skip_word(&mut chars, text, at, c);
            }
        }
        is_first = false;
    }
    modern.text.push_str(&text[copied..]);
    modern
}

fn skip_line(chars: &mut Peekable<CharIndices>) {
    while chars.next_if(|(_, c)| *c != '\n').is_some() {}
}

fn skip_to(chars: &mut Peekable<CharIndices>, end: usize) {
    while chars.next_if(|(at, _)| *at < end).is_some() {}
}

/// Skips what a word, a number, a string or a heredoc has after its first character.
fn skip_word(chars: &mut Peekable<CharIndices>, text: &str, at: usize, first: char) {
    if first == '"' {
        let mut is_escaped = false;
        while let Some((_, c)) = chars.next_if(|(_, c)| *c != '\n') {
            match c {
                '"' if !is_escaped => return,
                _ => is_escaped = c == '\\' && !is_escaped,
            }
        }
    } else if let Some(heredoc) = text[at..].strip_prefix("<<") {
        let name = heredoc.lines().next().unwrap_or_default().trim_start_matches('-').trim();
        let mut end = at;
        for line in text[at..].split_inclusive('\n') {
            end += line.len();
            if line.trim() == name {
                break;
            }
        }
        skip_to(chars, end.saturating_sub(1));
    } else {
        while chars.next_if(|(_, c)| c.is_alphanumeric() || "_-.".contains(*c)).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_put_in() {
        for (old, new) in [
            ("a = 1\nb {\n  c = \"x\"\n}\n", "a = 1\nb {\n  c = \"x\"\n}\n"),
            ("gc { d { e = true } }", "gc { \nd { \ne = true \n} \n}"),
            ("a { b = 1 c = [1, 2] d = { e = 1 f = 2 } }", "a { \nb = 1 \nc = [1, 2] \nd = { e = 1 \nf = 2 } \n}"),
            ("options { \"a.b\" = \"{1}\" }", "options = { \"a.b\" = \"{1}\" }"),
            (
                "options {\n  \"a\" = 1 # x {\n  \"b\" = \"\\\"{\"\n}",
                "options = {\n  \"a\" = 1 # x {\n  \"b\" = \"\\\"{\"\n}",
            ),
            ("plugin \"x\" { }", "plugin \"x\" { }"),
            ("plugin \"x\" { /* { */ config {} }", "plugin \"x\" { /* { */ \nconfig {} \n}"),
            ("a = <<E\n{ x\nE\nb { c {} }", "a = <<E\n{ x\nE\nb { \nc {} \n}"),
        ] {
            assert_eq!(modern(old).text, new, "{old}");
        }
    }

    #[test]
    fn places_are_those_of_the_old_text() {
        let old = "gc { d { e = true } }\nf = 1";
        let new = modern(old);
        for word in ["gc", "d {", "e =", "true", "f = 1"] {
            let place = new.text.find(word).unwrap();
            assert_eq!(Some(new.old_place(place)), old.find(word), "{word}");
        }
    }
}
