//! What a granted driver may ask of an engine: the host's policy, below every version of the contract.
//!
//! Pure. Everything dangerous is refused by default, and each refusal names the setting that would allow it.
//! What only the machine can tell is left to the backends: where symbolic links lead, and who owns the
//! container whose namespaces are to be joined.

mod container;
mod engine;
mod local_volume;
mod mounts;
mod paths;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, path::Path};

use serde::{Deserialize, Serialize};

pub use self::{engine::canonical_options, paths::normalise};
use crate::{
    caller::TaskScope,
    component::ComponentSpec,
    container::ContainerSpec,
    error::{HostError, Result},
    process::ProcessSpec,
    workload::{Mount, MountKind},
};

/// The operator's settings for one driver (`driver "<name>" { policy { … } }` of the agent's configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Privileged containers.
    pub allow_privileged: bool,
    /// Host paths outside the allocation that may be mounted: prefixes, or `*` for all.
    pub allow_host_binds: Vec<String>,
    /// Volumes of the engine and volume drivers.
    pub allow_volumes: bool,
    /// The host's network for containers.
    pub allow_host_network: bool,
    /// Host namespaces, some of `pid`, `ipc`, `uts`, `user`, `cgroup`; or one of them with a mode, in which `*`
    /// stands for any text: `pid:container:*`.
    pub allow_host_namespaces: BTreeSet<String>,
    /// Device paths, or `*` (which also allows device requests and device cgroup rules).
    pub allow_devices: Vec<String>,
    /// Capabilities a container may have; `all` for every one.
    pub allow_caps: BTreeSet<String>,
    /// Security options, whole (`apparmor=unconfined`) or by their name (`seccomp`), or `*`;
    /// `no-new-privileges` is always allowed.
    pub allow_security_opts: BTreeSet<String>,
    /// Runtimes.
    pub allow_runtimes: BTreeSet<String>,
    /// Keys of the engine's create document beyond those known to be harmless, dotted (`HostConfig.CgroupParent`).
    pub allow_engine_keys: BTreeSet<String>,
    /// Users other than the agent's that processes may run as, or `*`.
    pub allow_users: BTreeSet<String>,
}

/// Docker's own default capabilities.
const ENGINE_CAPS: [&str; 14] = [
    "audit_write",
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "mknod",
    "net_bind_service",
    "net_raw",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_chroot",
];

impl Default for Policy {
    /// Nomad's defaults: the engine's capabilities but `net_raw`, the host's network, nothing else.
    fn default() -> Self {
        Self {
            allow_privileged: false,
            allow_host_binds: Vec::new(),
            allow_volumes: false,
            allow_host_network: true,
            allow_host_namespaces: BTreeSet::new(),
            allow_devices: Vec::new(),
            allow_caps: ENGINE_CAPS.into_iter().filter(|cap| *cap != "net_raw").map(String::from).collect(),
            allow_security_opts: BTreeSet::new(),
            allow_runtimes: BTreeSet::from(["runc".into()]),
            allow_engine_keys: BTreeSet::new(),
            allow_users: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// Checks a container a driver wants, for the task it is for.
    pub fn check_container(&self, spec: &ContainerSpec, scope: &TaskScope) -> Result<()> {
        container::check(self, spec, scope)
    }

    /// Checks a process a driver wants. What a user may run is that user's right: the command's path is not
    /// looked at, but the user, and what a namespace of its own would make visible.
    pub fn check_process(&self, spec: &ProcessSpec, scope: &TaskScope) -> Result<()> {
        if let Some(user) = spec.user.as_deref().filter(|user| !user.is_empty()) {
            let allowed = self.allow_users.contains("*") || self.allow_users.contains(user);
            allowed.or_denied(
                || format!("running as user {user:?} is not allowed"),
                || format!("add {user:?} to `allow_users`"),
            )?;
        }
        let Some(isolation) = &spec.isolation else { return Ok(()) };
        self.check_mounts(&isolation.mounts, scope)?;
        if let Some(root) = &isolation.root_directory {
            self.check_host_path(Path::new(root), scope)?;
        }
        self.check_caps(isolation.capabilities.iter().flatten().map(String::as_str))
    }

    /// Checks a component a driver wants to run as a task.
    pub fn check_component(&self, spec: &ComponentSpec, scope: &TaskScope) -> Result<()> {
        self.check_host_path(Path::new(&spec.path), scope)?;
        self.check_mounts(&spec.mounts, scope)?;
        match &spec.listen_address {
            Some(address) => container::check_listen(address, scope),
            None => Ok(()),
        }
    }

    /// Whether a host path may be mounted: inside the allocation always, outside by `allow_host_binds`.
    /// Looks at the text only; whoever opens the path must resolve its links and ask again.
    pub fn check_host_path(&self, path: &Path, scope: &TaskScope) -> Result<()> {
        self.check_path(path, &scope.dirs)
    }

    /// Capabilities an engine gives by itself that this policy does not: to be dropped from every container.
    pub fn implied_cap_drop(&self) -> Vec<&'static str> {
        ENGINE_CAPS.into_iter().filter(|cap| !self.allows_cap(cap)).collect()
    }

    fn check_mounts(&self, mounts: &[Mount], scope: &TaskScope) -> Result<()> {
        mounts.iter().try_for_each(|mount| self.check_mount(mount, scope))
    }

    fn check_mount(&self, mount: &Mount, scope: &TaskScope) -> Result<()> {
        match &mount.kind {
            kind if kind.is_bind() => self.check_host_path(Path::new(&mount.source), scope),
            MountKind::Tmpfs => Ok(()),
            MountKind::Volume => mounts::check_volume(self, &mount.source),
            kind => Err(HostError::Denied(format!("mounts of kind {kind:?} are not supported by this host"))),
        }
    }

    fn check_caps<'a>(&self, caps: impl Iterator<Item = &'a str>) -> Result<()> {
        let refused: Vec<_> = caps.map(cap_name).filter(|cap| !self.allows_cap(cap)).collect();
        refused.is_empty().or_denied(
            || format!("driver does not allow the following capabilities: {}", refused.join(", ")),
            || "add them to `allow_caps`".into(),
        )
    }

    fn allows_cap(&self, cap: &str) -> bool {
        self.allow_caps.iter().map(|allowed| cap_name(allowed)).any(|allowed| allowed == "all" || allowed == cap)
    }
}

/// `CAP_NET_ADMIN`, `net_admin` and `NET_ADMIN` are one.
fn cap_name(cap: &str) -> String {
    let lower = cap.trim().to_ascii_lowercase();
    lower.strip_prefix("cap_").map_or(lower.clone(), str::to_owned)
}

/// Whether a text fits a pattern, in which `*` stands for any text.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = text.strip_prefix(first).and_then(|left| left.strip_suffix(last)) else { return false };
    middle.split('*').all(|part| {
        let found = left.split_once(part);
        left = found.map_or(left, |(_, after)| after);
        found.is_some()
    })
}

/// A refusal: what is not allowed, and what would allow it.
fn denied(what: &str, remedy: &str) -> HostError {
    HostError::Denied(format!("{what}; {remedy} in the policy of this driver"))
}

/// Turns the answer of a check into a refusal.
trait OrDenied {
    fn or_denied(self, what: impl FnOnce() -> String, remedy: impl FnOnce() -> String) -> Result<()>;
}

impl OrDenied for bool {
    fn or_denied(self, what: impl FnOnce() -> String, remedy: impl FnOnce() -> String) -> Result<()> {
        if self { Ok(()) } else { Err(denied(&what(), &remedy())) }
    }
}
