//! Compatibility with the contract as it was last published: a driver built against that must still load.

use super::Contract;
use crate::failure::{Doing, Failure, Outcome, none_found};
use std::fs;
use std::path::Path;
use wit_component::WitPrinter;
use wit_parser::Resolve;

/// Compares each world with the same world of the newest file in `published` that is of the same line.
pub fn check(contract: &Contract, published: &Path) -> Outcome {
    let version = contract.version()?;
    let Some(previous) = newest_of_line(published, &version)? else {
        println!("    nothing of the {version} line is published: compatible with nothing yet");
        return Ok(());
    };
    let file = published.join(format!("{previous}.wit"));
    let text = fs::read_to_string(&file).doing(|| format!("cannot read {}", file.display()))?;
    none_found(breaks(contract, &text, &previous)?)
}

/// What a driver built against `previous` would trip over.
fn breaks(contract: &Contract, previous: &str, version: &str) -> Outcome<Vec<String>> {
    // Both stand in one `Resolve`, where two packages of one version cannot: build metadata makes them two. The
    // comparison itself drops versions.
    let renamed = previous.replace(&format!("@{version}"), &format!("@{version}+published"));
    let mut resolve = Resolve::new();
    let old = resolve.push_str("published.wit", &renamed).doing(|| format!("wit/published/{version}.wit"))?;
    let new = resolve.push_str("current.wit", &snapshot(contract)?).doing(|| "the contract, printed".into())?;
    let worlds = |package| resolve.packages[package].worlds.clone();
    let mut findings = Vec::new();
    for (name, old_world) in worlds(old) {
        let Some(new_world) = worlds(new).get(&name).copied() else {
            findings.push(format!("world `{name}` is gone since {version}"));
            continue;
        };
        if let Err(error) = wit_component::semver_check(resolve.clone(), old_world, new_world) {
            findings.push(format!("world `{name}` breaks drivers built against {version}: {error:#}"));
        }
    }
    Ok(findings)
}

/// The whole contract as one text, comments left out.
pub fn snapshot(contract: &Contract) -> Outcome<String> {
    let others: Vec<_> =
        contract.resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != contract.driver).collect();
    let mut printer = WitPrinter::default();
    printer.emit_docs(false);
    let printed = printer.print(&contract.resolve, contract.driver, &others);
    printed.doing(|| "cannot print the contract".into())?;
    Ok(printer.output.to_string())
}

/// The newest published version compatible with `version` by the rules of semantic versioning.
fn newest_of_line(published: &Path, version: &str) -> Outcome<Option<String>> {
    let line = line(version).ok_or_else(|| Failure::new(format!("`{version}` is not a version")))?;
    let mut found: Vec<[u32; 3]> = Vec::new();
    for entry in fs::read_dir(published).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        found.extend(name.strip_suffix(".wit").and_then(numbers));
    }
    found.sort();
    let text = |[major, minor, patch]: [u32; 3]| format!("{major}.{minor}.{patch}");
    Ok(found.into_iter().map(text).rfind(|candidate| self::line(candidate) == Some(line)))
}

/// Versions of one line promise compatibility: the major number, or `0.minor`.
fn line(version: &str) -> Option<(u32, u32)> {
    let [major, minor, _] = numbers(version)?;
    Some((major, if major == 0 { minor } else { 0 }))
}

fn numbers(version: &str) -> Option<[u32; 3]> {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "
        package longshore:driver@0.1.0;
        world driver { import longshore:host/log@0.1.0; export life; }
        interface life { record task { id: string } start: func(task: task) -> result<_, string>; }
        package longshore:host@0.1.0 { interface log { write: func(line: string); } }";

    fn findings(changed: &str) -> Vec<String> {
        breaks(&Contract::parse(changed), &snapshot(&Contract::parse(BASE)).unwrap(), "0.1.0").unwrap()
    }

    #[test]
    fn what_old_drivers_never_notice_is_allowed() {
        assert_eq!(findings(BASE), Vec::<String>::new());
        let more_offered = BASE.replace("write:", "flush: func(); write:");
        assert_eq!(findings(&more_offered), Vec::<String>::new());
    }

    #[test]
    fn what_old_drivers_trip_over_is_found() {
        for (from, to) in [
            ("id: string", "id: string, name: option<string>"),
            ("start:", "stop: func(); start:"),
            ("line: string", "text: string"),
            ("write:", "print:"),
            ("world driver", "world plugin"),
        ] {
            let found = findings(&BASE.replace(from, to));
            assert_eq!(found.len(), 1, "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn versions_of_one_line_are_compared() {
        let dir = std::env::temp_dir().join(format!("xtask-published-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for name in ["0.1.0.wit", "0.1.2.wit", "0.1.10.wit", "0.2.0.wit", "1.3.0.wit", "README.md"] {
            fs::write(dir.join(name), "").unwrap();
        }
        for (version, newest) in
            [("0.1.11", Some("0.1.10")), ("0.2.0", Some("0.2.0")), ("0.3.0", None), ("1.9.9", Some("1.3.0"))]
        {
            assert_eq!(newest_of_line(&dir, version).unwrap().as_deref(), newest, "{version}");
        }
        assert!(newest_of_line(&dir, "next").is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
