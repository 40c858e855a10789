//! Values of Compose files, and their text in HCL.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::hcl::convert::json_to_text;

/// A map of a Compose file.
pub type Fields = Map<String, Value>;

/// A scalar under a key, as text.
pub fn text(fields: &Fields, key: &str) -> Option<String> {
    fields.get(key).and_then(json_to_text)
}

/// The scalars of a list, or a scalar by itself.
pub fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(json_to_text).collect(),
        Some(scalar) => json_to_text(scalar).into_iter().collect(),
        None => Vec::new(),
    }
}

/// A command: a list of words, or a line that is split as a shell would.
pub fn command(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(line)) => words(line),
        list => texts(list),
    }
}

/// A list of `NAME=value` or a map; a name alone has no value.
pub fn pairs(value: Option<&Value>) -> Vec<(String, Option<String>)> {
    match value {
        Some(Value::Object(fields)) => fields.iter().map(|(key, value)| (key.clone(), json_to_text(value))).collect(),
        list => texts(list)
            .iter()
            .map(|item| item.split_once('=').map_or((item.clone(), None), |(k, v)| (k.into(), Some(v.into()))))
            .collect(),
    }
}

/// The names of all values within maps, joined by dots.
pub fn leaves(value: &Value, name: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(value, &format!("{name}.{key}"), out)),
        Value::Null => {}
        _ => out.push(name.to_owned()),
    }
}

/// Bytes of `512m`, `1.5g`, `1073741824`.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let text = text.trim_end_matches('b').trim_end_matches('i');
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let shift = match unit.trim() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * f64::from(2_u32).powi(shift);
    // What does not fit is no size of this world.
    (bytes < 2_f64.powi(60)).then_some(bytes as u64)
}

/// Splits a command line as a shell would, quotes respected.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// A list in HCL.
pub fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

/// A map in HCL; empty for none.
pub fn map(name: &str, pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let lines: String = pairs.iter().map(|(key, value)| format!("{} = {}\n", quoted(key), quoted(value))).collect();
    format!("{name} = {{\n{lines}}}\n")
}

/// An attribute in HCL; empty without items.
pub fn list_attribute(name: &str, items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!("{name} = {}\n", list(items)) }
}

/// A text in HCL.
pub fn quoted(text: &str) -> String {
    let escaped = Value::from(text).to_string().replace("${", "$${").replace("%{", "%%{");
    escaped.replace("\\u0001", "${var.").replace("\\u0002", "}")
}

/// Marks around the name of a variable in a text, until it is written as HCL.
const MARKS: (char, char) = ('\u{1}', '\u{2}');

/// A text that stands for a variable.
pub fn mark(name: &str) -> String {
    format!("{}{name}{}", MARKS.0, MARKS.1)
}

/// Variables of a Compose file with their defaults.
pub type Variables = BTreeMap<String, Option<String>>;

/// Replaces `${NAME}`, `${NAME:-default}` and `$NAME` in all texts by marks; `$$` is a dollar.
pub fn take_variables(value: &mut Value, variables: &mut Variables) {
    match value {
        Value::String(text) if text.contains('$') => *text = marked(text, variables),
        Value::Array(items) => items.iter_mut().for_each(|item| take_variables(item, variables)),
        Value::Object(fields) => fields.values_mut().for_each(|item| take_variables(item, variables)),
        _ => {}
    }
}

fn marked(text: &str, variables: &mut Variables) -> String {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, default, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, tail)) => {
                let end = inner.find(|letter| !is_name(letter)).unwrap_or(inner.len());
                let (name, rule) = inner.split_at(end);
                (name, rule.trim_start_matches(':').strip_prefix('-'), tail)
            }
            None => {
                let end = after.find(|letter| !is_name(letter)).unwrap_or(after.len());
                (&after[..end], None, &after[end..])
            }
        };
        if name.is_empty() {
            out.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        }
        let known = variables.entry(name.to_owned()).or_default();
        *known = known.take().or(default.map(str::to_owned));
        out.push_str(&mark(name));
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512m", Some(512 << 20)),
            ("512MB", Some(512 << 20)),
            ("1.5g", Some(1536 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1024", Some(1024)),
            ("10kb", Some(10 << 10)),
            ("lots", None),
            ("1x", None),
            ("999999999t", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_become_words() {
        assert_eq!(words("a  'b c' d\"e f\"g ''"), ["a", "b c", "de fg", ""]);
        assert_eq!(words("  "), Vec::<String>::new());
    }
}
