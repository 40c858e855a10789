//! The parts of the Rust toolchain in use.

use crate::failure::{Failure, Outcome};
use crate::run::Run;
use crate::workspace::Workspace;
use std::path::PathBuf;

/// Adds compilation targets that are missing.
pub fn ensure_targets(workspace: &Workspace, targets: &[&str]) -> Outcome {
    let libraries = sysroot(workspace)?.join("lib/rustlib");
    let missing = targets.iter().copied().filter(|target| !libraries.join(target).exists());
    rustup(workspace, "target", missing.collect())
}

/// Adds toolchain components that are missing.
pub fn ensure_components(workspace: &Workspace, components: &[&str]) -> Outcome {
    let programs = sysroot(workspace)?.join("bin");
    let program = |component: &str| programs.join(if component == "clippy" { "cargo-clippy" } else { component });
    let missing = components.iter().copied().filter(|component| !program(component).exists());
    rustup(workspace, "component", missing.collect())
}

fn sysroot(workspace: &Workspace) -> Outcome<PathBuf> {
    let printed = Run::new("rustc").args(&["--print", "sysroot"]).dir(&workspace.root).output()?;
    Ok(PathBuf::from(printed.trim()))
}

fn rustup(workspace: &Workspace, kind: &str, missing: Vec<&str>) -> Outcome {
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    println!("    rustup {kind} add {names}");
    let added = Run::new("rustup").args(&[kind, "add"]).args(&missing).dir(&workspace.root).check();
    added.map_err(|failure| {
        Failure::new(format!(
            "the Rust toolchain lacks the {kind} {names} ({failure}); with a toolchain not from rustup, install the \
             {kind} the way that toolchain was installed"
        ))
    })
}
