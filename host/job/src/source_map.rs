//! Where in the source each value of the `Job` document was written.

use std::collections::HashMap;
use std::ops::Range;

use crate::diagnostics::Diagnostics;
use crate::model::Job;
use crate::source::{Location, Source};

/// From JSON pointers into the `Job` document (`/TaskGroups/0/Tasks/0/Config/image`) to places in its source.
///
/// Empty for jobs read from JSON, where a pointer says enough.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    source: Option<Source>,
    spans: HashMap<String, Range<usize>>,
}

impl SourceMap {
    /// An empty map of a source.
    pub(crate) fn new(source: &Source) -> Self {
        Self { source: Some(source.clone()), spans: HashMap::new() }
    }

    /// Notes where a value stands; of two places the first counts.
    pub(crate) fn note(&mut self, pointer: &str, span: Option<Range<usize>>) {
        if let Some(span) = span {
            self.spans.entry(pointer.to_owned()).or_insert(span);
        }
    }

    /// Takes over the places of another map, below a pointer.
    pub(crate) fn graft(&mut self, pointer: &str, other: Self) {
        self.spans.extend(other.spans.into_iter().map(|(inner, span)| (format!("{pointer}{inner}"), span)));
    }

    /// The source all places are in.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The place of a value, or of the nearest thing around it that was written.
    pub fn find(&self, pointer: &str) -> Option<Location> {
        let source = self.source.as_ref()?;
        let mut pointer = pointer;
        loop {
            if let Some(span) = self.spans.get(pointer) {
                return Some(source.locate(span));
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }

    /// The JSON pointer to a value in the `config` of a task; `within` is a pointer from there (`/ports/0`, or
    /// empty for all of it). `None` when the job has no such task.
    pub fn config_pointer(job: &Job, group: &str, task: &str, within: &str) -> Option<String> {
        let at = job.task_groups.iter().position(|candidate| candidate.name == group)?;
        let tasks = &job.task_groups[at].tasks;
        let task = tasks.iter().position(|candidate| candidate.name == task)?;
        Some(format!("/TaskGroups/{at}/Tasks/{task}/Config{within}"))
    }

    /// Adds places to those diagnostics that have only a JSON pointer, and the source to draw them.
    pub fn locate(&self, found: &mut Diagnostics) {
        let Some(source) = &self.source else {
            return;
        };
        found.add_source(source);
        for item in found.iter_mut().filter(|item| item.location.is_none()) {
            item.location = item.path.as_deref().and_then(|path| self.find(path));
        }
    }
}

/// A pointer one step longer, the step escaped as JSON pointers are.
pub(crate) fn join(pointer: &str, step: &str) -> String {
    let mut longer = String::with_capacity(pointer.len() + 1 + step.len());
    longer.push_str(pointer);
    longer.push('/');
    if step.contains(['~', '/']) {
        longer.push_str(&step.replace('~', "~0").replace('/', "~1"));
    } else {
        longer.push_str(step);
    }
    longer
}
