//! HCL2: text to the `Job` document.
//!
//! [`read`] goes through a file in four steps: the text is parsed by hcl-edit; variables get their values
//! ([`variables`]), locals theirs ([`locals`]); then the `job` block is decoded along the table of
//! [`spec`](crate::spec) ([`decode`]), each expression being evaluated as it is met ([`eval`]).

mod budget;
pub(crate) mod convert;
mod decode;
mod dynamic;
mod eval;
mod fault;
mod free;
mod functions;
mod heredoc;
mod json_body;
mod locals;
mod names;
pub(crate) mod number;
mod operators;
mod quoted;
mod reference;
pub(crate) mod runtime;
mod scope;
mod syntax;
mod template;
mod types;
mod unify;
pub(crate) mod value;
mod variables;

use std::collections::HashSet;
use std::path::PathBuf;

use hcl_edit::Span;
use hcl_edit::structure::{Block, Body, Structure};
use serde_json::Value;

use crate::ParseOptions;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::Source;
use crate::source_map::SourceMap;
use crate::spec::JOB;
use crate::suggest::did_you_mean;

use budget::Budget;
use decode::Decoder;
use eval::{Evaluator, Unknown};
use functions::{Files, Functions};

/// The `Job` document of a file, and where each part of it was written.
pub(crate) struct Document {
    /// As API JSON, holding only what was written.
    pub value: Value,
    /// Places of its parts.
    pub map: SourceMap,
    /// Errors and warnings.
    pub found: Diagnostics,
    /// JSON pointers of the blocks that hold the errors: what is missing there was perhaps not understood.
    pub damaged: Damaged,
    /// JSON pointers of values that could be read, but make the job invalid.
    pub unfit: Vec<String>,
}

/// JSON pointers of blocks that hold errors.
pub(crate) type Damaged = HashSet<String>;

/// Blocks that may stand beside `job`.
const TOP_LEVEL: [&str; 4] = ["job", "variable", "variables", "locals"];

/// Reads a job file in HCL; `base` is where file functions look. Fails if there is no job to speak of; otherwise
/// errors are in the document.
pub(crate) fn read(source: &Source, options: &ParseOptions, base: PathBuf) -> Result<Document, Diagnostics> {
    let body = parse(source)?;
    let budget = Budget::default();
    let files = if options.allow_files { Files::Under(base) } else { Files::Disabled };
    let mut found = Diagnostics::new();
    found.add_source(source);
    let job = job_block(&body, source, &mut found);

    let mut evaluator = Evaluator {
        text: source.text(),
        unknown: Unknown::Keep,
        functions: &Functions::JOB,
        files: &files,
        budget: &budget,
        unset: None,
    };
    let variables = variables::read(&body, source, options, &budget, &mut found);
    evaluator.unset = Some(&variables.unset);
    let scope = locals::read(&body, source, evaluator, variables.values.clone(), &mut found);
    let Some(job) = job.filter(|_| !found.has_errors()) else {
        variables.complain_of_unset(source, &mut found);
        return Err(found);
    };
    let mut document = Decoder::new(evaluator, source, found).job(&JOB, job, &scope);
    variables.complain_of_unset(source, &mut document.found);
    Ok(document)
}

/// A job file in HCL's JSON form (`{"job": {"example": {…}}}`) as the HCL it stands for.
pub(crate) fn from_hcl_json(source: &Source, document: &Value) -> Result<Source, Diagnostics> {
    let text = json_body::to_hcl(document)
        .map_err(|detail| Diagnostic::error("Invalid HCL in JSON form", format!("{}: {detail}", source.name())))?;
    Ok(Source::new(format!("{} (as HCL)", source.name()), text))
}

/// Whether a text can be read at all.
pub(crate) fn check_syntax(source: &Source) -> Result<(), Diagnostics> {
    parse(source).map(drop)
}

/// The tree of a text; a mistake is told with its place.
pub(crate) fn parse(source: &Source) -> Result<Body, Diagnostics> {
    let mut body = syntax::read(source).map_err(|mistake| {
        let item = Diagnostic::error(mistake.summary, mistake.detail);
        let mut found = Diagnostics::from(item.in_source(source, &mistake.place));
        found.add_source(source);
        found
    })?;
    quoted::check(&body, source)?;
    heredoc::settle(&mut body, source.text());
    Ok(body)
}

/// The one `job` block; complains of any number but one, and of what may not stand beside it.
fn job_block<'b>(body: &'b Body, source: &Source, found: &mut Diagnostics) -> Option<&'b Block> {
    let mut job: Option<&Block> = None;
    for structure in body.iter() {
        let block = match structure {
            Structure::Block(block) => block,
            Structure::Attribute(attribute) => {
                let name = attribute.key.as_str();
                let detail = format!("An argument named {name:?} is not expected here.");
                let item = Diagnostic::error("Unsupported argument", detail);
                found.push(item.in_source(source, &attribute.key.span().unwrap_or_default()));
                continue;
            }
        };
        let name = block.ident.as_str();
        let place = header(block);
        match (name, job) {
            ("job", Some(first)) => {
                let before = source.locate(&header(first));
                let detail = format!("Only one block of type \"job\" is allowed. Previous definition was at {before}.");
                found.push(Diagnostic::error("Duplicate job block", detail).in_source(source, &place));
            }
            ("job", None) => job = Some(block),
            _ if TOP_LEVEL.contains(&name) => {}
            _ => {
                let hint = did_you_mean(name, TOP_LEVEL);
                let detail = format!("Blocks of type {name:?} are not expected here.{hint}");
                found.push(Diagnostic::error("Unsupported block type", detail).in_source(source, &place));
            }
        }
    }
    if job.is_none() {
        let item = Diagnostic::error("Missing job block", "A job block is required: job \"name\" { … }");
        found.push(item.in_source(source, &(0..0)));
    }
    job
}

/// The first line of a block: its name and labels.
fn header(block: &Block) -> std::ops::Range<usize> {
    let name = block.ident.span().unwrap_or_default();
    let end = block.labels.last().and_then(Span::span).map_or(name.end, |label| label.end);
    name.start..end
}
