//! Whether a machine meets a constraint. Pure: the machine is a lookup of names such as `attr.kernel.name`.

pub(crate) mod version;

use std::cmp::Ordering;

use crate::model::Constraint;

/// Why a machine does not meet a constraint; `None` if it does. What compares several machines is met by a single one.
pub fn unmet(constraint: &Constraint, lookup: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (left, right) = (target(&constraint.left, &lookup), target(&constraint.right, &lookup));
    if is_met(&constraint.operator, left.as_deref(), right.as_deref()) {
        return None;
    }
    let name = constraint.left.trim_start_matches("${").trim_end_matches('}');
    let found = match &left {
        Some(value) => format!("{name} is {value:?}"),
        None => format!("it has no {name}"),
    };
    Some(format!("Constraint {:?} excludes this machine: {found}", spelled(constraint)))
}

/// As it stands in lists of what excluded machines.
fn spelled(constraint: &Constraint) -> String {
    let Constraint { left, operator, right } = constraint;
    [left, operator, right].into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")
}

/// A side: one name of the machine, or text that is taken as it stands.
fn target(text: &str, lookup: &impl Fn(&str) -> Option<String>) -> Option<String> {
    match text.strip_prefix("${").and_then(|name| name.strip_suffix('}')) {
        Some(name) => lookup(name),
        None => Some(text.to_owned()),
    }
}

fn is_met(operator: &str, left: Option<&str>, right: Option<&str>) -> bool {
    match operator {
        "distinct_hosts" | "distinct_property" => return true,
        "is_set" => return left.is_some(),
        "is_not_set" => return left.is_none(),
        "!=" | "not" => return left != right,
        _ => {}
    }
    let Some((left, right)) = left.zip(right) else { return false };
    match operator {
        "" | "=" | "==" | "is" => left == right,
        "<" => order(left, right) == Ordering::Less,
        "<=" => order(left, right) != Ordering::Greater,
        ">" => order(left, right) == Ordering::Greater,
        ">=" => order(left, right) != Ordering::Less,
        "version" => version::matches(left, right, version::Rules::Lenient),
        "semver" => version::matches(left, right, version::Rules::Semver),
        "regexp" => regex::Regex::new(right).is_ok_and(|pattern| pattern.is_match(left)),
        "set_contains" | "set_contains_all" => items(right).all(|item| items(left).any(|other| other == item)),
        "set_contains_any" => items(right).any(|item| items(left).any(|other| other == item)),
        _ => false,
    }
}

/// As whole numbers if both are, else as numbers, else as text.
fn order(left: &str, right: &str) -> Ordering {
    if let (Ok(left), Ok(right)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return left.cmp(&right);
    }
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.total_cmp(&right),
        _ => left.cmp(right),
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let known =
            [("attr.kernel.name", "linux"), ("attr.cpu.numcores", "10"), ("attr.v", "1.8.3"), ("meta.f", "ssd, gpu")];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn machines_meet_constraints_or_do_not() {
        for (left, operator, right, expected) in [
            ("${attr.kernel.name}", "=", "linux", true),
            ("${attr.kernel.name}", "is", "windows", false),
            ("${attr.kernel.name}", "!=", "windows", true),
            ("${attr.none}", "!=", "windows", true),
            ("${attr.none}", "=", "windows", false),
            ("${attr.none}", "is_not_set", "", true),
            ("${attr.none}", "is_set", "", false),
            ("${attr.cpu.numcores}", ">", "9", true),
            ("${attr.cpu.numcores}", "<=", "9.5", false),
            ("${attr.kernel.name}", "<", "z", true),
            ("${attr.v}", "version", ">= 1.8, < 2", true),
            ("${attr.v}", "semver", "< 1.8.0", false),
            ("${attr.kernel.name}", "regexp", "^lin|win", true),
            ("${attr.kernel.name}", "regexp", "(", false),
            ("${meta.f}", "set_contains", "ssd", true),
            ("${meta.f}", "set_contains_all", "gpu,ssd", true),
            ("${meta.f}", "set_contains_all", "gpu,hdd", false),
            ("${meta.f}", "set_contains_any", "hdd,gpu", true),
            ("", "distinct_hosts", "true", true),
            ("plain", "=", "plain", true),
        ] {
            let constraint = Constraint { left: left.into(), operator: operator.into(), right: right.into() };
            assert_eq!(unmet(&constraint, lookup).is_none(), expected, "{left} {operator} {right}");
        }
    }

    #[test]
    fn what_is_not_met_is_said_with_what_there_is() {
        let constraint = |left: &str| Constraint { left: left.into(), operator: "=".into(), right: "windows".into() };
        for (left, expected) in [
            (
                "${attr.kernel.name}",
                "Constraint \"${attr.kernel.name} = windows\" excludes this machine: attr.kernel.name is \"linux\"",
            ),
            ("${meta.x}", "Constraint \"${meta.x} = windows\" excludes this machine: it has no meta.x"),
        ] {
            assert_eq!(unmet(&constraint(left), lookup).unwrap(), expected);
        }
    }
}
