//! One type for several values: what HCL makes of the two sides of a condition, or of the elements of a `list(any)`.
//!
//! Numbers and booleans become text beside text. Lists of different lengths, and objects with different keys, become
//! lists and maps of one type for all elements.

use super::types::Type;
use super::value::Value;

/// The type a value shows by itself; null is of any.
pub fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Any,
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::Text,
        Value::Array(items) => Type::Tuple(items.iter().map(type_of).collect()),
        Value::Object(fields) => Type::Object(fields.iter().map(|(key, item)| (key.clone(), type_of(item))).collect()),
    }
}

/// The type that all values of some types can be converted to, if there is one.
pub fn unify_all(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    types.into_iter().try_fold(Type::Any, unify)
}

/// The type that values of two types can be converted to, if there is one.
pub fn unify(left: Type, right: Type) -> Option<Type> {
    use Type::{Any, Bool, List, Map, Number, Object, Text, Tuple};
    match (left, right) {
        (Any, other) | (other, Any) => Some(other),
        (left, right) if left == right => Some(left),
        (Text, Number | Bool) | (Number | Bool, Text) => Some(Text),
        (Tuple(left), Tuple(right)) if left.len() == right.len() => {
            left.into_iter().zip(right).map(|(left, right)| unify(left, right)).collect::<Option<_>>().map(Tuple)
        }
        (Tuple(left), Tuple(right)) => unify_all(left.into_iter().chain(right)).map(Box::new).map(List),
        (List(item), Tuple(items)) | (Tuple(items), List(item)) => {
            unify_all(items.into_iter().chain([*item])).map(Box::new).map(List)
        }
        (List(left), List(right)) => unify(*left, *right).map(Box::new).map(List),
        (Object(left), Object(right)) if same_keys(&left, &right) => unify_fields(left, right).map(Object),
        (Object(left), Object(right)) => unify_all(values(left).chain(values(right))).map(Box::new).map(Map),
        (Map(item), Object(fields)) | (Object(fields), Map(item)) => {
            unify_all(values(fields).chain([*item])).map(Box::new).map(Map)
        }
        (Map(left), Map(right)) => unify(*left, *right).map(Box::new).map(Map),
        _ => None,
    }
}

type Fields = Vec<(String, Type)>;

fn values(fields: Fields) -> impl Iterator<Item = Type> {
    fields.into_iter().map(|(_, kind)| kind)
}

fn same_keys(left: &Fields, right: &Fields) -> bool {
    left.len() == right.len() && left.iter().all(|(key, _)| right.iter().any(|(other, _)| other == key))
}

fn unify_fields(left: Fields, mut right: Fields) -> Option<Fields> {
    let unify_field = |(key, kind): (String, Type)| {
        let other = right.iter().position(|(other, _)| *other == key).map(|at| right.swap_remove(at).1)?;
        Some((key, unify(kind, other)?))
    };
    left.into_iter().map(unify_field).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_values_become_one_type() {
        for (left, right, expected) in [
            (json!(1), json!("a"), Some(json!("1"))),
            (json!(true), json!("a"), Some(json!("true"))),
            (json!(1), json!(true), None),
            (json!(1), json!([]), None),
            (json!(null), json!(1), Some(json!(null))),
            (json!([1]), json!([]), Some(json!([1]))),
            (json!([1, "a"]), json!([]), Some(json!(["1", "a"]))),
            (json!([1, "a"]), json!([2, "b"]), Some(json!([1, "a"]))),
            (json!({"a": 1, "b": "x"}), json!({}), Some(json!({"a": "1", "b": "x"}))),
            (json!({"a": 1, "b": "x"}), json!({"b": "y", "a": 2}), Some(json!({"a": 1, "b": "x"}))),
            (json!({"a": 1, "b": []}), json!({}), None),
            (json!([{"a": 1}]), json!([{"b": "x"}, {}]), Some(json!([{"a": "1"}]))),
            (json!([]), json!({}), None),
        ] {
            let (left, right) = (Value::from(left), Value::from(right));
            let kind = unify(type_of(&left), type_of(&right));
            let found = kind.map(|kind| kind.convert(left.clone()));
            assert_eq!(found, expected.map(Value::from).map(Ok), "{left} and {right}");
        }
    }
}
