//! Processes whose `/` is the task's directory, as `exec` and `java` run them: with the host's programs and
//! libraries in it, read-only, namespaces of their own, few capabilities, and not as root unless the job says so.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    Error, Health, Task,
    host::{
        Mount, MountKind,
        processes::{self, Isolation, ProcessSpec},
    },
    inside, limits,
};

/// JSON Schema of [`Settings`].
pub const SETTINGS_SCHEMA: &str = include_str!("chroot.schema.json");

/// Whom a task without a user runs as, as in Nomad.
const USER: &str = "nobody";

/// What Nomad leaves a task: what Docker does, without `net_raw`.
const CAPABILITIES: [&str; 13] = [
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "mknod",
    "net_bind_service",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
];

/// Those of them that do not get around file permissions, by being root or as good as root: what is left to a task
/// that is not root.
const HARMLESS: [&str; 5] = ["audit_write", "kill", "mknod", "net_bind_service", "sys_chroot"];

/// Nomad's `chroot_env`.
const SHOWN: [&str; 9] =
    ["/bin", "/etc", "/lib", "/lib32", "/lib64", "/run/resolvconf", "/run/systemd/resolve", "/sbin", "/usr"];

/// What a task's `config` says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `private` or `host`: whether it sees other processes.
    pub pid_mode: Option<String>,
    /// `private` or `host`: whether it shares memory with other processes.
    pub ipc_mode: Option<String>,
    /// Capabilities to have as well.
    pub cap_add: Vec<String>,
    /// Capabilities to do without; `all` for all but the added ones.
    pub cap_drop: Vec<String>,
    /// Working directory inside.
    pub work_dir: Option<String>,
}

/// What the operator's settings say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `pid_mode` of tasks that set none; `private` unless given.
    pub default_pid_mode: Option<String>,
    /// `ipc_mode` of tasks that set none; `private` unless given.
    pub default_ipc_mode: Option<String>,
    /// Capabilities of tasks before they add and drop some.
    pub default_caps: Option<Vec<String>>,
    /// Paths of the host and where tasks see them, read-only; those that are missing are left out.
    pub chroot_env: Option<BTreeMap<String, String>>,
}

/// Whether the host can keep processes apart: only root can. Asks `id` by a short command.
pub fn health() -> Health {
    match processes::run_command("id", &["-u".into()], 5_000) {
        Ok(id) if id.stdout.trim_ascii() == b"0" => Health::Healthy,
        Ok(_) => Health::Undetected("it needs an agent that runs as root".into()),
        Err(error) => Health::Unhealthy(error.text().into()),
    }
}

/// A command in the task's own root. A command with a `/` is a path inside, relative to the task's directory or not.
pub fn process(
    config: &Config,
    settings: &Settings,
    task: Task,
    command: &str,
    args: &[String],
) -> Result<ProcessSpec, Error> {
    let seen = |text: &str| inside::path(&task.directories, text);
    let absolute =
        |path: String| if path.starts_with('/') { path } else { format!("/{}", path.trim_start_matches("./")) };
    let command = seen(command);
    Ok(ProcessSpec {
        name: task.identity.name.clone(),
        command: if command.contains('/') { absolute(command) } else { command },
        args: args.iter().map(|arg| seen(arg)).collect(),
        env: inside::environment(&task),
        working_dir: config.work_dir.as_deref().filter(|path| !path.is_empty()).map(|path| absolute(seen(path))),
        limits: limits::of(&task.resources)?,
        isolation: Some(Isolation {
            namespaces: namespaces(config, settings)?,
            root_directory: Some(task.directories.task.clone()),
            mounts: mounts(settings, &task),
            capabilities: Some(capabilities(config, settings, user(&task) == "root")),
        }),
        user: Some(user(&task).to_owned()),
        options: Vec::new(),
    })
}

fn user(task: &Task) -> &str {
    task.user.as_deref().filter(|user| !user.is_empty()).unwrap_or(USER)
}

fn namespaces(config: &Config, settings: &Settings) -> Result<Vec<String>, Error> {
    let mut all = vec!["mount".to_owned()];
    for (name, own, default) in
        [("pid", &config.pid_mode, &settings.default_pid_mode), ("ipc", &config.ipc_mode, &settings.default_ipc_mode)]
    {
        let mode = own.as_ref().or(default.as_ref()).map_or("", String::as_str);
        match mode {
            "" | "private" => all.push(name.into()),
            "host" => {}
            other => return Err(Error::invalid(format!("{name}_mode must be \"private\" or \"host\", got {other:?}"))),
        }
    }
    Ok(all)
}

fn mounts(settings: &Settings, task: &Task) -> Vec<Mount> {
    let shown = |source: &str, target: &str| {
        let kind = MountKind::Other("bind:optional".into());
        Mount { kind, read_only: true, ..inside::bind(source, target) }
    };
    let mut all: Vec<_> = match &settings.chroot_env {
        Some(paths) => paths.iter().map(|(source, target)| shown(source, target)).collect(),
        None => SHOWN.map(|path| shown(path, path)).into(),
    };
    all.extend(inside::shared(&task.directories));
    all.extend(task.mounts.iter().cloned());
    all
}

/// What is left after `cap_drop` and `cap_add`; whether that is allowed, the host's policy says.
fn capabilities(config: &Config, settings: &Settings, is_root: bool) -> Vec<String> {
    let plain = |name: &String| {
        let lower = name.trim().to_ascii_lowercase();
        lower.strip_prefix("cap_").map_or(lower.clone(), str::to_owned)
    };
    let default =
        || if is_root { CAPABILITIES.map(String::from).to_vec() } else { HARMLESS.map(String::from).to_vec() };
    let dropped: Vec<_> = config.cap_drop.iter().map(plain).collect();
    let mut kept = settings.default_caps.clone().unwrap_or_else(default);
    kept.retain(|name| !dropped.contains(&plain(name)) && !dropped.iter().any(|dropped| dropped == "all"));
    for added in config.cap_add.iter().map(plain) {
        if !kept.contains(&added) {
            kept.push(added);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, env, sample};

    fn made(text: &str, settings: &str, user: Option<&str>) -> Result<ProcessSpec, Error> {
        let (config, settings) = (config::parse("config", text)?, config::parse("settings", settings)?);
        let task = Task { user: user.map(String::from), ..sample::task(text) };
        process(&config, &settings, task, "local/app", &["/a/web/local/x".into()])
    }

    #[test]
    fn paths_are_those_inside() {
        let spec = made(r#"{"work_dir": "local"}"#, "{}", None).unwrap();
        assert_eq!((spec.command.as_str(), spec.args[0].as_str()), ("/local/app", "/local/x"));
        assert_eq!((spec.working_dir.as_deref(), spec.user.as_deref()), (Some("/local"), Some("nobody")));
        assert_eq!(env::get(&spec.env, "NOMAD_TASK_DIR"), Some("/local"));
        let isolation = spec.isolation.unwrap();
        assert_eq!(isolation.root_directory.as_deref(), Some("/a/web"));
        let usr = isolation.mounts.iter().find(|mount| mount.target == "/usr").unwrap();
        assert!(usr.read_only && usr.kind == MountKind::Other("bind:optional".into()));
        let alloc = isolation.mounts.iter().find(|mount| mount.target == "/alloc").unwrap();
        assert!(!alloc.read_only && alloc.source == "/a/alloc");
        assert_eq!((spec.limits.memory_mib, spec.limits.cpu_mhz), (256, 500));
    }

    #[test]
    fn namespaces_are_private_unless_somebody_says_host() {
        let table = [
            ("{}", "{}", Ok("mount pid ipc")),
            (r#"{"pid_mode": "host"}"#, "{}", Ok("mount ipc")),
            ("{}", r#"{"default_pid_mode": "host", "default_ipc_mode": "host"}"#, Ok("mount")),
            (r#"{"ipc_mode": "private"}"#, r#"{"default_ipc_mode": "host"}"#, Ok("mount pid ipc")),
            (r#"{"pid_mode": "other"}"#, "{}", Err("pid_mode must be \"private\" or \"host\", got \"other\"")),
        ];
        for (text, settings, expected) in table {
            let made = made(text, settings, None).map(|spec| spec.isolation.unwrap().namespaces.join(" "));
            assert_eq!(made, expected.map(String::from).map_err(Error::invalid), "{text} {settings}");
        }
    }

    #[test]
    fn capabilities_are_few_unless_the_user_is_root() {
        let harmless = "audit_write kill mknod net_bind_service sys_chroot";
        let all = CAPABILITIES.join(" ");
        let table = [
            ("{}", "{}", None, harmless),
            ("{}", "{}", Some("root"), all.as_str()),
            (r#"{"cap_drop": ["KILL", "CAP_MKNOD"]}"#, "{}", None, "audit_write net_bind_service sys_chroot"),
            (r#"{"cap_drop": ["all"], "cap_add": ["CAP_CHOWN"]}"#, "{}", Some("root"), "chown"),
            (r#"{"cap_add": ["kill", "net_admin"]}"#, r#"{"default_caps": ["kill"]}"#, None, "kill net_admin"),
        ];
        for (text, settings, user, expected) in table {
            let isolation = made(text, settings, user).unwrap().isolation.unwrap();
            assert_eq!(isolation.capabilities.unwrap().join(" "), expected, "{text} {settings} {user:?}");
        }
    }

    #[test]
    fn the_operator_chooses_what_is_shown() {
        let spec = made("{}", r#"{"chroot_env": {"/opt/tools": "/bin"}}"#, None).unwrap();
        let shown: Vec<_> = spec.isolation.unwrap().mounts.iter().map(|mount| mount.target.clone()).collect();
        assert_eq!(shown, ["/bin", "/alloc", "/alloc/logs"]);
    }
}
