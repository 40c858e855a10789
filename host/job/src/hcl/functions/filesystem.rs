//! Files beside the job file. Off where a job comes from elsewhere.

use std::path::{Component, Path, PathBuf};

use super::Parameter::Text;
use super::{Call, Function, function};
use crate::hcl::value::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes a file read into a job may have.
const LARGEST_FILE: u64 = 4 << 20;
/// Files `fileset` may look at.
const MOST_FILES: usize = 10_000;

/// What file functions may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// Nothing: the functions fail.
    Disabled,
    /// Files, by paths relative to this directory.
    Under(PathBuf),
}

pub(super) static FUNCTIONS: &[Function] = &[
    function("abspath", &[Text], |c| {
        let path = std::path::absolute(c.path(0)?).map_err(|error| error.to_string())?;
        Ok(shown(&clean(&path)))
    }),
    function("basename", &[Text], basename),
    function("dirname", &[Text], dirname),
    function("file", &[Text], |c| {
        let bytes = c.read(0)?;
        String::from_utf8(bytes).map(Value::from).map_err(|_| format!("contents of {} are not valid UTF-8", c.text(0)))
    }),
    function("filebase64", &[Text], |c| Ok(STANDARD.encode(c.read(0)?).into())),
    function("fileexists", &[Text], fileexists),
    function("fileset", &[Text, Text], fileset),
    function("pathexpand", &[Text], |c| {
        c.base()?;
        if c.text(0).strip_prefix('~').is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
            return Err("cannot expand user-specific home dir".into());
        }
        Ok(shown(&expand(c.text(0))))
    }),
];

impl Call<'_> {
    fn base(&self) -> Result<&Path, String> {
        match self.files {
            Files::Disabled => Err("filesystem function disabled".into()),
            Files::Under(base) => Ok(base),
        }
    }

    /// Below the job file's directory; what is not there is looked for in the working directory, where Nomad looks.
    fn path(&self, index: usize) -> Result<PathBuf, String> {
        let path = expand(self.text(index));
        let beside = self.base()?.join(&path);
        Ok(if !beside.exists() && path.exists() { path } else { beside })
    }

    fn read(&self, index: usize) -> Result<Vec<u8>, String> {
        let (path, name) = (self.path(index)?, self.text(index));
        let facts = std::fs::metadata(&path).map_err(|error| format!("{name}: {error}"))?;
        if !facts.is_file() {
            return Err(format!("{name} is not a regular file"));
        }
        if facts.len() > LARGEST_FILE {
            return Err(format!("{name} is larger than {LARGEST_FILE} bytes"));
        }
        std::fs::read(path).map_err(|error| format!("{name}: {error}"))
    }
}

fn fileexists(c: &Call) -> Result<Value, String> {
    let path = c.path(0)?;
    if path.exists() && !path.is_file() {
        return Err(format!("{} is not a regular file", c.text(0)));
    }
    Ok(path.exists().into())
}

/// The last part; of the root itself, the root.
fn basename(c: &Call) -> Result<Value, String> {
    c.base()?;
    let path = Path::new(c.text(0));
    let root = if path.has_root() { "/" } else { "." };
    Ok(path.file_name().map_or_else(|| root.into(), |name| shown(Path::new(name))))
}

/// All but what follows the last slash.
fn dirname(c: &Call) -> Result<Value, String> {
    c.base()?;
    let directory = c.text(0).rfind('/').map_or("", |slash| &c.text(0)[..=slash]);
    let directory = clean(Path::new(directory));
    Ok(if directory.as_os_str().is_empty() { ".".into() } else { shown(&directory) })
}

/// Paths below a directory that match a pattern with `*`, `?`, `[…]`, `{a,b}` and `**`.
fn fileset(c: &Call) -> Result<Value, String> {
    let root = c.path(0)?;
    if !root.is_dir() {
        return Ok(Value::Array(Vec::new()));
    }
    let pattern = globset::GlobBuilder::new(c.text(1))
        .literal_separator(true)
        .build()
        .map_err(|error| error.to_string())?
        .compile_matcher();
    let mut found = Vec::new();
    let mut seen = 0;
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        let entries = std::fs::read_dir(&directory).map_err(|error| error.to_string())?;
        for entry in entries {
            let entry = entry.map_err(|error| error.to_string())?;
            seen += 1;
            if seen > MOST_FILES {
                return Err(format!("more than {MOST_FILES} files below {}", c.text(0)));
            }
            let kind = entry.file_type().map_err(|error| error.to_string())?;
            let path = entry.path();
            if kind.is_dir() {
                waiting.push(path);
            } else if let Some(name) = path.strip_prefix(&root).ok().filter(|n| pattern.is_match(n)) {
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found.into())
}

/// `~` is the home directory.
fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// Without `.` and `..`, by name alone.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn shown(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}
