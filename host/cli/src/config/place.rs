//! Where in the file a wrong key is, and what was meant.

use hcl_edit::{
    Span,
    structure::{Body, Structure},
};
use serde_path_to_error::{Path, Segment};

use super::hcl1::Modern;
use crate::failure::Failure;

/// Turns an error with a path into one with a line, a column and the nearest known name.
pub fn explain(name: &str, text: &str, modern: &Modern, error: serde_path_to_error::Error<hcl::Error>) -> Failure {
    let keys = keys(error.path());
    let found = offset(text, &keys).or_else(|| offset(&modern.text, &keys).map(|at| modern.old_place(at)));
    let at = match found {
        Some(offset) => {
            let (line, column) = line_and_column(text, offset);
            format!("{name}:{line}:{column}")
        }
        None => name.to_owned(),
    };
    let message = error.inner().to_string();
    let Some((unknown, known)) = unknown_field(&message) else {
        return Failure::input(format!("{at}: {}: {message}", keys.join(".")));
    };
    let failure = Failure::input(format!("{at}: unknown key {unknown:?}"));
    match longshore_job::nearest(unknown, known.iter().copied()) {
        Some(nearest) => failure.remedy(format!("did you mean {nearest:?}?")),
        None => failure.remedy(format!("the keys here are {}", known.join(", "))),
    }
}

fn keys(path: &Path) -> Vec<String> {
    let key = |segment: &Segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        _ => None,
    };
    path.iter().filter_map(key).collect()
}

/// Serde's words for a key that is not there: the key and the ones that are.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let (unknown, expected) = message.strip_prefix("unknown field `")?.split_once('`')?;
    Some((unknown, expected.split('`').skip(1).step_by(2).collect()))
}

/// The byte at which the deepest part of a path that can be found begins.
fn offset(text: &str, keys: &[String]) -> Option<usize> {
    let body = hcl_edit::parser::parse_body(text).ok()?;
    search(&body, keys)
}

fn search(body: &Body, keys: &[String]) -> Option<usize> {
    let (key, rest) = keys.split_first()?;
    body.iter().find_map(|structure| match structure {
        Structure::Attribute(attribute) if attribute.key.as_str() == key => attribute.key.span().map(|span| span.start),
        Structure::Block(block) if block.ident.as_str() == key => {
            let mut rest = rest;
            for label in &block.labels {
                match rest.split_first() {
                    Some((first, others)) if first == label.as_str() => rest = others,
                    Some(_) => return None,
                    None => break,
                }
            }
            search(&block.body, rest).or_else(|| block.ident.span().map(|span| span.start))
        }
        _ => None,
    })
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
