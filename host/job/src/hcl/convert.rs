//! Conversions between values, as HCL makes them: numbers and booleans become text and back, where asked for.

use serde_json::{Number, Value};

/// As text; `None` for null, lists and maps.
pub fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(plain_digits(number)),
        _ => None,
    }
}

/// Without exponent, as HCL writes numbers.
fn plain_digits(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.to_string(),
        _ => number.to_string(),
    }
}

/// As a number; text is read as one.
pub fn to_number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => parse_number(text),
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

/// The smallest type that holds a number: whole if it is whole, else a float. Not finite means none.
pub fn number(float: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.fract() == 0.0 && float.abs() <= EXACT {
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

fn parse_number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    number(text.parse().ok()?)
}

/// A whole number; floats that are whole count.
pub fn to_whole(value: &Value) -> Option<i64> {
    let number = to_number(value)?;
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i64)
    })
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

/// Whether two values are equal as HCL sees it: numbers by value, anything else by type and value.
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| equal(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len() && left.iter().all(|(key, l)| right.get(key).is_some_and(|r| equal(l, r)))
        }
        _ => left == right,
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
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_become_numbers_and_back() {
        for (value, expected) in [
            (json!("5"), Some(json!(5))),
            (json!("-5"), Some(json!(-5))),
            (json!("2.50"), Some(json!(2.5))),
            (json!("1e3"), Some(json!(1000))),
            (json!("1e999"), None),
            (json!("inf"), None),
            (json!("NaN"), None),
            (json!(""), None),
            (json!(true), None),
        ] {
            assert_eq!(to_number(&value).map(Value::Number), expected, "{value}");
        }
        assert_eq!(to_text(&json!(80)), Some("80".into()));
        assert_eq!(to_text(&json!([])), None);
    }
}
