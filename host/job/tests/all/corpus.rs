//! Job files of our own in which every block and attribute stands at least once.

#![allow(clippy::unwrap_used, reason = "a failed test is how tests speak")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hcl_edit::structure::{Body, Structure};
use longshore_job::spec::{Block, Effect, JOB, Shape};
use longshore_job::{ParseOptions, format, from_json, parse_str, to_json, upgrade};

fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hcl"));
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Blocks as `outer inner`, attributes as `block.attribute`.
fn known(block: &'static Block, out: &mut BTreeSet<String>) {
    let attributes = block.attributes.iter().filter(|attribute| !matches!(attribute.effect, Effect::Removed(_)));
    let names = attributes.map(|attribute| attribute.name).filter(|name| !name.is_empty());
    out.extend(names.map(|name| format!("{}.{name}", block.name)));
    for inner in block.blocks.iter().filter(|inner| !inner.name.is_empty()) {
        out.insert(format!("{} {}", block.name, inner.name));
        known(inner, out);
    }
}

fn written(block: &'static Block, body: &Body, out: &mut BTreeSet<String>) {
    for structure in body.iter() {
        let structure = match structure {
            Structure::Block(dynamic) if dynamic.ident.as_str() == "dynamic" => continue,
            other => other,
        };
        match structure {
            Structure::Attribute(attribute) => {
                let name = attribute.key.as_str();
                // Some blocks may be written as attributes.
                let is_block = block.block(name).is_some();
                out.insert(if is_block { format!("{} {name}", block.name) } else { format!("{}.{name}", block.name) });
            }
            Structure::Block(inner) => {
                let name = inner.ident.as_str();
                out.insert(format!("{} {name}", block.name));
                let known =
                    block.block(name).filter(|known| matches!(known.shape, Shape::One | Shape::Many | Shape::ByLabel));
                if let Some(known) = known {
                    written(known, &inner.body, out);
                }
            }
        }
    }
}

/// What the language knows and no file shows is seldom right.
#[test]
fn every_block_and_attribute_stands_in_a_file() {
    let mut wanted = BTreeSet::new();
    known(&JOB, &mut wanted);
    let mut found = BTreeSet::new();
    for (name, text) in files() {
        let body = hcl_edit::parser::parse_body(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        body.get_blocks("job").for_each(|job| written(&JOB, &job.body, &mut found));
    }
    let missing: Vec<_> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "no file of the corpus has {missing:#?}");
}

#[test]
fn every_file_reads_and_prints_and_reads_the_same() {
    let options = ParseOptions::default();
    for (name, text) in files() {
        let read = |text: &str| match parse_str(&name, text, &options) {
            Ok(parsed) => parsed.job,
            Err(found) => panic!("{}", found.plain()),
        };
        let job = read(&text);
        let again = from_json(to_json(&job).to_string().as_bytes()).unwrap_or_else(|found| panic!("{}", found.plain()));
        assert_eq!(again.job, job, "{name}");
        let formatted = format(&name, &text).unwrap();
        assert_eq!(read(&formatted), job, "{name}");
        assert_eq!(text, formatted, "{name} is not in the usual form");
        let (new, notes) = upgrade(&name, &text).unwrap();
        assert_eq!(name.starts_with("legacy"), !notes.is_empty(), "{name}: {notes:?}");
        assert_eq!(upgrade(&name, &new).unwrap(), (new.clone(), Vec::new()), "{name}");
        read(&new);
    }
}
