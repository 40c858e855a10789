//! Versions and what they must be: `>= 1.2, < 2.0`, `~> 1.2.3`.

use std::cmp::Ordering;

/// How versions are read and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Any number of parts; a version made before a release only meets what names one of the same release.
    Lenient,
    /// Three parts, ordered as Semantic Versioning 2.0 says.
    Semver,
}

/// Parts of a semantic version; a condition may leave out the last ones.
const PARTS: usize = 3;

/// Signs that may stand before a version, longer ones first.
const SIGNS: [&str; 7] = [">=", "<=", "!=", "~>", "=", ">", "<"];

/// A version in its parts; what comes after `+` counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    numbers: Vec<u64>,
    pre: String,
}

/// Whether a version is as all of some conditions want it. What cannot be read is not.
pub fn matches(version: &str, conditions: &str, rules: Rules) -> bool {
    let Some(version) = read(version, rules) else { return false };
    conditions.split(',').all(|condition| matches_one(&version, condition.trim(), rules).unwrap_or(false))
}

/// Whether conditions can be read at all.
pub fn is_sound(conditions: &str, rules: Rules) -> bool {
    let any = Version { numbers: vec![0; 3], pre: String::new() };
    conditions.split(',').all(|condition| matches_one(&any, condition.trim(), rules).is_some())
}

fn matches_one(version: &Version, condition: &str, rules: Rules) -> Option<bool> {
    let sign = SIGNS.iter().find(|sign| condition.starts_with(**sign)).copied().unwrap_or_default();
    let mut wanted = read(condition[sign.len()..].trim(), Rules::Lenient)?;
    if rules == Rules::Semver && wanted.numbers.len() < PARTS {
        wanted.numbers.resize(PARTS, 0);
    }
    let order = compare(version, &wanted);
    let comparable = rules == Rules::Semver || comparable(version, &wanted);
    Some(match sign {
        "" | "=" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        ">" => comparable && order == Ordering::Greater,
        "<" => comparable && order == Ordering::Less,
        ">=" => comparable && order != Ordering::Less,
        "<=" => comparable && order != Ordering::Greater,
        _ if rules == Rules::Semver => return None,
        _ => comparable && about(version, &wanted),
    })
}

/// `~> 1.2.3`: at least that, and all but the last part the same.
fn about(version: &Version, wanted: &Version) -> bool {
    let known = wanted.numbers.len() - 1;
    let same_stage = wanted.pre.is_empty() || !version.pre.is_empty();
    let parts =
        |version: &Version| version.numbers.iter().copied().chain(std::iter::repeat(0)).take(known).collect::<Vec<_>>();
    same_stage && compare(version, wanted) != Ordering::Less && parts(version) == parts(wanted)
}

fn comparable(version: &Version, wanted: &Version) -> bool {
    match (version.pre.is_empty(), wanted.pre.is_empty()) {
        (false, true) => false,
        (false, false) => numbers(version, wanted) == Ordering::Equal,
        (true, _) => true,
    }
}

fn read(text: &str, rules: Rules) -> Option<Version> {
    let text = match rules {
        Rules::Lenient => text.trim().trim_start_matches('v'),
        Rules::Semver => text.trim(),
    };
    let text = text.split('+').next()?;
    // `1.2beta` is read as `1.2-beta`.
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (numbers, pre) = text.split_at(end);
    if rules == Rules::Semver && !pre.is_empty() && !pre.starts_with('-') {
        return None;
    }
    let numbers: Vec<u64> = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    if rules == Rules::Semver && numbers.len() != PARTS {
        return None;
    }
    Some(Version { numbers, pre: pre.trim_start_matches(['-', '~']).to_owned() })
}

fn numbers(left: &Version, right: &Version) -> Ordering {
    let length = left.numbers.len().max(right.numbers.len());
    let part = |version: &Version, index: usize| version.numbers.get(index).copied().unwrap_or(0);
    (0..length)
        .map(|index| part(left, index).cmp(&part(right, index)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare(left: &Version, right: &Version) -> Ordering {
    numbers(left, right).then_with(|| match (left.pre.is_empty(), right.pre.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => stages(&left.pre, &right.pre),
    })
}

/// Part by part: numbers by value and before words, fewer parts before more.
fn stages(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) => match (left.parse::<u64>(), right.parse::<u64>()) {
                (Ok(left), Ok(right)) => left.cmp(&right),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => left.cmp(right),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_as_wanted_or_not() {
        use Rules::{Lenient, Semver};
        for (version, conditions, rules, expected) in [
            ("1.2.3", ">= 1.2, < 2", Lenient, true),
            ("v1.2", "= 1.2.0", Lenient, true),
            ("1.2.3", "1.2.3", Lenient, true),
            ("1.2.3", "!= 1.2.3", Lenient, false),
            ("1.10", "> 1.9", Lenient, true),
            ("1.2.5", "~> 1.2.3", Lenient, true),
            ("1.3.0", "~> 1.2.3", Lenient, false),
            ("1.9", "~> 1.2", Lenient, true),
            ("2.0", "~> 1.2", Lenient, false),
            ("1.2.2", "~> 1.2.3", Lenient, false),
            ("1.3.0-beta1", ">= 1.0", Lenient, false),
            ("1.3.0-beta1", ">= 1.3.0-alpha", Lenient, true),
            ("1.3.1-beta1", ">= 1.3.0-alpha", Lenient, false),
            ("1.7.0+ent", ">= 1.7.0", Lenient, true),
            ("1.3.0-beta1", ">= 1.0.0", Semver, true),
            ("1.3.0-beta.2", "> 1.3.0-beta.1", Semver, true),
            ("1.3.0-beta.11", "> 1.3.0-beta.2", Semver, true),
            ("1.3.0-1", "< 1.3.0-a", Semver, true),
            ("1.3.0", ">= 1", Semver, true),
            ("1.3.0", "< 1.3", Semver, false),
            ("1.3", ">= 1.0.0", Semver, false),
            ("v1.3.0", ">= 1.0.0", Semver, false),
            ("1.3.0", "~> 1.2.0", Semver, false),
            ("nonsense", ">= 1.0", Lenient, false),
            ("1.0", "nonsense", Lenient, false),
            ("1.0", ">= 1.0,", Lenient, false),
            ("99999999999999999999999", "> 1", Lenient, false),
        ] {
            assert_eq!(matches(version, conditions, rules), expected, "{version} {conditions} {rules:?}");
        }
    }
}
