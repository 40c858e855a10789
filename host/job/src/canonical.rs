//! Defaults that depend on something else: the job's type, the group, the other fields.
//!
//! Plain defaults are those of the types in [`model`](crate::model); this adds what those types cannot know,
//! while the document still shows which fields were written. Old spellings end here, too: a document still has them
//! as they were written, a job has the one that counts.

use serde_json::{Map, Value};

use crate::model::{Job, JobKind, RestartPolicy};

type Fields = Map<String, Value>;

/// A job with every default filled in, from a tidy document; the error is serde's.
pub fn complete(mut document: Value) -> Result<Job, serde_json::Error> {
    if let Value::Object(job) = &mut document {
        fill_job(job)?;
    }
    serde_json::from_value(document)
}

fn fill_job(job: &mut Fields) -> Result<(), serde_json::Error> {
    if let (Some(id), None) = (job.get("ID").cloned(), job.get("Name")) {
        job.insert("Name".into(), id);
    }
    // The zero of each means that it was not given.
    let zeros = [("Type", Value::from("")), ("Priority", 0.into()), ("Datacenters", Value::Array(Vec::new()))];
    job.retain(|key, value| !zeros.iter().any(|(name, zero)| name == key && zero == value));
    let kind: JobKind = match job.get("Type") {
        Some(kind) => serde_json::from_value(kind.clone())?,
        None => JobKind::default(),
    };
    let restart = serde_json::to_value(RestartPolicy::for_kind(kind))?;
    let name = text(job, "Name");
    braces(job);
    let inherited = ["Update", "Reschedule", "Migrate"].map(|key| job.get(key).cloned());
    for group in objects(job.get_mut("TaskGroups")) {
        let restart = over(&restart, group.get("RestartPolicy"));
        for (base, key) in inherited.iter().zip(["Update", "ReschedulePolicy", "Migrate"]) {
            if let Some(base) = base {
                let merged = over(base, group.get(key));
                group.insert(key.into(), merged);
            }
        }
        braces(group);
        // As many as there must be.
        if let (None, Some(least)) = (group.get("Count"), group.get("Scaling").and_then(|scaling| scaling.get("Min"))) {
            let least = least.clone();
            group.insert("Count".into(), least);
        }
        let name = format!("{name}-{}", text(group, "Name"));
        objects(group.get_mut("Services")).for_each(|service| fill_service(service, &name));
        for task in objects(group.get_mut("Tasks")) {
            fill_task(task, &restart, &name);
        }
        group.insert("RestartPolicy".into(), restart);
    }
    Ok(())
}

fn fill_task(task: &mut Fields, restart: &Value, group: &str) {
    let merged = over(restart, task.get("RestartPolicy"));
    task.insert("RestartPolicy".into(), merged);
    if let Some(Value::Object(resources)) = task.get_mut("Resources") {
        let whole_cores = resources.get("Cores").and_then(Value::as_u64).unwrap_or(0) > 0;
        if whole_cores && !resources.contains_key("CPU") {
            resources.insert("CPU".into(), 0.into());
        }
    }
    if let Some(Value::Object(logs)) = task.get_mut("LogConfig") {
        match logs.shift_remove("Enabled") {
            Some(Value::Bool(enabled)) if !logs.contains_key("Disabled") => {
                logs.insert("Disabled".into(), (!enabled).into());
            }
            _ => {}
        }
    }
    for template in objects(task.get_mut("Templates")).filter(|template| text(template, "ChangeMode") == "signal") {
        template.entry("ChangeSignal").or_insert_with(|| "SIGHUP".into());
    }
    if let Some(config) = task.get_mut("Config") {
        strip_nulls(config);
    }
    braces(task);
    let name = format!("{group}-{}", text(task, "Name"));
    objects(task.get_mut("Services")).for_each(|service| fill_service(service, &name));
}

fn fill_service(service: &mut Fields, default: &str) {
    // The zero of a text means that it was not given.
    service
        .retain(|key, value| value != "" || !["Name", "Provider", "AddressMode", "OnUpdate"].contains(&key.as_str()));
    let name = service.entry("Name").or_insert_with(|| default.into()).as_str().unwrap_or_default().to_owned();
    let restart = service.get("CheckRestart").cloned();
    for check in objects(service.get_mut("Checks")) {
        if text(check, "Name").is_empty() {
            check.insert("Name".into(), format!("service: {name:?} check").into());
        }
        if let Some(base) = &restart {
            let merged = over(base, check.get("CheckRestart"));
            check.insert("CheckRestart".into(), merged);
        }
    }
}

/// `$attr.kernel.name` is how Nomad 0.1 wrote `${attr.kernel.name}`.
fn braces(fields: &mut Fields) {
    for constraint in objects(fields.get_mut("Constraints")) {
        for side in ["LTarget", "RTarget"] {
            let Some(Value::String(target)) = constraint.get_mut(side) else { continue };
            let name = target.strip_prefix('$').filter(|name| is_fact(name)).map(str::to_owned);
            if let Some(name) = name {
                *target = format!("${{{name}}}");
            }
        }
    }
}

/// Whether a name, without braces, is one of the machine's facts: `attr.kernel.name`, `node.class`, `meta.rack`.
pub fn is_fact(name: &str) -> bool {
    let known = ["attr.", "node.", "meta."].iter().any(|root| name.starts_with(root));
    known && name.chars().all(|letter| letter.is_alphanumeric() || ".-_".contains(letter))
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

fn text(fields: &Fields, key: &str) -> String {
    fields.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The fields of `base`, those of `given` over them.
fn over(base: &Value, given: Option<&Value>) -> Value {
    let mut merged = base.clone();
    if let (Value::Object(merged), Some(Value::Object(given))) = (&mut merged, given) {
        merged.extend(given.clone());
    }
    merged
}

fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Fields> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}
