//! Text to a tree: hcl-edit, what it refuses although HCL does not, and what to say of what both refuse.

mod scan;

use std::ops::Range;

use hcl_edit::expr::{Expression, Object, ObjectKey};
use hcl_edit::structure::Body;
use hcl_edit::visit_mut::{VisitMut, visit_object_mut};
use hcl_edit::{Decorated, Ident, Span};

use crate::source::Source;
use scan::{Open, Trouble, scan};

/// What a mistake is called, what to do about it, and where it is.
pub struct Mistake {
    pub summary: &'static str,
    pub detail: String,
    pub place: Range<usize>,
}

/// Bytes that may be parsed again in all for things that the library refuses.
const MOST_AGAIN: usize = 16 << 20;

/// The tree of a text.
pub fn read(source: &Source) -> Result<Body, Mistake> {
    let text = source.text();
    let mut mended = Mended { copy: text.to_owned(), keys: Vec::new(), names: 0 };
    let mut left = (MOST_AGAIN / text.len().max(1)).clamp(4, 1000);
    loop {
        match hcl_edit::parser::parse_body(&mended.copy) {
            Ok(mut body) => {
                if !mended.keys.is_empty() {
                    mended.visit_body_mut(&mut body);
                }
                return Ok(body);
            }
            Err(error) => {
                let (at, message) = (error.location().offset().min(text.len()), error.message());
                left -= 1;
                if left == 0 || !mended.mend(at, message) {
                    return Err(explain(source, at, message));
                }
            }
        }
    }
}

/// A text of the same length that the library takes: places in it are those of the text itself, where numbers and
/// keys are read anew.
struct Mended {
    copy: String,
    /// Where keys are that got another name, and their own.
    keys: Vec<(usize, String)>,
    /// How many names were given.
    names: usize,
}

impl Mended {
    fn mend(&mut self, at: usize, message: &str) -> bool {
        self.large_number(at) || message.contains("redefined object key") && self.second_key(at)
    }

    /// `1e400` is no float, and yet a number.
    fn large_number(&mut self, at: usize) -> bool {
        let bytes = self.copy.as_bytes();
        let after_digit = at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_digit());
        if !after_digit || !matches!(bytes.get(at), Some(b'e' | b'E')) {
            return false;
        }
        let start = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let length = bytes[start.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let exponent = start..start + length;
        let is_large = self.copy.get(exponent.clone()).is_some_and(|digits| digits.contains(|digit| digit != '0'));
        if is_large {
            self.copy.replace_range(exponent, &"0".repeat(length));
        }
        is_large
    }

    /// A key may come twice in an object; the last one counts.
    fn second_key(&mut self, at: usize) -> bool {
        let quote = usize::from(self.copy[at..].starts_with('"'));
        let start = at + quote;
        let is_end = |c: char| if quote == 1 { c == '"' } else { !(c.is_alphanumeric() || c == '_' || c == '-') };
        let Some(length) = self.copy[start..].find(is_end).filter(|length| *length > 0) else { return false };
        if self.keys.iter().all(|(place, _)| *place != at) {
            self.keys.push((at, self.copy[start..start + length].to_owned()));
        }
        // A name of the same length that perhaps nobody has; if somebody does, the next one is tried.
        let mut number = self.names;
        self.names += 1;
        let name: String = (0..length)
            .map(|_| {
                let letter = char::from(b'a' + u8::try_from(number % 26).unwrap_or_default());
                number /= 26;
                letter
            })
            .collect();
        self.copy.replace_range(start..start + length, &name);
        true
    }
}

impl VisitMut for Mended {
    fn visit_object_mut(&mut self, object: &mut Object) {
        let own = |key: &ObjectKey| {
            let place = match key {
                ObjectKey::Ident(name) => name.span(),
                ObjectKey::Expression(expr) => expr.span(),
            };
            let start = place?.start;
            self.keys.iter().find(|(at, _)| *at == start).map(|(_, name)| name.clone())
        };
        let renamed: Vec<_> = object.iter().filter_map(|(key, _)| Some((key.clone(), own(key)?))).collect();
        for (key, name) in renamed {
            let Some(value) = object.remove(&key) else { continue };
            let own = match key {
                ObjectKey::Expression(Expression::String(_)) => ObjectKey::Expression(name.into()),
                _ => ObjectKey::Ident(Decorated::new(Ident::new_sanitized(name))),
            };
            object.insert(own, value);
        }
        visit_object_mut(self, object);
    }
}

/// What is wrong, in the words that users of HCL know, and better where those are no help.
fn explain(source: &Source, at: usize, message: &str) -> Mistake {
    let text = source.text();
    let whole = scan(text);
    let line = |offset: usize| source.locate(&(offset..offset)).line;
    let unfinished = message.contains("heredoc end");
    // The library lets quoted texts go over lines, so what it stumbles over may come long after.
    let is_cause = |place: &Range<usize>, trouble: &Trouble| {
        line(place.start) == line(at)
            || unfinished && place.start >= at
            || *trouble == Trouble::Unclosed && place.start < at
    };
    if let Some((place, trouble)) = whole.troubles.iter().find(|(place, trouble)| is_cause(place, trouble)) {
        let (summary, mut detail) = of_trouble(trouble);
        let is_inside = matches!(scan(&text[..place.start]).open.last(), Some(Open::Template(_)));
        if is_inside && matches!(trouble, Trouble::Character(_)) {
            detail.push_str(FOREIGN);
        }
        return Mistake { summary, detail, place: place.clone() };
    }
    let next = text[at..].chars().next();
    let place = at..at + next.filter(|c| *c != '\n').map_or(0, char::len_utf8);
    let opens_here = whole.open.last() == Some(&Open::Brace(at));
    if text[at..].trim().is_empty() || unfinished || opens_here {
        if let Some(Open::Heredoc(start, marker)) = whole.open.last() {
            let detail = format!("No closing marker was found for the string: {marker} alone on a line ends it.");
            return Mistake { summary: "Unterminated template string", detail, place: *start..line_end(text, *start) };
        }
        if let Some(Open::Brace(start)) = whole.open.iter().rev().find(|open| matches!(open, Open::Brace(_))) {
            let detail = "There is no closing brace for this block before the end of the file. This may be caused by \
                          incorrect brace nesting elsewhere in this file.";
            return Mistake {
                summary: "Unclosed configuration block",
                detail: detail.into(),
                place: *start..start + 1,
            };
        }
    }
    let (summary, detail) = of_message(text, at, message, scan(&text[..at]).open.last());
    let place = if summary == ESCAPE { at.saturating_sub(2)..at } else { place };
    Mistake { summary, detail, place }
}

fn line_end(text: &str, start: usize) -> usize {
    start + text[start..].find('\n').unwrap_or(text.len() - start)
}

fn of_trouble(trouble: &Trouble) -> (&'static str, String) {
    match trouble {
        Trouble::Unclosed => ("Invalid multi-line string", super::quoted::DETAIL.into()),
        Trouble::Keyword(word) => (
            "Invalid template control keyword",
            format!(
                "{word:?} is not a valid template control keyword. If this is meant for another language, write %%{{ instead of %{{."
            ),
        ),
        Trouble::Character('&') => operator("AND (\"&&\")"),
        Trouble::Character('|') => operator("OR (\"||\")"),
        Trouble::Character(character) => (
            "Invalid character",
            match character {
                '\'' => "Single quotes are not valid. Use double quotes (\") to enclose strings.".into(),
                '`' => {
                    "The \"`\" character is not valid. To create a multi-line string, use the \"heredoc\" syntax, like \
                        \"<<EOT\"."
                        .into()
                }
                ';' => {
                    "The \";\" character is not valid. Use newlines to separate arguments and blocks, and commas to \
                        separate items in collection values."
                        .into()
                }
                '$' => "A reference needs no \"$\" outside of a string: write x, or \"${x}\".".into(),
                '\u{2018}'..='\u{201d}' => "\"Curly quotes\" are not valid here. These can sometimes be inadvertently \
                        introduced when sharing code via documents or discussion forums. It might help to replace the \
                        character with a \"straight quote\"."
                    .into(),
                _ => "This character is not used within the language.".into(),
            },
        ),
    }
}

fn operator(meant: &str) -> (&'static str, String) {
    ("Unsupported operator", format!("Bitwise operators are not supported. Did you mean boolean {meant}?"))
}

/// What is to be done about a shell's own `${…}`.
const FOREIGN: &str = " If this is an embedded sequence for another language, such as a shell, start it with \"$${\" \
                       instead of \"${\".";
const ESCAPE: &str = "Invalid escape sequence";
const SINGLE: &str = "Invalid single-argument block definition";
const REQUIRED: &str = "Argument or block definition required";

/// By what the parser expected, and what is there instead.
fn of_message(text: &str, at: usize, message: &str, open: Option<&Open>) -> (&'static str, String) {
    let rest = &text[at..];
    let before = text[..at].rsplit('\n').next().unwrap_or_default();
    let next = rest.chars().next().unwrap_or('\n');
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '-').collect();
    let in_block = before.contains('{') && !matches!(open, Some(Open::Template(_)));
    let expects = |what: &str| message.contains(what);
    let (summary, detail) = match next {
        _ if expects("nesting depth") => ("Nested too deeply", "Blocks and expressions nest at most 64 levels deep."),
        _ if expects("chained binary") => ("Too many operators", "At most 128 may stand in a row; parentheses help."),
        _ if expects("redefined attribute") => {
            return (
                "Attribute redefined",
                format!("The argument {word:?} was already set. Each argument may be set only once."),
            );
        }
        _ if expects("escape sequence") => {
            let symbol = text[..at].chars().next_back().unwrap_or_default().to_string();
            return (
                ESCAPE,
                format!("The symbol {symbol:?} is not a valid escape sequence selector. For a backslash, write \\\\."),
            );
        }
        '\n' | '\r' if expects("invalid block body") && in_block => (
            SINGLE,
            "An argument definition on the same line as its containing block creates a single-line block definition, \
             which must also be closed on the same line. Place the block's closing brace immediately after the argument \
             definition.",
        ),
        ',' if expects("invalid block body") && in_block => (
            SINGLE,
            "Single-line block syntax can include only one argument definition. To define multiple arguments, use the \
             multi-line block syntax with one argument definition per line.",
        ),
        '"' if expects("invalid block body") && before.trim().is_empty() => (
            "Invalid argument name",
            "Argument names must not be quoted. Where a name is no identifier, write a map: env = { \"a.b\" = \"c\" }.",
        ),
        _ if expects("invalid block body") && in_block => (
            SINGLE,
            "A single-line block definition must end with a closing brace immediately after its single argument \
             definition.",
        ),
        ',' if expects("newline") => (
            "Unexpected comma after argument",
            "Argument definitions must be separated by newlines, not commas. An argument definition must end with a \
             newline.",
        ),
        _ if expects("newline or eof") => {
            ("Missing newline after argument", "An argument definition must end with a newline.")
        }
        _ if expects("invalid structure") => (
            REQUIRED,
            "An argument or block definition is required here. To set an argument, use the equals sign \"=\" to introduce \
             the argument value.",
        ),
        _ if expects("object value assignment") && before.contains("{{") => (
            "Missing key/value separator",
            "Expected an equals sign (\"=\") to mark the beginning of the attribute value. If {{ … }} is of a template, \
             the job file is what that template makes.",
        ),
        _ if expects("object value assignment") => {
            ("Missing attribute value", "Expected an attribute value, introduced by an equals sign (\"=\").")
        }
        _ if expects("expected `=`") && before.contains('{') => {
            let name = before.rsplit('{').next().unwrap_or_default().split_whitespace().next().unwrap_or_default();
            let detail = format!(
                "A single-line block definition can contain only a single argument. If you meant to define argument \
                 {name:?}, use an equals sign to assign it a value. To define a nested block, place it on a line of its \
                 own within its parent block."
            );
            return ("Argument definition required", detail);
        }
        '=' if expects("expected `{`") => (
            "Invalid block definition",
            "The equals sign \"=\" indicates an argument definition, and must not be used when defining a block.",
        ),
        '"' if expects("expected `{`") && rest.split('\n').next().is_some_and(|line| line.contains("${")) => (
            "Invalid string literal",
            "Template sequences are not allowed in this string. To include a literal \"$\", double it (as \"$$\") to \
             escape it.",
        ),
        _ if expects("expected `{`") && rest.trim_start().starts_with('{') => (
            "Invalid block definition",
            "A block definition must have block content delimited by \"{\" and \"}\", starting on the same line as the \
             block header.",
        ),
        _ if expects("expected `{`") => (
            "Invalid block definition",
            "Either a quoted string block label or an opening brace (\"{\") is expected here.",
        ),
        '}' if expects("unexpected token") => {
            (REQUIRED, "An argument or block definition is required here; there is no block for this brace to close.")
        }
        _ if expects("unexpected token") || expects("invalid block body") => {
            (REQUIRED, "An argument or block definition is required here.")
        }
        _ if expects("traversal operator") => ("Invalid attribute name", "An attribute name is required after a dot."),
        _ if expects("expected `)` or") => {
            ("Missing argument separator", "A comma is required to separate each function argument from the next.")
        }
        _ if expects("expected `)`") => {
            ("Unbalanced parentheses", "Expected a closing parenthesis to terminate the expression.")
        }
        _ if expects("expected `]`") => (
            "Missing item separator",
            "Expected a comma to mark the beginning of the next item, or a closing bracket (\"]\").",
        ),
        _ if expects("expected `:`") => (
            "Missing colon",
            "A conditional needs one (condition ? yes : no), and so does a \"for\" expression ([for x in list: x]).",
        ),
        _ if expects("expected identifier") && before.trim_end().ends_with("<<") => {
            ("Invalid heredoc", "Its marker follows at once, without quotes: <<EOT")
        }
        _ if expects("expected `}`") && matches!(open, Some(Open::Template(_))) => {
            let summary = "Extra characters after interpolation expression";
            let detail = "Expected a closing brace to end the interpolation expression, but found extra characters.";
            return (summary, format!("{detail}{FOREIGN}"));
        }
        _ if expects("invalid expression") && matches!(open, Some(Open::Template(_))) => {
            return ("Invalid expression", format!("Expected the start of an expression.{FOREIGN}"));
        }
        _ if expects("invalid expression") => {
            let found = match next {
                '\n' | '\r' => "the end of the line".to_owned(),
                other => format!("{:?}", other.to_string()),
            };
            return ("Invalid expression", format!("Expected the start of an expression, but found {found}."));
        }
        _ if expects("heredoc end") => (
            "Invalid template",
            "What stands in ${ … } or %{ … } in this string cannot be read, or a directive is missing its end (%{ endif }, \
             %{ endfor }). If it is meant for another language, write $${ and %%{.",
        ),
        _ => return ("Invalid syntax", format!("The parser says: {message}.")),
    };
    (summary, detail.to_owned())
}
