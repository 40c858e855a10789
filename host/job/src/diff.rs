//! What differs between two versions of a job, in the form of Nomad's plan: fields and objects, groups and tasks.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Job, format_duration};
use crate::spec::{Block, JOB, Kind, Shape, is_shorthand};

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Change {
    /// Nothing.
    #[default]
    None,
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Part of it is different.
    Edited,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Field {
    /// What became of it.
    #[serde(rename = "Type")]
    pub change: Change,
    /// Its name in the API's document.
    pub name: String,
    /// As text; empty if it is new.
    pub old: String,
    /// As text; empty if it is gone.
    pub new: String,
    /// What follows from it; empty.
    pub annotations: Option<Vec<String>>,
}

/// A block, a group, a task, or the job itself. Only what differs is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Diff {
    /// What became of it.
    #[serde(rename = "Type")]
    pub change: Change,
    /// Of the job.
    #[serde(rename = "ID", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Of everything else.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Values.
    pub fields: Option<Vec<Field>>,
    /// Blocks.
    pub objects: Option<Vec<Diff>>,
    /// Of a job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_groups: Vec<Diff>,
    /// Of a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Diff>,
    /// Of a group: how many allocations are made, stopped, replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updates: Option<std::collections::BTreeMap<String, u64>>,
    /// Of a task: what follows from its change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Vec<String>>,
}

/// What differs; `old` is `None` for a job that is new.
pub fn diff(old: Option<&Job>, new: &Job) -> Diff {
    let old = old.map(crate::to_json);
    let old = old.as_ref().and_then(Value::as_object);
    let document = crate::to_json(new);
    let mut diff = compare(&JOB, old, document.as_object());
    diff.id = new.id.clone();
    diff
}

fn compare(spec: &Block, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) -> Diff {
    let mut diff = Diff::default();
    let mut fields = Vec::new();
    let mut objects = Vec::new();
    let pair = |key: &str| (side(old, key), side(new, key));
    // What only JSON has is the agent's own, but for whether the job runs.
    let attributes = spec.attributes.iter().filter(|a| !a.name.is_empty() || a.json == "Stop");
    for attribute in attributes.filter(|attribute| !is_shorthand(attribute.json)) {
        match pair(attribute.json) {
            (was, is) if was == is => {}
            (was, is)
                if [was, is].iter().any(|side| side.is_some_and(|value| value.is_array() || value.is_object())) =>
            {
                objects.push(free(attribute.json, was, is));
            }
            (was, is) => fields.push(field(attribute.json, text(attribute.kind, was), text(attribute.kind, is))),
        }
    }
    for block in spec.blocks.iter().filter(|block| !is_shorthand(block.json)) {
        for key in [Some(block.json), block.other_json].into_iter().flatten() {
            let (was, is) = pair(key);
            if was == is {
                continue;
            }
            match (key, block.shape) {
                ("TaskGroups", _) => diff.task_groups = listed(block, was, is),
                ("Tasks", _) => diff.tasks = listed(block, was, is),
                (_, Shape::Many) => {
                    objects.extend(listed(block, was, is).into_iter().map(|diff| named(diff, block.name)))
                }
                (_, Shape::One) => objects.push(named(object(block, was, is), block.name)),
                _ => objects.push(free(key, was, is)),
            }
        }
    }
    let differs =
        [fields.len(), objects.len(), diff.task_groups.len(), diff.tasks.len()].iter().any(|count| *count > 0);
    diff.change = match (old, new) {
        (None, Some(_)) => Change::Added,
        (Some(_), None) => Change::Deleted,
        _ if differs => Change::Edited,
        _ => Change::None,
    };
    diff.fields = Some(fields).filter(|fields| !fields.is_empty());
    diff.objects = Some(objects).filter(|objects| !objects.is_empty());
    diff
}

fn side<'v>(fields: Option<&'v Map<String, Value>>, key: &str) -> Option<&'v Value> {
    fields?.get(key).filter(|value| !value.is_null())
}

fn named(mut diff: Diff, block: &str) -> Diff {
    diff.name = if diff.name.is_empty() { block.to_owned() } else { format!("{block} {:?}", diff.name) };
    diff
}

fn object(spec: &Block, old: Option<&Value>, new: Option<&Value>) -> Diff {
    compare(spec, old.and_then(Value::as_object), new.and_then(Value::as_object))
}

/// Blocks of a kind: those of a name are compared with each other, those without by their place.
fn listed(spec: &Block, old: Option<&Value>, new: Option<&Value>) -> Vec<Diff> {
    let items = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let (old, new) = (items(old), items(new));
    let name = |item: &Value, index: usize| match ["Name", "Label"].iter().find_map(|key| item.get(*key)?.as_str()) {
        Some(name) if !name.is_empty() => (name.to_owned(), usize::MAX),
        _ => (String::new(), index),
    };
    let keys = |items: &[Value]| items.iter().enumerate().map(|(at, item)| name(item, at)).collect::<Vec<_>>();
    let (were, are) = (keys(&old), keys(&new));
    let all: BTreeSet<_> = were.iter().chain(&are).collect();
    all.into_iter()
        .map(|key| {
            let find = |keys: &[(String, usize)], items: &[Value]| {
                keys.iter().position(|other| other == key).and_then(|at| items.get(at).cloned())
            };
            let (was, is) = (find(&were, &old), find(&are, &new));
            Diff { name: key.0.clone(), ..object(spec, was.as_ref(), is.as_ref()) }
        })
        .filter(|diff| diff.change != Change::None)
        .collect()
}

/// What no table describes, such as `config`: one field for every value within, by its path.
fn free(name: &str, old: Option<&Value>, new: Option<&Value>) -> Diff {
    let (mut was, mut is) = (Vec::new(), Vec::new());
    old.into_iter().for_each(|value| leaves(value, "", &mut was));
    new.into_iter().for_each(|value| leaves(value, "", &mut is));
    let names: BTreeSet<&String> = was.iter().chain(&is).map(|(name, _)| name).collect();
    let find = |leaves: &[(String, String)], name: &str| {
        leaves.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    };
    let fields: Vec<_> = names
        .into_iter()
        .map(|name| (name, find(&was, name), find(&is, name)))
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| field(name, was, is))
        .collect();
    let change = match (old, new) {
        (None, _) => Change::Added,
        (_, None) => Change::Deleted,
        _ => Change::Edited,
    };
    Diff { change, name: name.into(), fields: Some(fields), ..Diff::default() }
}

fn leaves(value: &Value, at: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, item)| {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            leaves(item, &at, out);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{at}[{index}]"), out));
        }
        Value::String(text) => out.push((at.into(), text.clone())),
        plain => out.push((at.into(), plain.to_string())),
    }
}

fn field(name: &str, old: Option<String>, new: Option<String>) -> Field {
    let change = match (&old, &new) {
        (None, _) => Change::Added,
        (_, None) => Change::Deleted,
        _ => Change::Edited,
    };
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    Field { change, name: name.into(), old, new, annotations: None }
}

fn text(kind: Kind, value: Option<&Value>) -> Option<String> {
    match (kind, value?) {
        (Kind::Duration(_), value) => {
            let nanos = value.as_i64().and_then(|nanos| u64::try_from(nanos).ok());
            Some(nanos.map_or_else(|| value.to_string(), |nanos| format_duration(Duration::from_nanos(nanos))))
        }
        (_, Value::String(text)) => Some(text.clone()),
        (_, plain) => Some(plain.to_string()),
    }
}
