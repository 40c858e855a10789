//! Docker Compose files as job files.
//!
//! Services of one Compose file reach each other by name in a network of their own; so do tasks of one group in mode
//! `bridge`, where each name stands for the group's own address. What has no counterpart is noted, never dropped
//! in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::hcl::convert::to_text;
use crate::yaml;

type Fields = Map<String, Value>;

/// A job file, and what it could not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Text of the job file.
    pub job: String,
    /// One line each.
    pub notes: Vec<String>,
}

/// Keys of a service that are carried, or need not be.
const KNOWN: [&str; 25] = [
    "image",
    "command",
    "entrypoint",
    "environment",
    "ports",
    "volumes",
    "restart",
    "depends_on",
    "healthcheck",
    "container_name",
    "hostname",
    "user",
    "working_dir",
    "labels",
    "cap_add",
    "cap_drop",
    "privileged",
    "tty",
    "init",
    "stop_signal",
    "stop_grace_period",
    "mem_limit",
    "expose",
    "networks",
    "deploy",
];

/// Makes a job file; `name` is the job's, else the file's own `name`, else `directory`.
pub fn import(text: &str, name: Option<&str>, directory: Option<&str>) -> Result<Imported, String> {
    let mut document = yaml::read(text, yaml::Words::Few)?;
    let mut variables = BTreeMap::new();
    take_variables(&mut document, &mut variables);
    let services = document.get("services").and_then(Value::as_object).ok_or("a Compose file has services")?;
    let own = document.get("name").and_then(Value::as_str);
    let name = name.or(own).or(directory).unwrap_or("compose");
    let mut import = Import {
        notes: Vec::new(),
        ports: BTreeMap::new(),
        names: services.keys().cloned().collect(),
        first: services.values().flat_map(|service| dependencies(service, COMPLETED)).collect(),
    };
    for key in ["secrets", "configs", "include", "extends"] {
        if document.get(key).is_some() {
            import.notes.push(format!("{key}: not carried over"));
        }
    }
    let mut tasks = String::new();
    for (name, service) in services {
        let service = service.as_object().ok_or_else(|| format!("service {name:?} must be a map"))?;
        tasks.push_str(&import.task(name, service));
    }
    let ports: String = import.ports.values().map(String::as_str).collect();
    let variables: String = variables
        .iter()
        .map(|(name, default)| match default {
            Some(default) => format!("variable \"{name}\" {{\ndefault = {}\n}}\n\n", quoted(default)),
            None => format!("variable \"{name}\" {{\ntype = string\n}}\n\n"),
        })
        .collect();
    let job = format!(
        "{variables}job {} {{\ngroup \"app\" {{\nnetwork {{\nmode = \"bridge\"\n{ports}}}\n\n{tasks}}}\n}}\n",
        quoted(&name.replace(' ', "-"))
    );
    let job = crate::format("compose", &job).map_err(|found| found.plain())?;
    Ok(Imported { job, notes: import.notes })
}

struct Import {
    notes: Vec<String>,
    /// Blocks of ports by label.
    ports: BTreeMap<String, String>,
    names: Vec<String>,
    /// Services that others wait for until they are done.
    first: BTreeSet<String>,
}

/// On what a service depends that starts after another has ended.
const COMPLETED: &str = "service_completed_successfully";

impl Import {
    fn note(&mut self, service: &str, text: impl std::fmt::Display) {
        self.notes.push(format!("service {service}: {text}"));
    }

    fn task(&mut self, name: &str, service: &Fields) -> String {
        for key in service.keys().filter(|key| !KNOWN.contains(&key.as_str()) && !key.starts_with("x-")) {
            match key.as_str() {
                "build" => self.note(name, "build: images are not built here; build it and name it with image"),
                other => self.note(name, format!("{other}: not carried over")),
            }
        }
        let config = self.config(name, service);
        let mut out = format!("task {} {{\ndriver = \"docker\"\n", quoted(name));
        if let Some(user) = service.get("user").and_then(to_text) {
            out.push_str(&format!("user = {}\n", quoted(&user)));
        }
        for (key, attribute) in [("stop_signal", "kill_signal"), ("stop_grace_period", "kill_timeout")] {
            if let Some(value) = service.get(key).and_then(to_text) {
                out.push_str(&format!("{attribute} = {}\n", quoted(&value)));
            }
        }
        out.push_str(&format!("\nconfig {{\n{config}}}\n"));
        out.push_str(&environment(service.get("environment")));
        if self.first.contains(name) {
            out.push_str("\nlifecycle {\nhook = \"prestart\"\n}\n");
        }
        out.push_str(&self.restart(name, service));
        out.push_str(&self.resources(name, service));
        self.order(name, service);
        out.push_str("}\n\n");
        out
    }

    fn config(&mut self, name: &str, service: &Fields) -> String {
        let image = service.get("image").and_then(Value::as_str).unwrap_or_default();
        let mut out = format!("image = {}\n", quoted(image));
        match service.get("entrypoint") {
            Some(Value::String(line)) => out.push_str(&format!("entrypoint = {}\n", list(words(line).iter()))),
            Some(Value::Array(items)) => out.push_str(&format!("entrypoint = {}\n", list(texts(items).iter()))),
            _ => {}
        }
        let command = match service.get("command") {
            Some(Value::String(line)) => words(line),
            Some(Value::Array(items)) => texts(items),
            _ => Vec::new(),
        };
        if let Some((first, rest)) = command.split_first() {
            out.push_str(&format!("command = {}\n", quoted(first)));
            if !rest.is_empty() {
                out.push_str(&format!("args = {}\n", list(rest.iter())));
            }
        }
        for (key, attribute) in [("working_dir", "work_dir"), ("hostname", "hostname")] {
            if let Some(value) = service.get(key).and_then(Value::as_str) {
                out.push_str(&format!("{attribute} = {}\n", quoted(value)));
            }
        }
        for key in ["privileged", "tty", "init"] {
            if service.get(key) == Some(&Value::Bool(true)) {
                out.push_str(&format!("{key} = true\n"));
            }
        }
        for key in ["cap_add", "cap_drop"] {
            if let Some(Value::Array(items)) = service.get(key) {
                out.push_str(&format!("{key} = {}\n", list(texts(items).iter())));
            }
        }
        let labels = pairs(service.get("labels"));
        if !labels.is_empty() {
            out.push_str(&format!("labels = {{\n{}}}\n", assignments(&labels)));
        }
        let ports = self.ports(name, service);
        if !ports.is_empty() {
            out.push_str(&format!("ports = {}\n", list(ports.iter())));
        }
        let others: Vec<String> =
            self.names.iter().filter(|other| *other != name).map(|other| format!("{other}:127.0.0.1")).collect();
        if !others.is_empty() {
            out.push_str(&format!("extra_hosts = {}\n", list(others.iter())));
        }
        out.push_str(&self.volumes(name, service));
        out
    }

    /// `"8080:80"`, `"127.0.0.1:8080:80/udp"`, `"5000-5010:5000-5010"`, `80`, or `{ target = 80, published = 8080 }`.
    /// The protocol is not asked for: a port of a job is published for both.
    fn ports(&mut self, name: &str, service: &Fields) -> Vec<String> {
        let mut labels = Vec::new();
        let items = service.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
        for item in items {
            let (published, target) = match &item {
                Value::Object(long) => {
                    let text = |key: &str| long.get(key).and_then(to_text).unwrap_or_default();
                    (text("published"), text("target"))
                }
                short => {
                    let text = to_text(short).unwrap_or_default();
                    let plain = text.split('/').next().unwrap_or_default().to_owned();
                    let mut parts: Vec<&str> = plain.rsplitn(3, ':').collect();
                    if parts.len() == 3 {
                        self.note(name, format!("port {text}: the address is not carried over; see host_network"));
                    }
                    parts.truncate(2);
                    let published = parts.get(1).copied().unwrap_or_default().to_owned();
                    (published, parts.first().copied().unwrap_or_default().to_owned())
                }
            };
            let Some(pairs) = paired(&published, &target) else {
                self.note(name, format!("port {item}: not carried over; only numbers and equally long ranges are"));
                continue;
            };
            for (published, target) in pairs {
                let label = format!("{}-{target}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
                let fixed = published.map(|port| format!("static = {port}\n")).unwrap_or_default();
                let block = format!("port {} {{\n{fixed}to = {target}\n}}\n", quoted(&label));
                self.ports.insert(label.clone(), block);
                labels.push(label);
            }
        }
        labels
    }

    /// `"./data:/data:ro"`, `"name:/data"`, or the long form.
    fn volumes(&mut self, name: &str, service: &Fields) -> String {
        let (mut binds, mut out) = (Vec::new(), String::new());
        let items = service.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
        for item in items {
            let (source, target, read_only) = match &item {
                Value::Object(long) => {
                    let text = |key: &str| long.get(key).and_then(to_text).unwrap_or_default();
                    (text("source"), text("target"), long.get("read_only") == Some(&Value::Bool(true)))
                }
                short => {
                    let text = to_text(short).unwrap_or_default();
                    let parts: Vec<&str> = text.split(':').collect();
                    match parts.as_slice() {
                        [source, target, rest @ ..] => {
                            ((*source).to_owned(), (*target).to_owned(), rest.contains(&"ro"))
                        }
                        _ => (String::new(), text.clone(), false),
                    }
                }
            };
            match source.chars().next() {
                None => self.note(name, format!("volume {target}: without a name it is the image's own; left out")),
                Some('/' | '.' | '~') => {
                    if !source.starts_with('/') {
                        self.note(
                            name,
                            format!("volume {source}: write an absolute path; it was relative to the file"),
                        );
                    }
                    let mode = if read_only { ":ro" } else { "" };
                    binds.push(format!("{source}:{target}{mode}"));
                }
                Some(_) => out.push_str(&format!(
                    "mount {{\ntype = \"volume\"\nsource = {}\ntarget = {}\nreadonly = {read_only}\n}}\n",
                    quoted(&source),
                    quoted(&target)
                )),
            }
        }
        if !binds.is_empty() {
            out.insert_str(0, &format!("volumes = {}\n", list(binds.iter())));
        }
        out
    }

    fn restart(&mut self, name: &str, service: &Fields) -> String {
        match service.get("restart").and_then(Value::as_str) {
            Some("no") => "\nrestart {\nattempts = 0\nmode = \"fail\"\n}\n".into(),
            Some("always" | "unless-stopped") => {
                "\nrestart {\nattempts = 10\ninterval = \"5m\"\ndelay = \"5s\"\nmode = \"delay\"\n}\n".into()
            }
            Some(other) if !other.starts_with("on-failure") => {
                self.note(name, format!("restart {other}: not carried over"));
                String::new()
            }
            _ => String::new(),
        }
    }

    fn resources(&mut self, name: &str, service: &Fields) -> String {
        let mut left = Vec::new();
        leaves(service.get("deploy").unwrap_or(&Value::Null), "deploy", &mut left);
        for key in left.iter().filter(|key| *key != "deploy.resources.limits.memory") {
            self.note(name, format!("{key}: not carried over"));
        }
        let deployed = service.get("deploy").and_then(|deploy| deploy.pointer("/resources/limits/memory"));
        let limit = service.get("mem_limit").or(deployed).and_then(to_text);
        match limit.as_deref().map(|limit| (limit, mebibytes(limit))) {
            Some((_, Some(memory))) => format!("\nresources {{\nmemory = {}\n}}\n", memory.max(10)),
            Some((limit, None)) => {
                self.note(name, format!("mem_limit {limit}: not a size"));
                String::new()
            }
            None => String::new(),
        }
    }

    /// What says when a service starts, and when it is well.
    fn order(&mut self, name: &str, service: &Fields) {
        let mut others = match service.get("depends_on") {
            Some(Value::Array(items)) => texts(items),
            Some(Value::Object(fields)) => fields.keys().cloned().collect(),
            _ => Vec::new(),
        };
        others.retain(|other| !self.first.contains(other));
        if !others.is_empty() {
            let others = others.join(", ");
            self.note(
                name,
                format!(
                    "depends_on {others}: main tasks start together; retry, or make it a prestart task (lifecycle)"
                ),
            );
        }
        if service.contains_key("healthcheck") {
            self.note(name, "healthcheck: not carried over; a service block with a check says the same");
        }
        if service.contains_key("networks") {
            self.note(name, "networks: all services share one network");
        }
    }
}

/// Services that one waits for, under a condition.
fn dependencies(service: &Value, condition: &str) -> Vec<String> {
    let others = service.get("depends_on").and_then(Value::as_object).into_iter().flatten();
    let asked = |other: &Value| other.get("condition").and_then(Value::as_str) == Some(condition);
    others.filter(|(_, other)| asked(other)).map(|(name, _)| name.clone()).collect()
}

/// Ports inside with those published for them: of a range each by itself.
fn paired(published: &str, target: &str) -> Option<Vec<(Option<u16>, u16)>> {
    let targets = range(target)?;
    if published.is_empty() {
        return Some(targets.map(|target| (None, target)).collect());
    }
    let published = range(published)?;
    let pairs = published.len() == targets.len();
    pairs.then(|| published.map(Some).zip(targets).collect())
}

/// `80`, or `5000-5010`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

/// The names of all values within maps, joined by dots.
fn leaves(value: &Value, name: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(value, &format!("{name}.{key}"), out)),
        Value::Null => {}
        _ => out.push(name.to_owned()),
    }
}

/// A list of `NAME=value` or a map, as an `env` block.
fn environment(value: Option<&Value>) -> String {
    let pairs = pairs(value);
    if pairs.is_empty() { String::new() } else { format!("\nenv = {{\n{}}}\n", assignments(&pairs)) }
}

fn assignments(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(key, value)| format!("{} = {}\n", quoted(key), quoted(value))).collect()
}

fn pairs(value: Option<&Value>) -> Vec<(String, String)> {
    match value {
        Some(Value::Array(items)) => texts(items)
            .iter()
            .map(|item| item.split_once('=').map_or((item.clone(), String::new()), |(k, v)| (k.into(), v.into())))
            .collect(),
        Some(Value::Object(fields)) => {
            fields.iter().map(|(key, value)| (key.clone(), to_text(value).unwrap_or_default())).collect()
        }
        _ => Vec::new(),
    }
}

fn texts(items: &[Value]) -> Vec<String> {
    items.iter().filter_map(to_text).collect()
}

fn list<'t>(items: impl Iterator<Item = &'t String>) -> String {
    format!("[{}]", items.map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

/// Splits a command line as a shell would, quotes respected.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// `512m`, `1g`, `1073741824`.
fn mebibytes(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let text = text.trim_end_matches('b');
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().ok()?;
    match unit {
        "" => Some(number >> 20),
        "k" => Some(number >> 10),
        "m" => Some(number),
        "g" => number.checked_mul(1024),
        _ => None,
    }
}

/// Marks around the name of a variable in a text, until it is written as HCL.
const MARKS: (char, char) = ('\u{1}', '\u{2}');

/// Replaces `${NAME}`, `${NAME:-default}` and `$NAME` in all texts by marks; `$$` is a dollar.
fn take_variables(value: &mut Value, variables: &mut BTreeMap<String, Option<String>>) {
    match value {
        Value::String(text) if text.contains('$') => *text = marked(text, variables),
        Value::Array(items) => items.iter_mut().for_each(|item| take_variables(item, variables)),
        Value::Object(fields) => fields.values_mut().for_each(|item| take_variables(item, variables)),
        _ => {}
    }
}

fn marked(text: &str, variables: &mut BTreeMap<String, Option<String>>) -> String {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, default, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, tail)) => {
                let end = inner.find(|letter| !is_name(letter)).unwrap_or(inner.len());
                let (name, rule) = inner.split_at(end);
                (name, rule.trim_start_matches(':').strip_prefix('-'), tail)
            }
            None => {
                let end = after.find(|letter| !is_name(letter)).unwrap_or(after.len());
                (&after[..end], None, &after[end..])
            }
        };
        if name.is_empty() {
            out.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        }
        let known = variables.entry(name.to_owned()).or_default();
        *known = known.take().or(default.map(str::to_owned));
        out.extend([MARKS.0.to_string(), name.to_owned(), MARKS.1.to_string()]);
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// A text in HCL.
fn quoted(text: &str) -> String {
    let escaped = Value::from(text).to_string().replace("${", "$${").replace("%{", "%%{");
    escaped.replace("\\u0001", "${var.").replace("\\u0002", "}")
}
