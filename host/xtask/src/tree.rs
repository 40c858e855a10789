//! Habits of the source tree that no compiler checks.

use crate::failure::{Doing, Outcome, none_found};
use crate::workspace::Workspace;
use std::fs;

/// The only folders at the top, besides dot-folders.
const TOP_FOLDERS: &[&str] = &["wit", "host", "sdk", "drivers", "examples"];

/// Files at the top, besides dot-files.
const TOP_FILES: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
];

/// The room that may hold unsafe code.
const UNSAFE_ROOM: &str = "host/linux/";

/// Longest source file, lines. A longer one is usually two things.
const MAX_LINES: usize = 600;

/// Checks every file git knows.
pub fn check(workspace: &Workspace) -> Outcome {
    let mut findings = Vec::new();
    for file in workspace.tracked_files()? {
        findings.extend(misplaced(&file));
        if file.ends_with(".rs") {
            let path = workspace.root.join(&file);
            let text = fs::read_to_string(&path).doing(|| format!("cannot read {file}"))?;
            findings.extend(source_findings(&file, &text));
        }
    }
    none_found(findings)
}

fn misplaced(file: &str) -> Option<String> {
    let known = match file.split_once('/') {
        Some((folder, _)) => TOP_FOLDERS.contains(&folder) || folder.starts_with('.'),
        None => TOP_FILES.contains(&file) || file.starts_with('.'),
    };
    (!known).then(|| format!("{file}: the top level holds only {} and a few files", TOP_FOLDERS.join(", ")))
}

fn source_findings(file: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = without_comment_and_strings(line);
        if !file.starts_with(UNSAFE_ROOM) && holds_unsafe(&code) {
            findings.push(format!("{file}:{number}: unsafe code lives in {UNSAFE_ROOM} only"));
        }
        for stub in ["todo!", "unimplemented!", "#[ignore"] {
            if code.contains(stub) {
                findings.push(format!("{file}:{number}: `{stub}` is work left undone"));
            }
        }
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{file}: {lines} lines, more than {MAX_LINES}: usually two things"));
    }
    findings
}

/// Whether the keyword opens a block, a function, an implementation or an attribute here.
fn holds_unsafe(code: &str) -> bool {
    let keyword = concat!("un", "safe");
    code.match_indices(keyword).any(|(place, _)| {
        let before = code[..place].chars().next_back();
        let after = code[place + keyword.len()..].trim_start();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && ["{", "fn ", "impl", "extern", "trait", "("].iter().any(|next| after.starts_with(next))
    })
}

/// The line without what stands in quotes or after `//`. Good enough for the words looked for here.
fn without_comment_and_strings(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' if quoted => {
                characters.next();
            }
            '\'' if !quoted && characters.peek() == Some(&'"') => {
                characters.next();
            }
            '"' => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if !quoted => code.push(c),
            _ => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rooms_stand_at_the_top() {
        for (file, allowed) in [
            ("host/core/src/lib.rs", true),
            (".ci/run", true),
            (".gitignore", true),
            ("README.md", true),
            ("NOTES.md", false),
            ("scripts/run.sh", false),
        ] {
            assert_eq!(misplaced(file).is_none(), allowed, "{file}");
        }
    }

    #[test]
    fn source_lines_are_judged_by_their_code() {
        let keyword = concat!("un", "safe");
        for (file, line, found) in [
            ("host/wasm/src/a.rs", format!("    {keyword} {{ read() }}"), true),
            ("host/linux/src/a.rs", format!("    {keyword} {{ read() }}"), false),
            ("host/wasm/src/a.rs", format!("// {keyword} is not used"), false),
            ("host/wasm/src/a.rs", format!("let s = \"{keyword}\";"), false),
            ("host/wasm/src/a.rs", format!("#![deny({keyword}_code)]"), false),
            ("host/wasm/src/a.rs", format!("const WORDS: &str = \"\\\n {keyword} static\";"), false),
            ("host/linux/src/a.rs", format!("{}!()", "todo"), true),
            ("host/linux/src/a.rs", format!("#[{}]", "ignore"), true),
        ] {
            assert_eq!(!source_findings(file, &line).is_empty(), found, "{file}: {line}");
        }
        assert!(source_findings("host/a/src/b.rs", &"\n".repeat(MAX_LINES)).is_empty());
        assert!(!source_findings("host/a/src/b.rs", &"\n".repeat(MAX_LINES + 1)).is_empty());
    }
}
