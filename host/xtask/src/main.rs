//! `cargo xtask …`: the project's chores. Each is one module; `cargo xtask` alone lists them.
//!
//! A chore installs nothing outside `target/` unless it says so, asks nothing, and cleans up after itself, also when
//! it fails or is interrupted.

mod agent;
mod arrows;
mod bench;
mod demo;
mod failure;
mod http;
mod licences;
mod run;
mod setup;
mod test;
mod tree;
mod vm;
mod wit;
mod workspace;

use failure::{Failure, Outcome};
use std::process::ExitCode;
use workspace::Workspace;

const HELP: &str = "\
cargo xtask demo                 build everything, run the example jobs, show their answers
cargo xtask test [--only a,b]    run all checks and tests, or the named steps (`--list` names them)
cargo xtask bench [--only a,b]   measure against peers in the same run, print a table
cargo xtask setup                install what the tests need, where it may
cargo xtask vm [scenario]        the tests on machines of their own, or one: `reboot`, `engines` (not in `test`)
cargo xtask wit check            check the contract's rules, compatibility and reference
cargo xtask wit doc              write wit/REFERENCE.md
cargo xtask wit freeze           write wit/published/<version>.wit";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[&str]) -> Outcome {
    run::note_interrupts()?;
    let workspace = Workspace::find()?;
    match arguments {
        ["bench", rest @ ..] => bench::chore(&workspace, rest),
        ["demo"] => demo::chore(&workspace),
        ["setup"] => setup::for_tests(&workspace).map(drop),
        ["test", rest @ ..] => test::chore(&workspace, rest),
        ["vm", names @ ..] => vm::chore(&workspace, names),
        ["wit", "check"] => wit::check(&workspace),
        ["wit", "doc"] => wit::document(&workspace),
        ["wit", "freeze"] => wit::freeze(&workspace),
        [] | ["help" | "--help" | "-h", ..] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::new(format!("unknown chore `{}`; there are:\n{HELP}", arguments.join(" ")))),
    }
}
