//! `cargo xtask test`: every check and every test, each step with its time, and one closing line to count on.

use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;
use crate::{arrows, licences, tree, wit};
use std::time::Instant;

/// How many passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Tally {
    passed: u32,
    failed: u32,
}

/// A part of the test run that can be chosen by name.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace) -> Outcome<Tally>,
}

const STEPS: &[Step] = &[
    Step { name: "tree", about: "habits of the source tree", run: |w| check(tree::check(w)) },
    Step { name: "fmt", about: "formatting", run: |w| check(w.cargo(&["fmt", "--all", "--check"]).check()) },
    Step { name: "arrows", about: "which room imports which", run: |w| check(arrows::check(w)) },
    Step { name: "licences", about: "licences and sources of dependencies", run: |w| check(licences::check(w)) },
    Step { name: "wit", about: "the contract's rules", run: |w| check(wit::check(w)) },
    Step { name: "clippy", about: "lints, warnings are errors", run: clippy },
    Step { name: "cargo", about: "unit, integration, end-to-end and doc tests", run: cargo_test },
];

/// Runs the chosen steps, all of them by default, to the end even when some fail.
pub fn chore(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    let steps = match arguments {
        [] => STEPS.iter().collect(),
        ["--only", names] => chosen(names)?,
        ["--list"] => {
            STEPS.iter().for_each(|step| println!("{:10} {}", step.name, step.about));
            return Ok(());
        }
        _ => return Err(Failure::new("use `cargo xtask test [--only step,step | --list]`")),
    };
    let started = Instant::now();
    let mut total = Tally::default();
    let mut broken = Vec::new();
    for step in steps {
        println!("==> {}: {}", step.name, step.about);
        let begun = Instant::now();
        let tally = (step.run)(workspace).unwrap_or_else(|failure| {
            println!("    {failure}");
            Tally { passed: 0, failed: 1 }
        });
        let verdict = if tally.failed == 0 { "ok" } else { "FAILED" };
        println!("<== {}: {verdict} in {:.1} s", step.name, begun.elapsed().as_secs_f64());
        if tally.failed > 0 {
            broken.push(step.name);
        }
        total = Tally { passed: total.passed + tally.passed, failed: total.failed + tally.failed };
        crate::run::check_interrupt()?;
    }
    println!("all in {:.0} s", started.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.passed, total.failed);
    if broken.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", broken.join(", ")))) }
}

fn chosen(names: &str) -> Outcome<Vec<&'static Step>> {
    let find = |name| {
        let step = STEPS.iter().find(|step| step.name == name);
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        step.ok_or_else(|| Failure::new(format!("no step `{name}`; there are {}", known.join(", "))))
    };
    names.split(',').map(find).collect()
}

/// A check counts as one test.
fn check(outcome: Outcome) -> Outcome<Tally> {
    outcome.map(|()| Tally { passed: 1, failed: 0 })
}

fn clippy(workspace: &Workspace) -> Outcome<Tally> {
    check(workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).check())
}

fn cargo_test(workspace: &Workspace) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let status = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]).each_line(|line| {
        println!("{line}");
        if let Some(counted) = test_result(line) {
            tally = Tally { passed: tally.passed + counted.passed, failed: tally.failed + counted.failed };
        }
    })?;
    if !status.success() && tally.failed == 0 {
        return Err(Failure::new(format!("cargo test ended with {status} before it could count")));
    }
    Ok(tally)
}

/// Reads cargo's `test result: ok. 3 passed; 0 failed; …`.
fn test_result(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| counts.split("; ").find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_lines_of_cargo_are_counted() {
        for (line, counts) in [
            (
                "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                Some((3, 0)),
            ),
            ("test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", Some((10, 2))),
            ("test a::b ... ok", None),
            ("", None),
        ] {
            assert_eq!(test_result(line), counts.map(|(passed, failed)| Tally { passed, failed }), "{line}");
        }
    }

    #[test]
    fn steps_are_chosen_by_name() {
        let names: Vec<&str> = chosen("wit,arrows").unwrap().iter().map(|step| step.name).collect();
        assert_eq!(names, ["wit", "arrows"]);
        assert!(chosen("wit,nothing").err().unwrap().to_string().contains("nothing"));
    }
}
