//! YAML as JSON: for the function `yamldecode`, and for Compose files.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};
use yaml_rust2::parser::{Event, EventReceiver, Parser};
use yaml_rust2::scanner::TScalarStyle;

/// Values one document may have, each alias counting as all that it stands for: a few lines of aliases of aliases
/// can stand for more than any machine holds.
const MOST: usize = 100_000;
/// Levels of lists and maps within each other.
const DEEPEST: usize = 60;

/// Which words stand for a truth value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Words {
    /// `true` and `false`.
    #[default]
    Few,
    /// `yes`, `on` and `y` and their opposites, too, as before YAML 1.2.
    Many,
}

/// The one document of a text.
pub fn read(text: &str, words: Words) -> Result<Value, String> {
    let mut builder = Builder { words, ..Builder::default() };
    let mut parser = Parser::new_from_str(text);
    parser.load(&mut builder, true).map_err(|error| error.to_string())?;
    match builder {
        Builder { wrong: Some(wrong), .. } => Err(wrong),
        Builder { root: Some(root), .. } => Ok(root),
        Builder { root: None, .. } => Err("missing start of document".into()),
    }
}

/// A list or map that is not at its end yet.
struct Open {
    anchor: usize,
    value: Value,
    /// In a map: the key whose value comes next.
    key: Option<String>,
}

#[derive(Default)]
struct Builder {
    words: Words,
    open: Vec<Open>,
    /// Values by anchor, and how many values each is.
    anchors: HashMap<usize, (Value, usize)>,
    count: usize,
    root: Option<Value>,
    wrong: Option<String>,
}

impl EventReceiver for Builder {
    fn on_event(&mut self, event: Event) {
        if self.wrong.is_some() {
            return;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
                self.value(scalar(text, style, tag.as_deref(), self.words), anchor);
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Value::Array(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, Value::Object(Map::new())),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { anchor, value, .. }) = self.open.pop() {
                    self.value(value, anchor);
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((value, size)) => {
                    self.count += size;
                    self.value(value, 0);
                }
                None => self.wrong = Some("an alias stands for a value it is a part of".into()),
            },
            _ => {}
        }
    }
}

impl Builder {
    fn begin(&mut self, anchor: usize, value: Value) {
        if self.open.len() >= DEEPEST {
            self.wrong = Some(format!("lists and maps may be nested at most {DEEPEST} levels deep"));
        }
        self.open.push(Open { anchor, value, key: None });
    }

    fn value(&mut self, value: Value, anchor: usize) {
        self.count += 1;
        if self.count > MOST {
            self.wrong = Some(format!("more than {MOST} values"));
            return;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size(&value)));
        }
        match self.open.last_mut() {
            None if self.root.is_some() => self.wrong = Some("unexpected extra content after value".into()),
            None => self.root = Some(value),
            Some(Open { value: Value::Array(items), .. }) => items.push(value),
            Some(Open { value: Value::Object(fields), key, .. }) => match key.take() {
                None => *key = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
                Some(key) if key == "<<" => merge(fields, value),
                Some(key) => {
                    fields.insert(key, value);
                }
            },
            Some(_) => {}
        }
    }
}

/// `<<: *defaults`: what the map says itself counts more.
fn merge(fields: &mut Map<String, Value>, others: Value) {
    match others {
        Value::Object(others) => others.into_iter().for_each(|(key, value)| {
            fields.entry(key).or_insert(value);
        }),
        Value::Array(items) => items.into_iter().for_each(|item| merge(fields, item)),
        _ => {}
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// A plain text may be a number, a truth value or null; one in quotes is text.
fn scalar(text: String, style: TScalarStyle, tag: Option<&str>, words: Words) -> Value {
    if style != TScalarStyle::Plain || tag.is_some_and(|tag| tag.ends_with("str")) {
        return text.into();
    }
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if words == Words::Many => return true.into(),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if words == Words::Many => return false.into(),
        _ => {}
    }
    if is_date(&text) {
        return format!("{text}T00:00:00Z").into();
    }
    let radix =
        |prefix: &str, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    if let Ok(whole) = text.parse::<u64>() {
        return whole.into();
    }
    if let Some(whole) = text.parse().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)) {
        return Value::Number(Number::from(whole));
    }
    let looks_like_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let float = text.parse().ok().filter(|_| looks_like_number).and_then(number);
    float.map_or_else(|| text.into(), Value::Number)
}

/// The smallest type that holds a number: whole if it is whole, else a float. Not finite means none.
fn number(float: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() <= EXACT {
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

/// `2020-01-31`, which is a time in YAML.
fn is_date(text: &str) -> bool {
    let shape = |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(shape)
}
