//! The `Job` document of the API: in, and out.

use serde_json::Value;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::document::{self, Form};
use crate::hcl::{Damaged, Document};
use crate::model::Job;
use crate::parse::{LARGEST_SOURCE, Parsed, Rejected, finish};
use crate::source::Source;
use crate::source_map::SourceMap;

/// Reads a job from JSON text: the job itself, or an object with it under `Job`.
pub fn from_json(bytes: &[u8]) -> Result<Parsed, Diagnostics> {
    if bytes.len() > LARGEST_SOURCE {
        let detail = format!("More than {LARGEST_SOURCE} bytes.");
        return Err(Diagnostic::error("Job too large", detail).into());
    }
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| Diagnostic::error("Invalid JSON", error.to_string()))?;
    from_value(&document)
}

/// As [`from_json`], for JSON at hand.
pub fn from_value(document: &Value) -> Result<Parsed, Diagnostics> {
    draft_value(document).map_err(Diagnostics::from)
}

/// As [`from_value`]; of a job with mistakes, what could be read is answered as well.
pub fn draft_value(document: &Value) -> Result<Parsed, Rejected> {
    finish(self::document(document, Form::Finished)?)
}

/// The tidy document of one that others wrote.
pub(crate) fn document(document: &Value, form: Form) -> Result<Document, Diagnostics> {
    let inner = document.as_object().and_then(|fields| {
        let mut fields = fields.iter();
        fields.find(|(key, value)| key.eq_ignore_ascii_case("job") && !value.is_null())
    });
    let job = inner.map_or(document, |(_, job)| job);
    let is_part = |key: &String| ["id", "name", "taskgroups"].contains(&key.to_lowercase().as_str());
    if !job.as_object().is_some_and(|fields| fields.keys().any(is_part)) {
        let detail = "A job is a JSON object with \"ID\" and \"TaskGroups\", alone or as \"Job\" of an object.";
        return Err(Diagnostic::error("Missing job", detail).into());
    }
    let mut found = Diagnostics::new();
    let tidy = document::tidy(job, form, &mut found);
    if found.unreadable() {
        return Err(found);
    }
    let unfit = found.errors().filter_map(|item| item.path.clone()).collect();
    Ok(Document { value: tidy, map: SourceMap::default(), found, damaged: Damaged::default(), unfit })
}

/// The `Job` document of a job.
pub fn to_json(job: &Job) -> Value {
    // Every key of a job is a string and every number finite, so this cannot fail.
    serde_json::to_value(job).unwrap_or_default()
}

/// JSON text with the place of the first mistake.
pub(crate) fn read(source: &Source) -> Result<Value, Diagnostics> {
    serde_json::from_str(source.text()).map_err(|error| {
        let line_start: usize = source.text().split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
        let at = line_start + error.column().saturating_sub(1);
        let item = Diagnostic::error("Invalid JSON", error.to_string());
        let mut found = Diagnostics::from(item.in_source(source, &(at..at + 1)));
        found.add_source(source);
        found
    })
}
