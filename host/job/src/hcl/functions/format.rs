//! `format` and `formatlist`: Go's verbs.

use num_bigint::{BigUint, Sign};

use super::Parameter::{Any, Text};
use super::{Call, Function, LARGEST, fits, variadic};
use crate::hcl::convert::{to_bool, to_number, to_text};
use crate::hcl::number::Number;
use crate::hcl::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    variadic("format", &[Text], Any, |c| format(c.text(0), &c.arguments[1..]).map(Value::from)),
    variadic("formatlist", &[Text], Any, formatlist),
];

/// Once per element of the lists among the arguments, which must be equally long.
fn formatlist(c: &Call) -> Result<Value, String> {
    let arguments = &c.arguments[1..];
    let mut lengths = arguments.iter().filter_map(Value::as_array).map(Vec::len);
    let count = lengths.next().unwrap_or(1);
    if lengths.any(|other| other != count) {
        return Err("all lists must have the same length".into());
    }
    let mut total = 0usize;
    (0..count)
        .map(|index| {
            let row: Vec<Value> = arguments
                .iter()
                .map(|argument| match argument {
                    Value::Array(items) => items.get(index).cloned().unwrap_or_default(),
                    other => other.clone(),
                })
                .collect();
            let text = format(c.text(0), &row)?;
            total = total.saturating_add(text.len());
            fits(total)?;
            Ok(Value::from(text))
        })
        .collect()
}

/// One `%-08.3f`.
#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    argument: Option<usize>,
    letter: char,
}

fn format(pattern: &str, arguments: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut next = 0;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        let (verb, after) = Verb::read(rest)?;
        rest = after;
        if verb.letter == '%' {
            out.push('%');
            continue;
        }
        let index = verb.argument.unwrap_or(next);
        let argument = arguments
            .get(index)
            .ok_or_else(|| format!("not enough arguments for %{}: need {}", verb.letter, index + 1))?;
        next = index + 1;
        fits(out.len().saturating_add(verb.width).saturating_add(verb.precision.unwrap_or(0)))?;
        out.push_str(&verb.pad(verb.show(argument)?));
        fits(out.len())?;
    }
    out.push_str(rest);
    if next < arguments.len() && !pattern.contains("%[") {
        return Err(format!("too many arguments; only {next} used by format string"));
    }
    Ok(out)
}

impl Verb {
    fn read(text: &str) -> Result<(Self, &str), String> {
        let mut verb = Self::default();
        let mut rest = text;
        loop {
            let flag = match rest.chars().next() {
                Some('-') => &mut verb.minus,
                Some('+') => &mut verb.plus,
                Some(' ') => &mut verb.space,
                Some('#') => &mut verb.sharp,
                Some('0') => &mut verb.zero,
                _ => break,
            };
            *flag = true;
            rest = &rest[1..];
        }
        let (width, after) = digits(rest)?;
        verb.width = width.unwrap_or(0);
        rest = after;
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = digits(after)?;
            verb.precision = Some(precision.unwrap_or(0));
            rest = after;
        }
        if let Some(after) = rest.strip_prefix('[') {
            let (number, after) = digits(after)?;
            rest = after.strip_prefix(']').ok_or("missing ] after argument number")?;
            let number = number.and_then(|number| number.checked_sub(1));
            verb.argument = Some(number.ok_or("argument numbers count from 1")?);
        }
        verb.letter = rest.chars().next().ok_or("unterminated verb at end of format string")?;
        let rest = &rest[verb.letter.len_utf8()..];
        Ok((verb, rest))
    }

    fn show(&self, value: &Value) -> Result<String, String> {
        let wrong = |wanted: &str| format!("unsupported value for %{}: {wanted} required", self.letter);
        let whole = || to_number(value).and_then(|number| number.whole()).ok_or_else(|| wrong("whole number"));
        let integer = |prefix: &str, digits: fn(&BigUint) -> String| {
            let whole = whole()?;
            Ok(self.signed(whole.sign() == Sign::Minus, format!("{prefix}{}", digits(whole.magnitude()))))
        };
        match self.letter {
            'v' if self.sharp => Ok(value.to_string()),
            'v' => match value {
                Value::Number(number) => Ok(number.general_text()),
                other => Ok(to_text(other).unwrap_or_else(|| other.to_string())),
            },
            's' => {
                let text = to_text(value).ok_or_else(|| wrong("string"))?;
                Ok(match self.precision {
                    Some(length) => text.chars().take(length).collect(),
                    None => text,
                })
            }
            'q' => {
                let text = to_text(value).ok_or_else(|| wrong("string"))?;
                Ok(Value::from(text).to_string())
            }
            't' => to_bool(value).map(|truth| truth.to_string()).ok_or_else(|| wrong("bool")),
            'd' => integer("", BigUint::to_string),
            'b' => integer("", |size| format!("{size:b}")),
            'o' => integer("", |size| format!("{size:o}")),
            'x' => integer(self.prefix("0x"), |size| format!("{size:x}")),
            'X' => integer(self.prefix("0X"), |size| format!("{size:X}")),
            'f' | 'e' | 'E' | 'g' | 'G' => self.float(&to_number(value).ok_or_else(|| wrong("number"))?),
            other => Err(format!("unsupported format verb {other:?}")),
        }
    }

    fn float(&self, number: &Number) -> Result<String, String> {
        let digits = self.precision.unwrap_or(6);
        fits(digits)?;
        let text = match self.letter {
            'f' => number.fixed(digits),
            'e' | 'E' => number.scientific(digits),
            _ => number.general(self.precision),
        };
        let text = text.unwrap_or_else(|| "Inf".into());
        let text = if "EG".contains(self.letter) { text.to_uppercase() } else { text };
        Ok(self.signed(number.is_negative(), text))
    }

    fn prefix(&self, prefix: &'static str) -> &'static str {
        if self.sharp { prefix } else { "" }
    }

    fn signed(&self, negative: bool, digits: String) -> String {
        let sign = match (negative, self.plus, self.space) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let zeros = if self.zero && !self.minus { self.width.saturating_sub(sign.len() + digits.len()) } else { 0 };
        format!("{sign}{}{digits}", "0".repeat(zeros))
    }

    fn pad(&self, text: String) -> String {
        let fill = if self.zero && !self.minus { "0" } else { " " };
        let fill = fill.repeat(self.width.saturating_sub(text.chars().count()));
        if self.minus { text + &fill } else { fill + &text }
    }
}

fn digits(text: &str) -> Result<(Option<usize>, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return Ok((None, text));
    }
    match text[..end].parse() {
        Ok(number) if number <= LARGEST => Ok((Some(number), &text[end..])),
        _ => Err("a width or precision is too large".into()),
    }
}
