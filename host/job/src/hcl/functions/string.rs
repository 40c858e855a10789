//! Text.

use unicode_segmentation::UnicodeSegmentation;

use super::Parameter::{List, Number, Text};
use super::{Call, Function, fits, function, texts, variadic};
use crate::hcl::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function("chomp", &[Text], |c| {
        let text = c.text(0).trim_end_matches(['\n', '\r']);
        Ok(text.into())
    }),
    function("indent", &[Number, Text], indent),
    variadic("join", &[Text], List, join),
    function("lower", &[Text], |c| Ok(c.text(0).chars().map(small).collect::<String>().into())),
    function("upper", &[Text], |c| Ok(c.text(0).chars().map(capital).collect::<String>().into())),
    function("title", &[Text], title),
    function("trim", &[Text, Text], |c| {
        let set: Vec<char> = c.text(1).chars().collect();
        Ok(c.text(0).trim_matches(set.as_slice()).into())
    }),
    function("trimprefix", &[Text, Text], |c| Ok(c.text(0).strip_prefix(c.text(1)).unwrap_or(c.text(0)).into())),
    function("trimsuffix", &[Text, Text], |c| Ok(c.text(0).strip_suffix(c.text(1)).unwrap_or(c.text(0)).into())),
    function("trimspace", &[Text], |c| Ok(c.text(0).trim().into())),
    function("split", &[Text, Text], split),
    function("strlen", &[Text], |c| Ok(c.text(0).graphemes(true).count().into())),
    function("reverse", &[Text], reversed),
    function("strrev", &[Text], reversed),
    function("substr", &[Text, Number, Number], substr),
    function("replace", &[Text, Text, Text], replace),
    function("regex_replace", &[Text, Text, Text], regex_replace),
];

/// One letter for one, as Go does: what has no single capital stays.
fn capital(letter: char) -> char {
    let mut capitals = letter.to_uppercase();
    capitals.next().filter(|_| capitals.next().is_none()).unwrap_or(letter)
}

fn small(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

/// Every line but the first moves to the right.
fn indent(c: &Call) -> Result<Value, String> {
    let spaces = usize::try_from(c.whole(0)?).map_err(|_| "spaces must not be negative")?;
    let text = c.text(1);
    fits(text.matches('\n').count().saturating_mul(spaces).saturating_add(text.len()))?;
    Ok(text.replace('\n', &format!("\n{}", " ".repeat(spaces))).into())
}

fn join(c: &Call) -> Result<Value, String> {
    if c.arguments.len() < 2 {
        return Err("at least one list is required".into());
    }
    let mut parts = Vec::new();
    for index in 1..c.arguments.len() {
        parts.extend(texts(c.list(index))?);
    }
    let separators = parts.len().saturating_mul(c.text(0).len());
    fits(parts.iter().map(String::len).sum::<usize>().saturating_add(separators))?;
    Ok(parts.join(c.text(0)).into())
}

/// Both names of it reverse text, by what people see as letters; there is none for lists.
fn reversed(c: &Call) -> Result<Value, String> {
    Ok(c.text(0).graphemes(true).rev().collect::<String>().into())
}

/// The first letter of every word in upper case.
fn title(c: &Call) -> Result<Value, String> {
    let mut out = String::new();
    let mut in_word = false;
    for letter in c.text(0).chars() {
        if in_word {
            out.push(letter);
        } else {
            out.push(capital(letter));
        }
        in_word = letter.is_alphanumeric() || letter == '_';
    }
    Ok(out.into())
}

fn split(c: &Call) -> Result<Value, String> {
    if c.text(0).is_empty() {
        return Ok(c.text(1).chars().map(|letter| Value::from(letter.to_string())).collect());
    }
    Ok(c.text(1).split(c.text(0)).map(Value::from).collect())
}

/// By what people see as letters; a negative offset counts from the end, a length of -1 means the rest.
fn substr(c: &Call) -> Result<Value, String> {
    let letters: Vec<&str> = c.text(0).graphemes(true).collect();
    let (offset, length) = (c.whole(1)?, c.whole(2)?);
    let count = i64::try_from(letters.len()).unwrap_or(i64::MAX);
    let start = if offset < 0 { (count + offset.max(-count)).max(0) } else { offset.min(count) };
    let end = if length < 0 { count } else { start.saturating_add(length).min(count) };
    let skip = usize::try_from(start).unwrap_or(0);
    let take = usize::try_from(end - start).unwrap_or(0);
    Ok(letters.into_iter().skip(skip).take(take).collect::<String>().into())
}

/// Plain text for plain text; slashes mean nothing here, unlike in Terraform.
fn replace(c: &Call) -> Result<Value, String> {
    let (text, from, to) = (c.text(0), c.text(1), c.text(2));
    fits(text.matches(from).count().saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replace(from, to).into())
}

fn regex_replace(c: &Call) -> Result<Value, String> {
    let pattern = regex::RegexBuilder::new(c.text(1)).size_limit(1 << 20).build().map_err(|error| error.to_string())?;
    let (text, to) = (c.text(0), c.text(2));
    // A replacement may repeat captured text, so each match may add as much as the whole text.
    let matches = pattern.find_iter(text).take(super::LARGEST).count();
    let dollars = to.matches('$').count();
    let each = to.len().saturating_add(dollars.saturating_mul(text.len()));
    fits(matches.saturating_mul(each).saturating_add(text.len()))?;
    Ok(pattern.replace_all(text, to).into_owned().into())
}
