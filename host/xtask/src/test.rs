//! `cargo xtask test`: every check and every test, each step with its time, and one closing line to count on.

use crate::failure::{Doing, Failure, Outcome};
use crate::run::Run;
use crate::workspace::Workspace;
use crate::{arrows, licences, setup, tree, vm, wit};
use std::env;
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
    /// Whether it needs the machine to be set up: an engine, compilers of other languages, QEMU.
    needs_machine: bool,
    run: fn(&Workspace) -> Outcome<Tally>,
}

const STEPS: &[Step] = &[
    plain("tree", "habits of the source tree", |w| check(tree::check(w))),
    plain("fmt", "formatting", |w| check(w.cargo(&["fmt", "--all", "--check"]).check())),
    plain("arrows", "which room imports which", |w| check(arrows::check(w))),
    plain("licences", "licences and sources of dependencies", |w| check(licences::check(w))),
    plain("wit", "the contract's rules", |w| check(wit::check(w))),
    plain("clippy", "lints, warnings are errors", clippy),
    Step { needs_machine: true, ..plain("cargo", "unit, integration, end-to-end and doc tests", cargo_test) },
    plain("fuzz", "job files broken at random, for a minute", fuzz),
    Step { needs_machine: true, ..plain("vm", "a reboot and a power cut, in QEMU", |w| check(vm::reboot::check(w))) },
];

const fn plain(name: &'static str, about: &'static str, run: fn(&Workspace) -> Outcome<Tally>) -> Step {
    Step { name, about, needs_machine: false, run }
}

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
    setup::for_checks(workspace)?;
    let machine = steps.iter().any(|step| step.needs_machine);
    let _engine = if machine { Some(timed("setup", || setup::for_tests(workspace))?) } else { None };
    let mut total = Tally::default();
    let mut broken = Vec::new();
    for step in steps {
        println!("==> {}: {}", step.name, step.about);
        let tally = timed(step.name, || (step.run)(workspace)).unwrap_or_else(|failure| {
            println!("    {failure}");
            Tally { passed: 0, failed: 1 }
        });
        crate::run::check_interrupt()?;
        if tally.failed > 0 {
            println!("    {} FAILED", step.name);
            broken.push(step.name);
        }
        total = Tally { passed: total.passed + tally.passed, failed: total.failed + tally.failed };
    }
    println!("all in {:.0} s", started.elapsed().as_secs_f64());
    println!("{} passed, {} failed", total.passed, total.failed);
    if broken.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", broken.join(", ")))) }
}

fn timed<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let begun = Instant::now();
    let outcome = work();
    println!("<== {name}: {:.1} s", begun.elapsed().as_secs_f64());
    outcome
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
    counted(workspace.cargo(&["test", "--workspace", "--no-fail-fast"]).env("PATH", path_with_tools(workspace)?))
}

/// The test that ran a little in `cargo` runs for a minute.
fn fuzz(workspace: &Workspace) -> Outcome<Tally> {
    let test = ["test", "--workspace", "--test", "fuzz", "--", "--nocapture"];
    counted(workspace.cargo(&test).env("LONGSHORE_FUZZ_SECONDS", "60"))
}

/// Runs tests and counts them.
fn counted(tests: Run) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let status = tests.each_line(|line| {
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

/// The path with what setup keeps for the project alone in front.
fn path_with_tools(workspace: &Workspace) -> Outcome<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [setup::python_tools(workspace).join("bin")].into_iter().chain(env::split_paths(&path));
    env::join_paths(folders).doing(|| "the path holds a name with a colon".into())
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
