//! Environments and other lists of key and value.

use crate::KeyValue;

/// The value of `key`.
pub fn get<'a>(list: &'a [KeyValue], key: &str) -> Option<&'a str> {
    list.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

/// Sets `key`, replacing what it was.
pub fn set(list: &mut Vec<KeyValue>, key: &str, value: impl Into<String>) {
    let value = value.into();
    match list.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => entry.value = value,
        None => list.push(KeyValue { key: key.into(), value }),
    }
}

/// A list from pairs.
pub fn list<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<KeyValue> {
    pairs.into_iter().map(|(key, value)| KeyValue { key: key.into(), value: value.into() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_replaces_or_adds() {
        let mut env = list([("A", "1")]);
        set(&mut env, "A", "2");
        set(&mut env, "B", "3");
        assert_eq!(env, list([("A", "2"), ("B", "3")]));
        assert_eq!((get(&env, "B"), get(&env, "C")), (Some("3"), None));
    }
}
