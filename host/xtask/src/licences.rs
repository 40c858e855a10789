//! Licences and sources of everything we compile, by the rules in `deny.toml`.
//!
//! `cargo deny` reads the same file and checks more (advisories, yanked crates); it runs when it is installed.
//! Building it would cost every machine minutes, so what must never slip is checked here.

use crate::failure::{Doing, Failure, Outcome, none_found};
use crate::run::Run;
use crate::workspace::Workspace;
use serde_json::Value;
use std::fs;

/// Where crates may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every dependency of the platforms we build for.
pub fn check(workspace: &Workspace) -> Outcome {
    let text = fs::read_to_string(workspace.root.join("deny.toml")).doing(|| "cannot read deny.toml".into())?;
    let allowed = allow_list(&text)?;
    let metadata = workspace.metadata()?;
    let packages = metadata["packages"].as_array().ok_or_else(|| Failure::new("cargo metadata lists no packages"))?;
    none_found(packages.iter().filter_map(|package| refusal(package, &allowed)).collect())?;
    if Run::new("cargo-deny").args(&["--version"]).succeeds() {
        return workspace.cargo(&["deny", "check"]).check();
    }
    println!("    {} crates; `cargo deny` is not installed, so advisories were not looked at", packages.len());
    Ok(())
}

fn refusal(package: &Value, allowed: &[String]) -> Option<String> {
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    match package["source"].as_str() {
        None | Some(REGISTRY) => {}
        Some(other) => return Some(format!("{name} comes from {other}; only crates.io is allowed")),
    }
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name} names no licence"));
    };
    (!satisfied(licence, allowed)).then(|| format!("{name}: licence `{licence}` is not in deny.toml's `allow`"))
}

/// The strings of `allow = [ … ]`.
fn allow_list(text: &str) -> Outcome<Vec<String>> {
    let inside = text.split_once("\nallow = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = inside.ok_or_else(|| Failure::new("deny.toml has no `allow = [ … ]` in [licenses]"))?;
    Ok(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Whether an SPDX expression can be met with allowed licences alone.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().collect::<Vec<_>>().into_iter().peekable();
    any_of(&mut words, allowed) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

fn any_of(words: &mut Words, allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        // Both sides are read to the end, whatever the first one said.
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Words, allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words, allowed: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(name) = words.next() else { return false };
    let mut licence = name.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{name} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(&licence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_are_met_by_allowed_licences_only() {
        let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned(), "Unicode-3.0".to_owned()];
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("MIT OR GPL-3.0", true),
            ("MIT AND GPL-3.0", false),
            ("MIT/Apache-2.0", true),
            ("Apache-2.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(GPL-3.0 OR Apache-2.0) AND Unicode-3.0", false),
            ("MIT OR GPL-3.0 AND LGPL-2.1", true),
            ("(MIT", false),
            ("", false),
        ] {
            assert_eq!(satisfied(expression, &allowed), met, "{expression}");
        }
    }

    #[test]
    fn a_package_is_refused_for_its_licence_or_its_source() {
        let allowed = ["MIT".to_owned()];
        let package = |source: Value, licence: Value| json!({"name": "a", "version": "1.0.0", "source": source, "license": licence});
        assert_eq!(refusal(&package(json!(REGISTRY), json!("MIT")), &allowed), None);
        for (source, licence, expected) in [
            (json!(REGISTRY), json!("GPL-3.0"), "GPL-3.0"),
            (json!(REGISTRY), Value::Null, "no licence"),
            (json!("git+https://example.org/a"), json!("MIT"), "comes from"),
        ] {
            let refusal = refusal(&package(source, licence), &allowed).unwrap();
            assert!(refusal.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn the_list_is_read_from_deny_toml() {
        let text = "[licenses]\nallow = [\n  \"MIT\", # common\n  \"ISC\",\n]\n[bans]\n";
        assert_eq!(allow_list(text).unwrap(), ["MIT", "ISC"]);
        assert!(allow_list("[licenses]\n").is_err());
    }
}
