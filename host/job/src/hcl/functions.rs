//! Functions a job file may call, one file per family.

mod collection;
mod encoding;
mod filesystem;
mod format;
mod network;
mod numeric;
mod secret;
mod sets;
mod string;
mod time;
mod yaml;

use super::convert::{to_number, to_text, type_name};
use super::number::Number;
use super::types::Type;
use super::value::Value;
use crate::suggest::did_you_mean;

pub use filesystem::Files;

/// Bytes one call may produce; more is an error before it is tried.
const LARGEST: usize = 8 << 20;

/// A function: its name, what it takes, and what it does.
pub struct Function {
    name: &'static str,
    takes: &'static [Parameter],
    rest: Option<Parameter>,
    run: fn(&Call) -> Result<Value, String>,
}

/// What an argument must be; text, numbers and booleans are converted into each other where HCL does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Text,
    Number,
    List,
    /// A list whose elements are brought to one type.
    Alike,
    Map,
    /// Anything but null.
    Value,
    /// Anything.
    Any,
}

/// The arguments of one call, converted to what the function takes.
struct Call<'a> {
    arguments: Vec<Value>,
    files: &'a Files,
}

/// Why a call failed, and which argument is to blame.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Counted from 0; `None` blames the call.
    pub argument: Option<usize>,
    /// A few words.
    pub summary: &'static str,
    /// A sentence.
    pub detail: String,
}

const fn function(
    name: &'static str,
    takes: &'static [Parameter],
    run: fn(&Call) -> Result<Value, String>,
) -> Function {
    Function { name, takes, rest: None, run }
}

const fn variadic(
    name: &'static str,
    takes: &'static [Parameter],
    rest: Parameter,
    run: fn(&Call) -> Result<Value, String>,
) -> Function {
    Function { name, takes, rest: Some(rest), run }
}

/// A set of functions by name.
#[derive(Clone, Copy)]
pub struct Functions {
    families: &'static [&'static [Function]],
    only: Option<&'static [&'static str]>,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.names()).finish()
    }
}

static FAMILIES: &[&[Function]] = &[
    string::FUNCTIONS,
    format::FUNCTIONS,
    collection::FUNCTIONS,
    sets::FUNCTIONS,
    numeric::FUNCTIONS,
    encoding::FUNCTIONS,
    secret::FUNCTIONS,
    network::FUNCTIONS,
    filesystem::FUNCTIONS,
    time::FUNCTIONS,
    yaml::FUNCTIONS,
];

impl Functions {
    /// None at all.
    pub const NONE: Self = Self { families: &[], only: None };
    /// Those of job files.
    pub const JOB: Self = Self { families: FAMILIES, only: None };
    /// Those of driver configuration when a task starts.
    pub const RUNTIME: Self = Self {
        families: FAMILIES,
        only: Some(&[
            "abs",
            "coalesce",
            "concat",
            "jsondecode",
            "jsonencode",
            "length",
            "lower",
            "max",
            "min",
            "reverse",
            "strlen",
            "substr",
            "upper",
        ]),
    };

    /// Whether there is any.
    pub fn are_any(&self) -> bool {
        !self.families.is_empty()
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let only = self.only;
        self.families
            .iter()
            .flat_map(|family| family.iter().map(|function| function.name))
            .filter(move |name| only.is_none_or(|only| only.contains(name)))
    }

    /// Calls a function.
    pub fn call(&self, name: &str, arguments: Vec<Value>, files: &Files) -> Result<Value, Refusal> {
        let known = self.names().any(|known| known == name);
        let all = self.families.iter().flat_map(|family| family.iter());
        let Some(function) = all.into_iter().find(|function| known && function.name == name) else {
            return Err(self.unknown(name));
        };
        let arguments = function.accept(arguments)?;
        (function.run)(&Call { arguments, files }).map_err(|why| Refusal {
            argument: None,
            summary: "Error in function call",
            detail: format!("Call to function {name:?} failed: {}.", why.trim_end_matches('.')),
        })
    }

    fn unknown(&self, name: &str) -> Refusal {
        let hint = did_you_mean(name, self.names());
        let detail = format!("There is no function named {name:?}.{hint}");
        Refusal { argument: None, summary: "Call to unknown function", detail }
    }
}

impl Function {
    fn accept(&self, arguments: Vec<Value>) -> Result<Vec<Value>, Refusal> {
        let (given, wanted) = (arguments.len(), self.takes.len());
        if given < wanted || (given > wanted && self.rest.is_none()) {
            let few = given < wanted;
            let at_least = if self.rest.is_some() { "at least " } else { "" };
            return Err(Refusal {
                argument: None,
                summary: if few { "Not enough function arguments" } else { "Too many function arguments" },
                detail: format!("Function {:?} expects {at_least}{wanted} argument(s), got {given}.", self.name),
            });
        }
        let parameters = self.takes.iter().copied().chain(self.rest.into_iter().cycle());
        let pairs = arguments.into_iter().zip(parameters).enumerate();
        pairs
            .map(|(index, (argument, parameter))| {
                parameter.convert(argument).map_err(|why| Refusal {
                    argument: Some(index),
                    summary: "Invalid function argument",
                    detail: format!("Invalid value for argument {} of {:?}: {why}.", index + 1, self.name),
                })
            })
            .collect()
    }
}

impl Parameter {
    fn convert(self, value: Value) -> Result<Value, String> {
        if self == Self::Any {
            return Ok(value);
        }
        if value.is_null() {
            return Err("argument must not be null".into());
        }
        let (converted, wanted) = match self {
            Self::Text => (to_text(&value).map(Value::String), "string"),
            Self::Number => (to_number(&value).map(Value::Number), "number"),
            Self::List => (value.is_array().then(|| value.clone()), "list"),
            Self::Alike => (Type::List(Box::new(Type::Any)).convert(value.clone()).ok(), "list of one type"),
            Self::Map => (value.is_object().then(|| value.clone()), "map"),
            Self::Value | Self::Any => return Ok(value),
        };
        converted.ok_or_else(|| format!("{wanted} required, got {}", type_name(&value)))
    }
}

impl Call<'_> {
    fn value(&self, index: usize) -> &Value {
        self.arguments.get(index).unwrap_or(&Value::Null)
    }

    fn text(&self, index: usize) -> &str {
        self.value(index).as_str().unwrap_or_default()
    }

    fn number(&self, index: usize) -> Number {
        match self.value(index) {
            Value::Number(number) => number.clone(),
            _ => 0_i64.into(),
        }
    }

    fn float(&self, index: usize) -> f64 {
        self.number(index).float()
    }

    fn whole(&self, index: usize) -> Result<i64, String> {
        super::convert::to_whole(self.value(index))
            .ok_or_else(|| format!("argument {} must be a whole number", index + 1))
    }

    fn list(&self, index: usize) -> &[Value] {
        self.value(index).as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

/// Refuses a result before it is made.
fn fits(bytes: usize) -> Result<(), String> {
    if bytes > LARGEST { Err(format!("the result would be larger than {LARGEST} bytes")) } else { Ok(()) }
}

/// Every element as text.
fn texts<'v>(list: impl IntoIterator<Item = &'v Value>) -> Result<Vec<String>, String> {
    list.into_iter().map(|item| to_text(item).ok_or_else(|| "list of strings required".into())).collect()
}

/// What the machine reckoned, as value.
fn float(result: f64) -> Result<Value, String> {
    Number::from_float(result).map(Value::Number).ok_or_else(|| "the result is not a number".into())
}
