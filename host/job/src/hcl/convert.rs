//! Conversions between values, as HCL makes them: numbers and booleans become text and back, where asked for.

use serde_json::Value as Json;

use super::number::Number;
use super::value::Value;

/// As text; `None` for null, lists and maps.
pub fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// As [`to_text`], of JSON.
pub fn json_to_text(json: &Json) -> Option<String> {
    scalar(json).and_then(|value| to_text(&value))
}

/// As a number; text is read as one.
pub fn to_number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => Number::read(text),
        _ => None,
    }
}

/// As a truth value; the texts `true` and `false` are read as such.
pub fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) => match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number that the machine can count with.
pub fn to_whole(value: &Value) -> Option<i64> {
    to_number(value)?.whole()?.try_into().ok()
}

/// As [`to_whole`], of JSON.
pub fn json_to_whole(json: &Json) -> Option<i64> {
    scalar(json).and_then(|value| to_whole(&value))
}

fn scalar(json: &Json) -> Option<Value> {
    (!json.is_array() && !json.is_object()).then(|| json.clone().into())
}

/// What HCL calls the type of a value.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// The elements of a list (by index) or map (by key, in the order of keys), as `for` goes through them.
pub fn elements(value: &Value) -> Option<Vec<(Value, &Value)>> {
    match value {
        Value::Array(items) => Some(items.iter().enumerate().map(|(index, item)| (Value::from(index), item)).collect()),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            Some(fields.into_iter().map(|(key, item)| (Value::from(key.as_str()), item)).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_numbers_and_back() {
        for (text, expected) in [
            ("5", Some("5")),
            ("-5", Some("-5")),
            ("2.50", Some("2.5")),
            (".5", Some("0.5")),
            ("1e3", Some("1000")),
            ("123456789012345678901234567890", Some("123456789012345678901234567890")),
            ("1e99999", None),
            ("1_000", None),
            ("0x10", None),
            ("NaN", None),
            ("", None),
            (".", None),
            (" 1", None),
        ] {
            let number = to_number(&Value::from(text)).map(|number| number.to_string());
            assert_eq!(number.as_deref(), expected, "{text:?}");
        }
        assert_eq!(to_number(&Value::from(true)), None);
        assert_eq!(json_to_text(&serde_json::json!(80)), Some("80".into()));
        assert_eq!(to_text(&Value::from(Vec::<bool>::new())), None);
    }
}
