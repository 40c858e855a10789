//! Tests of the crate as its users see it; each file is one concern.

#![allow(clippy::panic, reason = "a failed test is how tests speak")]

mod api_json;
mod corpus;
mod document;
mod errors;
mod examples;
mod functions;
mod hostile;
mod language;
mod networks;
mod numbers;
mod passthrough;
mod rewriting;
mod runtime;
mod secrets;
mod syntax;
mod traps;
mod variables;

use longshore_job::model::Task;
use longshore_job::{Diagnostics, Job, ParseOptions, parse_str};
use serde_json::Value;

/// A job with one group of one task, with these lines in the task.
fn task_text(inside: &str) -> String {
    format!("job \"j\" {{\n group \"g\" {{\n  task \"t\" {{\n driver = \"d\"\n{inside}\n}}\n}}\n}}\n")
}

/// The job of a text that must be right.
fn job(text: &str) -> Job {
    match parse_str("test.hcl", text, &ParseOptions::default()) {
        Ok(parsed) => parsed.job,
        Err(found) => panic!("{}\n{text}", found.plain()),
    }
}

/// What is said of a text that must be wrong.
fn errors(text: &str) -> Diagnostics {
    match parse_str("test.hcl", text, &ParseOptions::default()) {
        Ok(parsed) => panic!("accepted: {:?}\n{text}", parsed.job),
        Err(found) => found,
    }
}

/// The first task of a job.
fn task(text: &str) -> Task {
    job(text).task_groups.remove(0).tasks.remove(0)
}

/// What an expression means as an attribute of `config`, or what is said of it.
fn expression(expr: &str) -> Result<Value, String> {
    let text = format!("locals {{\n tested = {expr}\n}}\n{}", task_text("config {\n x = local.tested\n}"));
    match parse_str("test.hcl", &text, &ParseOptions::default()) {
        Ok(mut parsed) => Ok(parsed.job.task_groups[0].tasks[0].config["x"].take()),
        Err(found) => Err(found.plain()),
    }
}
