//! Docker Compose files as job files.
//!
//! Services of one Compose file reach each other by name in a network of their own; so do tasks of one group in mode
//! `bridge`, where each name stands for the group's own address. What has no counterpart is noted, never dropped
//! in silence.

mod check;
mod config;
mod deploy;
mod network;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::yaml;
use network::Port;
use value::{Fields, Variables, list, list_attribute, map, mark, pairs, quoted, take_variables, text, texts};

/// A job file, and what it could not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Text of the job file.
    pub job: String,
    /// One line each.
    pub notes: Vec<String>,
}

/// Keys of a service that are carried, need not be, or are noted where they are read.
const KNOWN: &str = " build cap_add cap_drop cgroup command container_name cpus depends_on deploy devices dns dns_opt \
    dns_search entrypoint environment expose extra_hosts group_add healthcheck hostname image init ipc labels links \
    logging mem_limit mem_reservation network_mode networks pid pids_limit ports privileged pull_policy read_only \
    restart runtime scale security_opt shm_size stdin_open stop_grace_period stop_signal sysctls tmpfs tty ulimits \
    user userns_mode uts volumes working_dir ";

/// What is to be said of some others.
const ADVICE: [(&str, &str); 3] = [
    ("env_file", "write its lines into environment first"),
    ("profiles", "the service is in the job whatever profile is asked for"),
    ("secrets", "mount the file as a volume"),
];

/// Keys of the file itself that have no counterpart.
const FILE_KEYS: [&str; 4] = ["secrets", "configs", "include", "extends"];

/// Makes a job file; `name` is the job's, else the file's own `name`, else that of its folder. Paths are made absolute
/// by the folder.
pub fn import(text: &str, name: Option<&str>, folder: Option<&Path>) -> Result<Imported, String> {
    let mut document = yaml::read(text, yaml::Words::Few)?;
    let mut variables = Variables::new();
    take_variables(&mut document, &mut variables);
    let services = document.get("services").and_then(Value::as_object).ok_or("a Compose file has services")?;
    if let Some((name, _)) = services.iter().find(|(_, service)| !service.is_object()) {
        return Err(format!("service {name:?} must be a map"));
    }
    let own = document.get("name").and_then(Value::as_str);
    let directory = folder.and_then(|folder| folder.file_name()?.to_str());
    let name = name.or(own).or(directory).unwrap_or("compose").replace(' ', "-");
    let mut import = Import {
        project: name.clone(),
        folder: folder.map(Path::to_owned),
        notes: Vec::new(),
        ports: BTreeMap::new(),
        variables,
        first: first(services),
    };
    for key in FILE_KEYS.iter().filter(|key| document.get(**key).is_some()) {
        import.notes.push(format!("{key}: not carried over"));
    }
    import.named_volumes(document.get("volumes"));
    let fields = || services.iter().filter_map(|(name, service)| Some((name, service.as_object()?)));
    let tasks: String = fields().map(|(name, service)| import.task(name, service, services)).collect();
    import.note_shared_ports(services);
    let network = import.network(fields().map(|(_, service)| service));
    let job = format!(
        "{}job {} {{\ngroup \"app\" {{\n{network}\n{tasks}}}\n}}\n",
        declarations(&import.variables),
        quoted(&name)
    );
    let job = crate::format("compose", &job).map_err(|found| found.plain())?;
    Ok(Imported { job, notes: import.notes })
}

/// What is known while a file is read.
struct Import {
    /// Name of the job.
    project: String,
    /// Where the file is.
    folder: Option<PathBuf>,
    notes: Vec<String>,
    /// Ports of the group by label.
    ports: BTreeMap<String, Port>,
    variables: Variables,
    /// See [`first`].
    first: BTreeMap<String, bool>,
}

/// On what a service depends that starts after another has ended.
const COMPLETED: &str = "service_completed_successfully";
/// On what one depends that starts when another is well.
const HEALTHY: &str = "service_healthy";

impl Import {
    fn note(&mut self, service: &str, text: impl std::fmt::Display) {
        self.notes.push(format!("service {service}: {text}"));
    }

    fn task(&mut self, name: &str, service: &Fields, all: &Fields) -> String {
        let is_known = |key: &str| KNOWN.contains(&format!(" {key} ")) || key.starts_with("x-");
        for key in service.keys().filter(|key| !is_known(key)) {
            let advice = ADVICE.iter().find(|(other, _)| other == key).map_or("not carried over", |(_, advice)| advice);
            self.note(name, format!("{key}: {advice}"));
        }
        let config = self.config(name, service, all);
        let health = self.health(name, service);
        self.networks(name, service);
        let mut out = format!("task {} {{\ndriver = \"docker\"\n", quoted(name));
        for (key, attribute) in
            [("user", "user"), ("stop_signal", "kill_signal"), ("stop_grace_period", "kill_timeout")]
        {
            if let Some(value) = text(service, key) {
                out.push_str(&format!("{attribute} = {}\n", quoted(&value)));
            }
        }
        out.push_str(&format!("\nconfig {{\n{config}{health}}}\n"));
        out.push_str(&self.environment(service));
        out.push_str(&self.order(name, service));
        out.push_str(&self.deploy(name, service));
        out.push_str("}\n\n");
        out
    }

    /// A name without a value has the one of the shell that Compose is started from: a variable here.
    fn environment(&mut self, service: &Fields) -> String {
        let pairs = pairs(service.get("environment")).into_iter().map(|(key, value)| {
            let value = value.unwrap_or_else(|| {
                self.variables.entry(key.clone()).or_insert_with(|| Some(String::new()));
                mark(&key)
            });
            (key, value)
        });
        let pairs: Vec<_> = pairs.collect();
        if pairs.is_empty() { String::new() } else { format!("\n{}", map("env", &pairs)) }
    }

    /// The group's network: its ports, and name servers of all services.
    fn network<'s>(&self, services: impl Iterator<Item = &'s Fields> + Clone) -> String {
        let ports: String = self.ports.iter().map(|(label, port)| port.block(label)).collect();
        let all = |key: &str| {
            let found: BTreeSet<String> = services.clone().flat_map(|service| texts(service.get(key))).collect();
            found.into_iter().collect::<Vec<_>>()
        };
        let keys = [("dns", "servers"), ("dns_search", "searches"), ("dns_opt", "options")];
        let lines: String = keys.iter().map(|(key, ours)| list_attribute(ours, &all(key))).collect();
        let dns = if lines.is_empty() { lines } else { format!("dns {{\n{lines}}}\n") };
        format!("network {{\nmode = \"bridge\"\n{ports}{dns}}}\n")
    }

    /// What is said of volumes that services share.
    fn named_volumes(&mut self, volumes: Option<&Value>) {
        for (name, settings) in volumes.and_then(Value::as_object).into_iter().flatten() {
            let left = settings.as_object().into_iter().flat_map(Fields::keys);
            let left: Vec<String> =
                left.filter(|key| !["external", "labels"].contains(&key.as_str())).cloned().collect();
            if !left.is_empty() {
                self.notes
                    .push(format!("volume {name}: {} not carried over; make it before the job runs", list(&left)));
            }
        }
    }

    /// What says when a service starts: those that others wait for start before the group's other tasks.
    fn order(&mut self, name: &str, service: &Fields) -> String {
        // All that come first start at the same time, so what one of them needs of another it has to try again.
        let mut notes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (other, condition) in dependencies(service) {
            let what = match (self.first.contains_key(&other), self.first.contains_key(name)) {
                (false, _) => "all start at the same time; retry",
                (true, true) => "both start before the others, at the same time; retry",
                (true, false) if condition == HEALTHY => "started before, and not waited for to be healthy; retry",
                (true, false) => continue,
            };
            notes.entry(what).or_default().push(other);
        }
        for (what, others) in notes {
            self.note(name, format!("depends_on {}: {what}", others.join(", ")));
        }
        match self.first.get(name) {
            None => String::new(),
            Some(true) => "\nlifecycle {\nhook = \"prestart\"\n}\n".into(),
            Some(false) => "\nlifecycle {\nhook = \"prestart\"\nsidecar = true\n}\n".into(),
        }
    }
}

/// Services that one waits for, each with what it waits for.
fn dependencies(service: &Fields) -> Vec<(String, &str)> {
    match service.get("depends_on") {
        Some(Value::Object(others)) => {
            let named = others.iter().map(|(name, other)| (name.clone(), other.get("condition")));
            named.map(|(name, condition)| (name, condition.and_then(Value::as_str).unwrap_or_default())).collect()
        }
        list => texts(list).into_iter().map(|name| (name, "")).collect(),
    }
}

/// Services that others wait for, and whether until they are done. None if that would be all of them: a group needs
/// a task of its own beside those that come first.
fn first(services: &Fields) -> BTreeMap<String, bool> {
    let mut first: BTreeMap<String, bool> = BTreeMap::new();
    for (name, condition) in services.values().filter_map(Value::as_object).flat_map(dependencies) {
        if services.contains_key(&name) {
            *first.entry(name).or_default() |= condition == COMPLETED;
        }
    }
    if first.len() == services.len() { BTreeMap::new() } else { first }
}

fn declarations(variables: &Variables) -> String {
    let declare = |(name, default): (&String, &Option<String>)| match default {
        Some(default) => format!("variable \"{name}\" {{\ndefault = {}\n}}\n\n", quoted(default)),
        None => format!("variable \"{name}\" {{\ntype = string\n}}\n\n"),
    };
    variables.iter().map(declare).collect()
}
