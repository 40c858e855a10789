//! Isolation: what of it is offered here, and how the shim reads it (`shim/src/apart.rs`).

use std::{io, path::Path};

use longshore_core::{
    caller::TaskScope,
    error::{HostError, Result},
    policy::Policy,
    process::Isolation,
    workload::{Mount, MountKind},
};

use super::{launch::plain, record::Record};
use crate::sources::Source;

/// Namespaces a process can be given.
const NAMESPACES: [&str; 5] = ["pid", "ipc", "mount", "uts", "cgroup"];

/// Linux's capabilities, in the order of their numbers.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Checks what is asked for, follows the links in host paths, and leaves out optional mounts that are not there.
pub(super) fn resolve(policy: &Policy, scope: &TaskScope, isolation: &mut Isolation) -> Result<()> {
    check(isolation)?;
    if let Some(root) = &mut isolation.root_directory {
        *root = Source::follow(policy, scope, root)?.text()?;
    }
    let mut mounts = Vec::new();
    for mut mount in std::mem::take(&mut isolation.mounts) {
        if mount.kind.is_bind() {
            let missing = || !Path::new(&mount.source).try_exists().unwrap_or(false);
            if mount.kind.is_optional() && missing() {
                continue;
            }
            mount.source = Source::follow(policy, scope, &mount.source)?.text()?;
        }
        mounts.push(mount);
    }
    isolation.mounts = mounts;
    Ok(())
}

fn check(isolation: &Isolation) -> Result<()> {
    let Isolation { namespaces, root_directory, mounts, .. } = isolation;
    if !rustix::process::geteuid().is_root() {
        return Err(HostError::Denied("keeping a process apart needs an agent that runs as root".into()));
    }
    if let Some(unknown) = namespaces.iter().find(|name| !NAMESPACES.contains(&name.as_str())) {
        let offered = NAMESPACES.join(", ");
        return Err(HostError::Invalid(format!("no namespace {unknown:?} is offered; there are {offered}")));
    }
    let has = |name: &str| namespaces.iter().any(|own| own == name);
    if (has("pid") || root_directory.is_some()) && !has("mount") {
        return Err(HostError::Invalid(
            "a root directory and the namespace \"pid\" need the namespace \"mount\"".into(),
        ));
    }
    if !mounts.is_empty() && root_directory.is_none() {
        return Err(HostError::Invalid("mounts need a root directory to be in".into()));
    }
    mounts.iter().try_for_each(check_mount)
}

fn check_mount(mount: &Mount) -> Result<()> {
    let target = &mount.target;
    if !target.starts_with('/') || target.contains('\0') {
        return Err(HostError::Invalid(format!("mount target {target:?} is not an absolute path")));
    }
    if !mount.kind.is_bind() && mount.kind != MountKind::Tmpfs {
        return Err(HostError::Invalid(format!("{target}: processes have mounts of kind bind and tmpfs only")));
    }
    match mount.propagation.as_deref() {
        None | Some("" | "private" | "rprivate" | "slave" | "rslave") => Ok(()),
        Some(other) => Err(HostError::Invalid(format!(
            "{target}: processes have mounts that are rprivate or rslave, not {other:?}"
        ))),
    }
}

/// Writes it down for the shim.
pub(super) fn push(record: &mut Record, isolation: &Isolation) -> Result<()> {
    isolation.namespaces.iter().for_each(|name| record.push("namespace", name));
    if let Some(root) = &isolation.root_directory {
        record.push("root", root);
    }
    for mount in &isolation.mounts {
        let source = if mount.kind == MountKind::Tmpfs { "" } else { &mount.source };
        let read_only = mount.read_only.then_some("ro");
        let follows_host = mount.propagation.as_deref().is_some_and(|how| how.ends_with("slave")).then_some("rslave");
        record.push("mount.source", source);
        record.push("mount.target", &mount.target);
        record.push("mount.look", read_only.into_iter().chain(follows_host).collect::<Vec<_>>().join(" "));
    }
    if let Some(names) = &isolation.capabilities {
        record.push("capabilities", format!("{:x}", capabilities(names)?));
    }
    Ok(())
}

/// A bit for each capability. Names as in `capabilities(7)`, in any case, with or without `CAP_`; `all` is every one.
fn capabilities(names: &[String]) -> Result<u64> {
    names.iter().try_fold(0, |set, name| {
        let lower = name.trim().to_ascii_lowercase();
        let plain = lower.strip_prefix("cap_").unwrap_or(&lower);
        match CAPABILITIES.iter().position(|known| *known == plain) {
            Some(number) => Ok(set | 1 << number),
            None if plain == "all" => Ok((1 << CAPABILITIES.len()) - 1),
            None => Err(HostError::Invalid(format!("{name:?} is no Linux capability"))),
        }
    })
}

/// What a failed step of keeping a process apart means; none if the step is another.
pub(super) fn explain(step: &str, place: &str, error: &io::Error, spec: &Record) -> Option<HostError> {
    let reason = plain(error);
    let root = spec.text("root").unwrap_or_default();
    let told = match (step, error.raw_os_error()) {
        ("root" | "mount" | "system", Some(code)) if code == rustix::io::Errno::NOSYS.raw_os_error() => {
            HostError::Unavailable("a root directory of its own needs Linux 5.12 or later".into())
        }
        ("namespaces", _) => HostError::Other(format!("making the namespaces: {reason}")),
        ("root", _) => HostError::Other(format!("making {root:?} the root directory: {reason}")),
        ("system", _) => HostError::Other(format!("mounting /proc, /sys and /dev in {root:?}: {reason}")),
        ("mount", _) => HostError::Invalid(format!("mounting {place:?} in the task's root directory: {reason}")),
        ("capabilities", _) => HostError::Other(format!("giving capabilities up: {reason}")),
        ("program", _) if !root.is_empty() && error.kind() == io::ErrorKind::NotFound => HostError::Invalid(format!(
            "command {:?}, or the interpreter or loader it names, is not in the task's root directory; write a path as \
             the task sees it (/local/app), or a name that is in the PATH of the task's env",
            spec.text("arg").unwrap_or_default()
        )),
        _ => return None,
    };
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_become_bits() {
        let set = |names: &[&str]| capabilities(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(set(&[]).unwrap(), 0);
        assert_eq!(set(&["chown", "CAP_KILL", "Net_Bind_Service"]).unwrap(), 1 | 1 << 5 | 1 << 10);
        assert_eq!(set(&["all"]).unwrap(), 0x1ff_ffff_ffff);
        assert!(matches!(set(&["fly"]), Err(HostError::Invalid(_))));
    }
}
