//! Reading a job from a file or text of any form.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::document::{self, Form};
use crate::hcl::{Damaged, Document};
use crate::model::Job;
use crate::source::Source;
use crate::source_map::SourceMap;
use crate::{canonical, hcl, json, validate};

/// Bytes a job file, or a file of variables, may have.
pub const LARGEST_SOURCE: usize = 1 << 20;

/// Where standard input is read.
const INPUT: &str = "/dev/stdin";

/// Levels of lists and maps a job may have: what is printed must be readable again, and readers of JSON stop at 128.
const DEEPEST: usize = 100;

/// Values and permissions for reading a job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseOptions {
    /// Values of variables, as of `-var name=value`; the last of a name wins.
    pub variables: Vec<(String, String)>,
    /// Files with values, as of `-var-file`; later ones win, `variables` win over all.
    pub var_files: Vec<PathBuf>,
    /// What such a file would say, as the API is given it; it wins over files.
    pub var_text: String,
    /// Environment variables; `NOMAD_VAR_<name>` sets a variable, the others are ignored.
    pub env: Vec<(String, String)>,
    /// Whether functions may read files, by paths relative to the job file. Off for jobs that come from elsewhere.
    pub allow_files: bool,
    /// Whether a value for an unknown variable is an error.
    pub strict: bool,
}

impl Default for ParseOptions {
    /// No values, no files, strict.
    fn default() -> Self {
        Self {
            variables: Vec::new(),
            var_files: Vec::new(),
            var_text: String::new(),
            env: Vec::new(),
            allow_files: false,
            strict: true,
        }
    }
}

/// A job that may not run, and why.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// What is wrong.
    pub found: Diagnostics,
    /// The job as far as it could be read, for others who may have something to say of it.
    pub draft: Option<Box<Draft>>,
}

/// A job with mistakes.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Complete, with every default; what could not be read is left out.
    pub job: Job,
    /// Where each part of the job was written.
    pub map: SourceMap,
    damaged: Damaged,
}

impl Draft {
    /// Whether what stands at a JSON pointer is as it was written, so that a complaint about it is not owed to a
    /// mistake that is known.
    pub fn is_whole(&self, pointer: &str) -> bool {
        is_whole(pointer, &self.damaged)
    }
}

impl From<Diagnostics> for Rejected {
    fn from(found: Diagnostics) -> Self {
        Self { found, draft: None }
    }
}

impl From<Rejected> for Diagnostics {
    fn from(rejected: Rejected) -> Self {
        rejected.found
    }
}

/// A job that may run, and what to tell its author.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Complete, with every default.
    pub job: Job,
    /// Warnings only.
    pub warnings: Diagnostics,
    /// Where each part of the job was written.
    pub map: SourceMap,
    /// The text it was read from, in whatever form; empty where there was none.
    pub text: String,
}

/// Reads a job file: HCL, HCL's JSON form, or the API's JSON, by content; `-` is standard input.
pub fn parse_file(path: &Path, options: &ParseOptions) -> Result<Parsed, Diagnostics> {
    draft_file(path, options).map_err(Diagnostics::from)
}

/// As [`parse_file`]; of a job with mistakes, what could be read is answered as well.
pub fn draft_file(path: &Path, options: &ParseOptions) -> Result<Parsed, Rejected> {
    let (source, base) = open(path)?;
    parse(&source, options, base)
}

/// A file as source, and the directory it is in.
fn open(path: &Path) -> Result<(Source, PathBuf), Diagnostics> {
    let is_input = path == Path::new("-");
    let (path, name) = if is_input { (Path::new(INPUT), "<stdin>".into()) } else { (path, path.display().to_string()) };
    let refuse =
        |why: String| Diagnostics::from(Diagnostic::error("Failed to read job file", format!("{name}: {why}")));
    let facts = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if facts.is_dir() {
        return Err(refuse("is a directory".into()));
    }
    // The size of a pipe is not known, so reading stops past the limit, too.
    let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut bytes = Vec::new();
    let mut limited = std::io::Read::take(file, LARGEST_SOURCE as u64 + 1);
    std::io::Read::read_to_end(&mut limited, &mut bytes).map_err(|error| refuse(error.to_string()))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| refuse(format!("not UTF-8 text (byte {})", error.utf8_error().valid_up_to())))?;
    let beside = path.parent().filter(|_| !is_input).unwrap_or(Path::new(""));
    Ok((Source::new(name, text), beside.to_owned()))
}

/// As [`parse_file`], for text at hand; `name` is what errors call it. File functions, if allowed, look in the
/// working directory.
pub fn parse_str(name: &str, text: &str, options: &ParseOptions) -> Result<Parsed, Diagnostics> {
    parse(&Source::new(name, text), options, PathBuf::new()).map_err(Diagnostics::from)
}

/// The document that `nomad job run -output` prints for a file, under `Job`: what was written, with every other
/// field of Nomad's own types `null` or zero. Values out of range are printed as they are and told as diagnostics.
pub fn print_file(path: &Path, options: &ParseOptions) -> Result<(Value, Diagnostics), Diagnostics> {
    let (source, base) = open(path)?;
    let document = document(&source, options, base, Form::Written)?;
    if document.found.unreadable() {
        return Err(document.found);
    }
    Ok((json!({ "Job": document::print(&document.value) }), document.found))
}

fn parse(source: &Source, options: &ParseOptions, base: PathBuf) -> Result<Parsed, Rejected> {
    let parsed = finish(document(source, options, base, Form::Finished)?)?;
    Ok(Parsed { text: source.text().to_owned(), ..parsed })
}

/// The document of a source of any form. One in HCL is always finished.
fn document(source: &Source, options: &ParseOptions, base: PathBuf, form: Form) -> Result<Document, Diagnostics> {
    if source.text().len() > LARGEST_SOURCE {
        let detail = format!("{} has more than {LARGEST_SOURCE} bytes.", source.name());
        return Err(Diagnostic::error("Job file too large", detail).into());
    }
    if source.text().trim().is_empty() {
        let detail = format!("{} is empty; a job block is required.", source.name());
        return Err(Diagnostic::error("Missing job block", detail).into());
    }
    if !source.text().trim_start().starts_with('{') {
        return hcl::read(source, options, base);
    }
    let document = json::read(source)?;
    if is_hcl_json(&document) {
        return hcl::read(&hcl::from_hcl_json(source, &document)?, options, base);
    }
    json::document(&document, form)
}

/// From a tidy document to a job that was validated; all that is wrong is told at once.
pub(crate) fn finish(document: Document) -> Result<Parsed, Rejected> {
    let Document { mut value, map, mut found, damaged, unfit } = document;
    if !nests_at_most(&value, DEEPEST) {
        let detail = format!("Lists and maps may be nested at most {DEEPEST} levels deep.");
        found.push(Diagnostic::error("Job nested too deeply", detail));
        return Err(found.into());
    }
    // Without them the rest can be checked as well, so that all is told at once.
    unfit.iter().for_each(|pointer| remove(&mut value, pointer));
    match canonical::complete(value) {
        Ok(job) => {
            let sound = |item: &Diagnostic| item.path.as_deref().is_none_or(|path| is_whole(path, &damaged));
            let further = validate(&job);
            further.iter().filter(|item| sound(item)).cloned().for_each(|item| found.push(item));
            map.locate(&mut found);
            match found.into_result() {
                Ok(warnings) => Ok(Parsed { job, warnings, map, text: String::new() }),
                Err(found) => Err(Rejected { found, draft: Some(Box::new(Draft { job, map, damaged })) }),
            }
        }
        // What was not understood is already said; what is missing for it need not be.
        Err(_) if found.has_errors() => Err(found.into()),
        Err(error) => {
            found.push(Diagnostic::error("Invalid job", error.to_string()));
            Err(found.into())
        }
    }
}

fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(fields)) = value.pointer_mut(parent) {
        fields.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
    }
}

fn nests_at_most(value: &Value, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Array(items) => items.iter().all(|item| nests_at_most(item, levels)),
        Value::Object(fields) => fields.values().all(|item| nests_at_most(item, levels)),
        _ => true,
    }
}

/// Whether neither a value, nor the block it stands in, nor what it names holds an error already.
fn is_whole(path: &str, damaged: &Damaged) -> bool {
    let block = path.rfind('/').map_or("", |end| &path[..end]);
    let of_ports = ["/Networks/", "/Config/port"].iter().any(|part| path.contains(part));
    let concerns = |damaged: &String| {
        damaged.ends_with("/Config") && path.starts_with(damaged.as_str()) || of_ports && damaged.contains("/Networks/")
    };
    !damaged.contains(path) && !damaged.contains(block) && !damaged.iter().any(concerns)
}

/// `{"job": {"name": {…}}}`, where the API would have `{"Job": {"ID": …}}`.
fn is_hcl_json(document: &Value) -> bool {
    let Some(job) = document.get("job") else {
        return document.get("variable").is_some() || document.get("locals").is_some();
    };
    let is_api = |job: &serde_json::Map<String, Value>| {
        job.keys().any(|key| ["id", "taskgroups"].contains(&key.to_lowercase().as_str()))
    };
    !job.as_object().is_some_and(is_api)
}
