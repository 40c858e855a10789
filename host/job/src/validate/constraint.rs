//! Constraints, and wishes about machines.

use super::Report;
use crate::constraint::version::{Rules, is_sound};
use crate::model::{Affinity, Constraint, Job, JobKind};
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
/// What a constraint can say of a machine by itself.
const OF_NODE: [&str; 5] = ["node.unique.id", "node.datacenter", "node.unique.name", "node.class", "node.pool"];
/// Operators that look at the left side alone.
const ONE_SIDED: [&str; 2] = ["is_set", "is_not_set"];

impl Report {
    pub(super) fn constraints(&mut self, constraints: &[Constraint], at: &str, in_task: bool) {
        for (index, constraint) in constraints.iter().enumerate() {
            self.constraint(constraint, index, &format!("{at}/Constraints/{index}"), in_task);
        }
    }

    /// What is said of several machines must be sound even where there is one.
    pub(super) fn placed(&mut self, job: &Job) {
        let groups = job.task_groups.iter().enumerate();
        let groups = groups.map(|(index, group)| (format!("/TaskGroups/{index}"), group));
        let mut affinities = vec![("/Affinities".to_owned(), &job.affinities)];
        for (at, group) in groups {
            affinities.push((format!("{at}/Affinities"), &group.affinities));
            let tasks = group.tasks.iter().enumerate();
            affinities.extend(tasks.map(|(index, task)| (format!("{at}/Tasks/{index}/Affinities"), &task.affinities)));
        }
        for (at, affinities) in affinities {
            self.affinities(job.kind, affinities, &at);
        }
        if is_system(job.kind) {
            let groups = job.task_groups.iter().enumerate();
            let of_groups = groups.filter(|(_, group)| group.reschedule_policy.is_some());
            // The job's own is part of every group's.
            let places = match &job.reschedule {
                Some(_) => vec!["/Reschedule".to_owned()],
                None => of_groups.map(|(index, _)| format!("/TaskGroups/{index}/ReschedulePolicy")).collect(),
            };
            for at in places {
                self.error(at, "System or sysbatch jobs should not have a reschedule policy");
            }
        }
    }

    fn affinities(&mut self, kind: JobKind, affinities: &[Affinity], at: &str) {
        if is_system(kind) && !affinities.is_empty() {
            return self.error(at, "System jobs may not have an affinity block");
        }
        for (index, _) in affinities.iter().enumerate().filter(|(_, affinity)| affinity.weight == 0) {
            self.error(format!("{at}/{index}/Weight"), "Affinity weight cannot be zero");
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
        if operator != "distinct_hosts" {
            match constraint.left.as_str() {
                "" => self.error(at, "no attribute provided but is required by operator"),
                left => {
                    if let Err(summary) = check_attribute(left) {
                        self.error(format!("{at}/LTarget"), summary);
                    }
                }
            }
        }
        if let Err(summary) = check_value(operator, &constraint.right) {
            self.error(if constraint.right.is_empty() { at.to_owned() } else { format!("{at}/RTarget") }, summary);
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

/// What stands on the left is text, or a fact about the machine.
fn check_attribute(left: &str) -> Result<(), String> {
    if !left.starts_with('$') {
        return Ok(());
    }
    let Some(open) = left.strip_prefix("${") else {
        return Err(format!("attribute {left:?} is missing an opening brace"));
    };
    let Some(name) = open.strip_suffix('}') else {
        return Err(format!("attribute {left:?} is missing a closing brace"));
    };
    if OF_NODE.contains(&name) || ["attr.", "device.", "meta."].iter().any(|root| name.starts_with(root)) {
        return Ok(());
    }
    Err(format!("unsupported attribute {left:?}.{}", did_you_mean(name, OF_NODE)))
}

/// What stands on the right must be there, and be what the operator compares with.
fn check_value(operator: &str, right: &str) -> Result<(), String> {
    let fixed = !right.contains("${");
    match operator {
        "set_contains" | "set_contains_all" | "set_contains_any" if right.is_empty() => {
            Err("Set contains constraint requires an RTarget".into())
        }
        "=" | "==" | "is" | "!=" | "not" | "<" | "<=" | ">" | ">=" if right.is_empty() => {
            Err(format!("Operator {operator:?} requires an RTarget"))
        }
        "version" if fixed && !is_sound(right, Rules::Lenient) => {
            Err(format!("Version constraint is invalid: {right:?} is not one such as \">= 1.2, < 2\""))
        }
        "semver" if fixed && !is_sound(right, Rules::Semver) => {
            Err(format!("Semver constraint is invalid: {right:?} is not one such as \">= 1.2.0, < 2.0.0\""))
        }
        "distinct_property" if !right.is_empty() && right.parse::<u64>().is_ok_and(|count| count == 0) => {
            Err("Distinct Property must have an allowed count of 1 or greater: 0 < 1".into())
        }
        "distinct_property" if !right.is_empty() && right.parse::<u64>().is_err() => {
            Err(format!("Failed to convert RTarget {right:?} to uint64"))
        }
        _ => Ok(()),
    }
}

fn is_system(kind: JobKind) -> bool {
    matches!(kind, JobKind::System | JobKind::Sysbatch)
}
