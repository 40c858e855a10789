//! What of a service the Docker driver is told.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::Import;
use super::network::{hosts, names};
use super::value::{Fields, bytes, command, list_attribute, map, pairs, quoted, text, texts};

/// Keys that mean the same, by another name, with a text.
const TEXTS: [(&str, &str); 6] = [
    ("working_dir", "work_dir"),
    ("runtime", "runtime"),
    ("userns_mode", "userns_mode"),
    ("uts", "uts_mode"),
    ("cgroup", "cgroupns"),
    ("pids_limit", "pids_limit"),
];
/// The same with `true`.
const FLAGS: [(&str, &str); 5] = [
    ("privileged", "privileged"),
    ("tty", "tty"),
    ("init", "init"),
    ("stdin_open", "interactive"),
    ("read_only", "readonly_rootfs"),
];
/// The same with a list.
const LISTS: [(&str, &str); 3] = [("cap_add", "cap_add"), ("cap_drop", "cap_drop"), ("group_add", "group_add")];
/// The same with names and values.
const MAPS: [(&str, &str); 2] = [("labels", "labels"), ("sysctls", "sysctl")];

impl Import {
    /// The inside of a task's `config`.
    pub(super) fn config(&mut self, name: &str, service: &Fields, all: &Fields) -> String {
        let mut out = format!("image = {}\n", quoted(&self.image(name, service)));
        if text(service, "pull_policy").as_deref() == Some("always") {
            out.push_str("force_pull = true\n");
        }
        out.push_str(&list_attribute("entrypoint", &command(service.get("entrypoint"))));
        if let Some((first, rest)) = command(service.get("command")).split_first() {
            out.push_str(&format!("command = {}\n", quoted(first)));
            out.push_str(&list_attribute("args", rest));
        }
        let values = TEXTS.iter().filter_map(|(key, ours)| Some((ours, text(service, key)?)));
        values.for_each(|(ours, value)| out.push_str(&format!("{ours} = {}\n", quoted(&value))));
        let flags = FLAGS.iter().filter(|(key, _)| service.get(*key) == Some(&Value::Bool(true)));
        flags.for_each(|(_, ours)| out.push_str(&format!("{ours} = true\n")));
        LISTS.iter().for_each(|(key, ours)| out.push_str(&list_attribute(ours, &texts(service.get(*key)))));
        out.push_str(&list_attribute("security_opt", &security(service)));
        for (key, ours) in MAPS {
            let pairs = pairs(service.get(key)).into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
            out.push_str(&map(ours, &pairs.collect::<Vec<_>>()));
        }
        let ports = self.ports(name, service);
        out.push_str(&list_attribute("ports", &ports));
        let others = all.iter().filter(|(other, _)| *other != name);
        let others = others.filter_map(|(other, service)| Some(names(other, service.as_object()?, all))).flatten();
        let mut lines: Vec<String> = others.map(|other| format!("{other}:127.0.0.1")).collect();
        lines.extend(hosts(service));
        out.push_str(&list_attribute("extra_hosts", &lines));
        out.push_str(&self.volumes(name, service));
        out.push_str(&self.limits(name, service));
        out.push_str(&self.namespaces(name, service));
        out.push_str(&devices(service));
        out.push_str(&logging(service));
        out
    }

    fn image(&mut self, name: &str, service: &Fields) -> String {
        let image = text(service, "image");
        if service.contains_key("build") {
            self.note(name, "build: images are not built here; build it and name it with image");
        }
        // As Compose calls what it builds.
        image.unwrap_or_else(|| format!("{}-{name}", self.project))
    }

    /// `"./data:/data:ro"`, `"name:/data"`, or the long form.
    fn volumes(&mut self, name: &str, service: &Fields) -> String {
        let (mut binds, mut out) = (Vec::new(), String::new());
        for item in service.get("volumes").and_then(Value::as_array).into_iter().flatten() {
            let Mounted { kind, source, target, modes } = mounted(item);
            match (kind, source.chars().next()) {
                (Some("tmpfs"), _) => out.push_str(&tmpfs(&target, None)),
                (_, None) => {
                    self.note(name, format!("volume {target}: without a name it is the image's own; left out"))
                }
                (_, Some('/' | '.' | '~')) => {
                    let mut parts = vec![self.absolute(name, &source), target];
                    parts.extend(modes);
                    binds.push(parts.join(":"));
                }
                _ => out.push_str(&format!(
                    "mount {{\ntype = \"volume\"\nsource = {}\ntarget = {}\nreadonly = {}\n}}\n",
                    quoted(&source),
                    quoted(&target),
                    modes.is_some_and(|modes| modes.split(',').any(|mode| mode == "ro"))
                )),
            }
        }
        for item in texts(service.get("tmpfs")) {
            let (target, options) = item.split_once(':').unwrap_or((&item, ""));
            let size = options.split(',').find_map(|option| bytes(option.strip_prefix("size=")?));
            out.push_str(&tmpfs(target, size));
        }
        format!("{}{out}", list_attribute("volumes", &binds))
    }

    /// Paths of a Compose file are relative to the file.
    fn absolute(&mut self, name: &str, source: &str) -> String {
        match &self.folder {
            Some(folder) if source.starts_with('.') => resolved(folder, source).display().to_string(),
            _ if source.starts_with('/') => source.to_owned(),
            _ => {
                self.note(name, format!("volume {source}: write an absolute path"));
                source.to_owned()
            }
        }
    }

    fn limits(&mut self, name: &str, service: &Fields) -> String {
        let mut out = String::new();
        if let Some(size) = text(service, "shm_size") {
            match bytes(&size) {
                Some(size) => out.push_str(&format!("shm_size = {size}\n")),
                None => self.note(name, format!("shm_size {size}: not a size")),
            }
        }
        let limits = service.get("ulimits").and_then(Value::as_object).into_iter().flatten();
        let both = |value: &Value| match value {
            Value::Object(both) => Some(format!("{}:{}", text(both, "soft")?, text(both, "hard")?)),
            one => crate::hcl::convert::json_to_text(one),
        };
        let limits: Vec<_> = limits.filter_map(|(key, value)| Some((key.clone(), both(value)?))).collect();
        out.push_str(&map("ulimit", &limits));
        out
    }

    /// `host` and `private`; another service's namespace is not the driver's to give.
    fn namespaces(&mut self, name: &str, service: &Fields) -> String {
        let mut out = String::new();
        for (key, ours) in [("ipc", "ipc_mode"), ("pid", "pid_mode")] {
            match text(service, key) {
                Some(mode) if mode.contains(':') => self.note(name, format!("{key} {mode}: not carried over")),
                Some(mode) => out.push_str(&format!("{ours} = {}\n", quoted(&mode))),
                None => {}
            }
        }
        out
    }
}

/// `seccomp:unconfined` is `seccomp=unconfined` now.
fn security(service: &Fields) -> Vec<String> {
    let options = texts(service.get("security_opt")).into_iter();
    options.map(|option| if option.contains('=') { option } else { option.replacen(':', "=", 1) }).collect()
}

fn devices(service: &Fields) -> String {
    let blocks = texts(service.get("devices")).into_iter().map(|device| {
        let mut parts = device.split(':').map(quoted);
        let host = parts.next().unwrap_or_default();
        let inside = parts.next().unwrap_or_else(|| host.clone());
        let rights = parts.next().map(|rights| format!("cgroup_permissions = {rights}\n")).unwrap_or_default();
        format!("devices {{\nhost_path = {host}\ncontainer_path = {inside}\n{rights}}}\n")
    });
    blocks.collect()
}

fn logging(service: &Fields) -> String {
    let Some(Value::Object(logging)) = service.get("logging") else { return String::new() };
    let driver = text(logging, "driver").map(|driver| format!("type = {}\n", quoted(&driver))).unwrap_or_default();
    let options = pairs(logging.get("options")).into_iter().map(|(key, value)| (key, value.unwrap_or_default()));
    format!("logging {{\n{driver}{}}}\n", map("config", &options.collect::<Vec<_>>()))
}

fn tmpfs(target: &str, size: Option<u64>) -> String {
    let size = size.map(|size| format!("tmpfs_options {{\nsize = {size}\n}}\n")).unwrap_or_default();
    format!("mount {{\ntype = \"tmpfs\"\ntarget = {}\n{size}}}\n", quoted(target))
}

/// A volume of either form.
struct Mounted<'v> {
    kind: Option<&'v str>,
    source: String,
    target: String,
    modes: Option<String>,
}

fn mounted(item: &Value) -> Mounted<'_> {
    if let Value::Object(long) = item {
        let text = |key: &str| text(long, key).unwrap_or_default();
        let modes = (long.get("read_only") == Some(&Value::Bool(true))).then(|| "ro".to_owned());
        let kind = long.get("type").and_then(Value::as_str);
        return Mounted { kind, source: text("source"), target: text("target"), modes };
    }
    let short = crate::hcl::convert::json_to_text(item).unwrap_or_default();
    let mut parts = short.splitn(3, ':').map(str::to_owned);
    match (parts.next(), parts.next()) {
        (Some(source), Some(target)) => Mounted { kind: None, source, target, modes: parts.next() },
        _ => Mounted { kind: None, source: String::new(), target: short, modes: None },
    }
}

/// A path below a folder, without `.` and `..`.
fn resolved(folder: &Path, path: &str) -> PathBuf {
    let mut out = folder.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}
