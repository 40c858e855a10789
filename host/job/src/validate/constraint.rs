//! Constraints.

use super::Report;
use crate::model::Constraint;
use crate::suggest::did_you_mean;

/// Operators that compare two sides.
const TWO_SIDED: [&str; 17] = [
    "=",
    "==",
    "is",
    "!=",
    "not",
    ">",
    ">=",
    "<",
    "<=",
    "regexp",
    "version",
    "semver",
    "set_contains",
    "set_contains_all",
    "set_contains_any",
    "distinct_property",
    "distinct_hosts",
];
/// Operators that look at the left side alone.
const ONE_SIDED: [&str; 2] = ["is_set", "is_not_set"];

impl Report {
    pub(super) fn constraints(&mut self, constraints: &[Constraint], at: &str, in_task: bool) {
        for (index, constraint) in constraints.iter().enumerate() {
            self.constraint(constraint, index, &format!("{at}/Constraints/{index}"), in_task);
        }
    }

    fn constraint(&mut self, constraint: &Constraint, index: usize, at: &str, in_task: bool) {
        let operator = constraint.operator.as_str();
        if !TWO_SIDED.contains(&operator) && !ONE_SIDED.contains(&operator) {
            let hint = did_you_mean(operator, TWO_SIDED.into_iter().chain(ONE_SIDED));
            return self.error(at, format!("Unknown constraint type {operator:?}.{hint}"));
        }
        if in_task && ["distinct_hosts", "distinct_property"].contains(&operator) {
            let number = index + 1;
            let summary = format!("Constraint {number} has disallowed Operand at task level: {operator}");
            self.error(at, summary);
        }
        if ONE_SIDED.contains(&operator) && !constraint.right.is_empty() {
            self.error(at, format!("Operator {operator:?} does not support an RTarget"));
        }
        if operator != "distinct_hosts" && constraint.left.is_empty() {
            self.error(at, "no attribute provided but is required by operator");
        }
        let fixed = !constraint.right.contains("${");
        if let Some(Err(why)) = (operator == "regexp" && fixed).then(|| regex::Regex::new(&constraint.right)) {
            // The library draws the expression over several lines; the last one says what is wrong.
            let why = why.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let summary = format!("Regular expression failed to compile: {why}");
            self.error(format!("{at}/RTarget"), summary);
        }
    }
}
