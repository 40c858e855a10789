//! Which room may import which: DESIGN.md's table, checked against `cargo metadata`.

use crate::failure::{Failure, Outcome, none_found};
use crate::workspace::Workspace;
use serde_json::Value;
use std::path::Path;

/// Rooms and what their code may import. A room not in this table is an error: add it here and in DESIGN.md.
const ROOMS: &[(&str, &[&str])] = &[
    ("host/core", &[]),
    ("host/job", &["host/core"]),
    ("host/wasm", &["host/core"]),
    ("host/linux", &["host/core"]),
    ("host/fake", &["host/core"]),
    ("host/agent", &["host/core", "host/job", "host/wasm"]),
    ("host/cli", &["host/core", "host/job", "host/wasm", "host/linux", "host/fake", "host/agent", "host/xtask"]),
    ("host/xtask", &[]),
    ("sdk/rust", &[]),
    ("sdk/testkit", &["host/core", "host/wasm", "host/fake"]),
    ("drivers", &["sdk/rust"]),
    ("examples", &["sdk/rust"]),
];

/// What tests of any room may import besides: the backends in memory, and the builder of components.
const FOR_TESTS: &[&str] = &["host/fake", "host/xtask"];

/// An import of one of our crates by another.
#[derive(Debug, Clone, PartialEq)]
struct Arrow {
    from: String,
    to: String,
    only_tests: bool,
}

/// Fails on each import the table does not allow.
pub fn check(workspace: &Workspace) -> Outcome {
    let arrows = arrows(&workspace.metadata()?, &workspace.root)?;
    if arrows.is_empty() {
        return Err(Failure::new("cargo metadata shows no import between our crates: the check sees nothing"));
    }
    none_found(forbidden(&arrows))
}

fn forbidden(arrows: &[Arrow]) -> Vec<String> {
    arrows.iter().filter_map(refusal).collect()
}

fn refusal(arrow: &Arrow) -> Option<String> {
    let Some(from) = room(&arrow.from) else {
        return Some(format!("{} is in no room of DESIGN.md's table (host/xtask/src/arrows.rs)", arrow.from));
    };
    let Some(to) = room(&arrow.to) else {
        return Some(format!("{} is in no room of DESIGN.md's table (host/xtask/src/arrows.rs)", arrow.to));
    };
    let allowed = from.1.contains(&to.0) || (arrow.only_tests && FOR_TESTS.contains(&to.0));
    let may = if from.1.is_empty() { "none of ours".to_owned() } else { from.1.join(", ") };
    (!allowed).then(|| format!("{} imports {}; it may import {may}", arrow.from, arrow.to))
}

fn room(folder: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    ROOMS.iter().find(|(name, _)| Path::new(folder).starts_with(name))
}

/// All imports between crates of the workspace, by the folders they are in.
fn arrows(metadata: &Value, root: &Path) -> Outcome<Vec<Arrow>> {
    let folder = |path: &Value| {
        let path = Path::new(path.as_str()?);
        Some(path.strip_prefix(root).ok()?.to_str()?.trim_end_matches("/Cargo.toml").to_owned())
    };
    let packages = metadata["packages"].as_array().ok_or_else(|| Failure::new("cargo metadata lists no packages"))?;
    let mut found = Vec::new();
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        let Some(from) = folder(&package["manifest_path"]) else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if let Some(to) = folder(&dependency["path"]) {
                found.push(Arrow { from: from.clone(), to, only_tests: dependency["kind"] == "dev" });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn arrow(from: &str, to: &str, only_tests: bool) -> Arrow {
        Arrow { from: from.into(), to: to.into(), only_tests }
    }

    #[test]
    fn the_table_decides() {
        for (from, to, only_tests, allowed) in [
            ("host/job", "host/core", false, true),
            ("host/core", "host/job", false, false),
            ("host/agent", "host/linux", false, false),
            ("host/agent", "host/fake", true, true),
            ("host/agent", "host/fake", false, false),
            ("host/agent", "host/linux", true, false),
            ("host/cli", "host/linux", false, true),
            ("drivers/docker", "sdk/rust", false, true),
            ("drivers/docker", "host/core", false, false),
            ("drivers/docker", "drivers/wasm", false, false),
            ("examples/drivers/rust", "sdk/rust", false, true),
            ("tools/new", "host/core", false, false),
            ("host/cli", "tools/new", false, false),
        ] {
            let refused = forbidden(&[arrow(from, to, only_tests)]);
            assert_eq!(refused.is_empty(), allowed, "{from} -> {to}: {refused:?}");
        }
    }

    #[test]
    fn metadata_becomes_arrows() {
        let metadata = json!({ "packages": [
            { "source": null, "manifest_path": "/w/host/core/Cargo.toml", "dependencies": [
                { "path": "/w/host/agent", "kind": null }, { "name": "serde", "kind": null },
                { "path": "/w/host/fake", "kind": "dev" },
            ]},
            { "source": "registry", "manifest_path": "/r/serde/Cargo.toml", "dependencies": [] },
        ]});
        let found = arrows(&metadata, Path::new("/w")).unwrap();
        assert_eq!(found, [arrow("host/core", "host/agent", false), arrow("host/core", "host/fake", true)]);
        assert_eq!(forbidden(&found), ["host/core imports host/agent; it may import none of ours"]);
    }
}
