//! From what a driver asks for to what the shim reads.

use std::{os::unix::ffi::OsStrExt, path::Path};

use longshore_core::{
    caller::TaskScope,
    error::{HostError, Result},
    process::ProcessSpec,
};

use super::{home, isolation, record::Record, user};
use crate::{cgroup::Group, limits};

/// Where names are looked up when `env` has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Checks what can be checked before anything is made, and writes it down.
pub(super) fn record(id: &str, driver: &str, scope: &TaskScope, spec: &ProcessSpec) -> Result<Record> {
    check(scope, spec)?;
    let mut record = Record::default();
    for (key, value) in [
        ("id", id),
        ("driver", driver),
        ("alloc", &scope.id.alloc.0),
        ("task", &scope.id.task),
        ("name", &spec.name),
        ("boot", &home::boot_id()),
        ("arg", &spec.command),
    ] {
        record.push(key, value);
    }
    let own_root = spec.isolation.as_ref().is_some_and(|isolation| isolation.root_directory.is_some());
    push_programs(&mut record, &spec.command, &spec.env, own_root)?;
    spec.args.iter().for_each(|arg| record.push("arg", arg));
    spec.env.iter().for_each(|(name, value)| record.push("env", format!("{name}={value}")));
    match &spec.working_dir {
        Some(dir) => record.push("cwd", dir),
        None if own_root => record.push("cwd", "/"),
        None => record.push("cwd", scope.dirs.task.as_os_str().as_bytes()),
    }
    push_user(&mut record, spec.user.as_deref())?;
    if let Some(isolation) = &spec.isolation {
        isolation::push(&mut record, isolation)?;
    }
    if let Some(namespace) = &scope.network_namespace {
        record.push("netns", namespace.as_os_str().as_bytes());
    }
    push_etc(&mut record, scope);
    if let Some(soft) = limits::inherited_open_files() {
        record.push("nofile", soft.to_string());
    }
    if !scope.logs.disabled {
        record.push("log.dir", scope.dirs.logs.as_os_str().as_bytes());
        record.push("log.stem", &scope.id.task);
        record.push("log.files", scope.logs.max_files.to_string());
        record.push("log.bytes", scope.logs.max_file_bytes.to_string());
    }
    Ok(record)
}

/// Files that replace the machine's in `/etc`, and the host name that goes with them.
fn push_etc(record: &mut Record, scope: &TaskScope) {
    let Some(etc) = scope.etc() else { return };
    for name in ["hosts", "hostname", "resolv.conf"] {
        let file = etc.join(name);
        if file.exists() {
            record.push("etc", file.as_os_str().as_bytes());
        }
    }
    if let Ok(hostname) = std::fs::read_to_string(etc.join("hostname")) {
        record.push("hostname", hostname.trim());
    }
}

/// Names the group's files for the shim.
pub(super) fn push_group(record: &mut Record, group: &Group) {
    let mut push = |key, path: Option<&Path>| {
        if let Some(path) = path {
            record.push(key, path.as_os_str().as_bytes());
        }
    };
    push("cgroup.v2", group.unified_dir());
    group.join_files().for_each(|file| push("cgroup.join", Some(&file)));
    // The file exists once the group does; the shim finds out whether the kernel has it.
    push("cgroup.kill", group.unified_dir().map(|dir| dir.join("cgroup.kill")).as_deref());
    push("cgroup.members", group.members_file().as_deref());
    push("cgroup.oom", group.oom_file().as_deref());
}

/// The user's ids, if it is another than the agent's.
pub(super) fn push_user(record: &mut Record, user: Option<&str>) -> Result<()> {
    if let Some(identity) = user::identity(user)? {
        record.push("uid", identity.uid.to_string());
        record.push("gid", identity.gid.to_string());
        identity.groups.iter().for_each(|group| record.push("group", group.to_string()));
    }
    Ok(())
}

fn check(scope: &TaskScope, spec: &ProcessSpec) -> Result<()> {
    if let Some(option) = spec.options.keys().next() {
        return Err(HostError::Invalid(format!("unknown option {option:?} of a process; there are none")));
    }
    if spec.command.is_empty() {
        return Err(HostError::Invalid("the command is empty".into()));
    }
    if spec.name.is_empty() || scope.id.task.contains('/') {
        let name = if spec.name.is_empty() { &spec.name } else { &scope.id.task };
        return Err(HostError::Invalid(format!("{name:?} cannot name a process")));
    }
    if let Some((name, _)) = spec.env.iter().find(|(name, _)| name.is_empty() || name.contains('=')) {
        return Err(HostError::Invalid(format!("{name:?} cannot name an environment variable")));
    }
    let env = spec.env.iter().flat_map(|(name, value)| [name, value]);
    let own = [&spec.name, &spec.command, &scope.id.task];
    let rest = spec.working_dir.iter().chain(&spec.user);
    match own.into_iter().chain(&spec.args).chain(env).chain(rest).find(|text| text.contains('\0')) {
        Some(text) => Err(HostError::Invalid(format!("{text:?} holds a NUL character, which no process can be given"))),
        None => Ok(()),
    }
}

/// Where the program may be. A command with a `/` is a path; a name is looked up in the PATH of `env`: here and now,
/// or in a root of its own, which is not there yet, by the shim.
pub(super) fn push_programs(
    record: &mut Record,
    command: &str,
    env: &[(String, String)],
    own_root: bool,
) -> Result<()> {
    if command.contains('/') {
        record.push("program", command);
        return Ok(());
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    let executable = |file: &String| {
        let access = rustix::fs::access(file.as_str(), rustix::fs::Access::EXEC_OK);
        access.is_ok() && Path::new(file).is_file()
    };
    let mut candidates = path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| format!("{dir}/{command}"));
    if own_root {
        candidates.for_each(|file| record.push("program", file));
        return Ok(());
    }
    let found = candidates.find(executable).ok_or_else(|| {
        HostError::Invalid(format!(
            "command {command:?} not found in {path}; write an absolute path, or set PATH in the task's env"
        ))
    })?;
    record.push("program", found);
    Ok(())
}
