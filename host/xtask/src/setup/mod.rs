//! What a machine must have for a chore, and how it gets there: Rust targets by rustup, Debian packages by apt as
//! root, a Docker Engine by starting one. Elsewhere the chore says what is missing and how to get it.

pub mod engine;
mod packages;
mod toolchain;

use crate::failure::{Doing, Outcome};
use crate::run::Run;
use crate::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};

pub use packages::{find_program, refresh_package_lists};

/// What building the program needs.
pub fn for_build(workspace: &Workspace) -> Outcome {
    toolchain::ensure_targets(workspace, &["wasm32-unknown-unknown", "wasm32-wasip2"])
}

/// What building the static release needs.
pub fn for_release(workspace: &Workspace) -> Outcome {
    for_build(workspace)?;
    toolchain::ensure_targets(workspace, &[crate::agent::STATIC])?;
    packages::ensure(packages::FOR_RELEASE)
}

/// What checks of the source need.
pub fn for_checks(workspace: &Workspace) -> Outcome {
    toolchain::ensure_components(workspace, &["rustfmt", "clippy"])
}

/// What making networks, and looking at them, needs.
pub fn for_networks() -> Outcome {
    packages::ensure(packages::FOR_NETWORKS)
}

/// What all tests need. The engine is ended when the guard is dropped, if it was started here.
pub fn for_tests(workspace: &Workspace) -> Outcome<engine::Engine> {
    for_build(workspace)?;
    for_checks(workspace)?;
    packages::ensure(packages::FOR_TESTS)?;
    for_networks()?;
    ensure_componentize_py(workspace)?;
    engine::ensure(workspace)
}

/// The Python environment of the project's own: nothing is installed for the whole machine.
pub fn python_tools(workspace: &Workspace) -> PathBuf {
    workspace.target.join("xtask/python")
}

const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

fn ensure_componentize_py(workspace: &Workspace) -> Outcome {
    let dir = python_tools(workspace);
    let marker = dir.join(COMPONENTIZE_PY);
    if marker.exists() {
        return Ok(());
    }
    println!("    {COMPONENTIZE_PY} into {}", dir.display());
    // Debian's own first: another Python on the path may lack `venv`.
    let python = ["/usr/bin/python3", "python3"].into_iter().find(|name| Path::new(name).exists()).unwrap_or("python3");
    Run::new(python).args(&["-m", "venv", "--clear"]).args(&[&dir]).check()?;
    let pip = dir.join("bin/pip");
    Run::new(pip).args(&["install", "--quiet", "--disable-pip-version-check", COMPONENTIZE_PY]).check()?;
    // Written last, so that an interrupted installation is done again.
    fs::write(&marker, "").doing(|| format!("cannot write {}", marker.display()))
}
