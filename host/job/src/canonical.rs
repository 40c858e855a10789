//! Defaults that depend on something else: the job's type, the group, the other fields.
//!
//! Plain defaults are those of the types in [`model`](crate::model); this adds what those types cannot know,
//! while the document still shows which fields were written.

use serde_json::{Map, Value};

use crate::model::{Job, JobKind, RestartPolicy};

/// A job with every default filled in, from a tidy document; the error is serde's.
pub fn complete(mut document: Value) -> Result<Job, serde_json::Error> {
    if let Value::Object(job) = &mut document {
        fill_job(job)?;
    }
    serde_json::from_value(document)
}

fn fill_job(job: &mut Map<String, Value>) -> Result<(), serde_json::Error> {
    if let (Some(id), None) = (job.get("ID").cloned(), job.get("Name")) {
        job.insert("Name".into(), id);
    }
    let kind: JobKind = match job.get("Type") {
        Some(kind) => serde_json::from_value(kind.clone())?,
        None => JobKind::default(),
    };
    let restart = serde_json::to_value(RestartPolicy::for_kind(kind))?;
    let update = job.get("Update").cloned();
    for group in objects(job.get_mut("TaskGroups")) {
        let restart = over(&restart, group.get("RestartPolicy"));
        if let Some(base) = &update {
            let merged = over(base, group.get("Update"));
            group.insert("Update".into(), merged);
        }
        for task in objects(group.get_mut("Tasks")) {
            fill_task(task, &restart);
        }
        group.insert("RestartPolicy".into(), restart);
    }
    Ok(())
}

fn fill_task(task: &mut Map<String, Value>, restart: &Value) {
    let merged = over(restart, task.get("RestartPolicy"));
    task.insert("RestartPolicy".into(), merged);
    if let Some(Value::Object(resources)) = task.get_mut("Resources") {
        let whole_cores = resources.get("Cores").and_then(Value::as_u64).unwrap_or(0) > 0;
        if whole_cores && !resources.contains_key("CPU") {
            resources.insert("CPU".into(), 0.into());
        }
    }
}

/// The fields of `base`, those of `given` over them.
fn over(base: &Value, given: Option<&Value>) -> Value {
    let mut merged = base.clone();
    if let (Value::Object(merged), Some(Value::Object(given))) = (&mut merged, given) {
        merged.extend(given.clone());
    }
    merged
}

fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}
