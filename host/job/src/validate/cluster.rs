//! Blocks that speak of Vault, Consul, its mesh and storage of elsewhere. The agent refuses them when a job is
//! submitted; what is wrong with one is said before that, wherever the job goes then.

use serde_json::Value;

use super::Report;
use crate::model::{Identity, Service, Task, TaskGroup};

impl Report {
    pub(super) fn clustered(&mut self, group: &TaskGroup, at: &str) {
        for (index, service) in group.services.iter().enumerate() {
            self.connect(service, group, &format!("{at}/Services/{index}/Connect"));
        }
        for (index, task) in group.tasks.iter().enumerate() {
            let at = format!("{at}/Tasks/{index}");
            for (number, service) in task.services.iter().enumerate() {
                self.connect(service, group, &format!("{at}/Services/{number}/Connect"));
            }
            self.vault(task, &at);
            self.csi_plugin(task, &at);
            self.secrets(task, &at);
            for (number, identity) in task.identities.iter().enumerate() {
                self.identity(identity, &format!("{at}/Identities/{number}"));
            }
            if let Some(identity) = &task.identity {
                self.identity(identity, &format!("{at}/Identity"));
            }
        }
    }

    fn vault(&mut self, task: &Task, at: &str) {
        let Some(vault) = &task.vault else { return };
        self.change_mode(text(vault, "ChangeMode"), text(vault, "ChangeSignal"), &format!("{at}/Vault"));
        let policies = vault.get("Policies").and_then(Value::as_array).into_iter().flatten();
        if policies.into_iter().any(|policy| policy == "root") {
            self.error(format!("{at}/Vault/Policies"), "Can not specify \"root\" policy");
        }
    }

    fn change_mode(&mut self, mode: &str, signal: &str, at: &str) {
        match mode {
            "signal" if signal.is_empty() => {
                self.error(format!("{at}/ChangeMode"), "Signal must be specified when using change mode \"signal\"");
            }
            "" | "signal" | "noop" | "restart" => {}
            other => self.error(
                format!("{at}/ChangeMode"),
                format!("Unknown change mode {other:?}; it is one of noop, restart, signal"),
            ),
        }
    }

    fn identity(&mut self, identity: &Identity, at: &str) {
        self.change_mode(&identity.change_mode, &identity.change_signal, at);
    }

    fn secrets(&mut self, task: &Task, at: &str) {
        let name = |secret: &Value| text(secret, "Name").to_owned();
        for (index, secret) in task.secrets.iter().enumerate() {
            let at = format!("{at}/Secrets/{index}");
            let own = name(secret);
            if task.secrets[..index].iter().any(|other| name(other) == own) {
                self.error(&at, format!("Duplicate secret {own:?} found"));
            }
            for (key, what) in [("Provider", "provider"), ("Path", "path")] {
                if text(secret, key).is_empty() {
                    self.error(&at, format!("secret {own:?}: {what} cannot be empty"));
                }
            }
        }
    }

    fn csi_plugin(&mut self, task: &Task, at: &str) {
        let Some(plugin) = &task.csi_plugin_config else { return };
        let at = format!("{at}/CSIPluginConfig");
        if text(plugin, "ID").is_empty() {
            self.error(&at, "CSIPluginConfig must have a non-empty PluginID");
        }
        let kind = text(plugin, "Type");
        if !["node", "controller", "monolith"].contains(&kind) {
            let summary = "CSIPluginConfig PluginType must be one of 'node', 'controller', or 'monolith'";
            self.error(format!("{at}/Type"), format!("{summary}, got: {kind:?}"));
        }
    }

    fn connect(&mut self, service: &Service, group: &TaskGroup, at: &str) {
        let Some(connect) = &service.connect else { return };
        let is_there = |key: &str| connect.get(key).is_some_and(|part| !part.is_null());
        let is_native = connect.get("Native") == Some(&Value::Bool(true));
        let ways = [is_native, is_there("SidecarService"), is_there("Gateway")];
        if ways.iter().filter(|way| **way).count() != 1 {
            self.error(at, "Consul Connect must be exclusively native or make use of a sidecar or represent a Gateway");
        }
        let (name, mode) = (&group.name, group.networks.first().map_or("host", |network| network.mode()));
        if is_there("SidecarService") {
            let count = group.networks.len();
            if count != 1 {
                let summary = "Consul Connect sidecars require exactly 1 network";
                self.error(at, format!("{summary}, found {count} in group {name:?}"));
            } else if mode != "bridge" && !mode.starts_with("cni/") {
                let summary = "Consul Connect sidecar requires bridge or cni network";
                self.error(at, format!("{summary}, found {mode:?} in group {name:?}"));
            }
            self.upstreams(connect, at);
        }
        if let Some(Value::Object(gateway)) = connect.get("Gateway") {
            let kinds = ["Ingress", "Terminating", "Mesh"];
            if kinds.iter().filter(|kind| gateway.get(**kind).is_some_and(|kind| !kind.is_null())).count() != 1 {
                self.error(
                    format!("{at}/Gateway"),
                    "One Consul Gateway Configuration must be set: ingress, terminating or mesh",
                );
            }
        }
    }

    fn upstreams(&mut self, connect: &Value, at: &str) {
        let upstreams = connect.pointer("/SidecarService/Proxy/Upstreams").and_then(Value::as_array);
        for (index, upstream) in upstreams.into_iter().flatten().enumerate() {
            let at = format!("{at}/SidecarService/Proxy/Upstreams/{index}");
            if text(upstream, "DestinationName").is_empty() {
                self.error(&at, "upstream destination name cannot be empty");
            }
            let has_port = upstream.get("LocalBindPort").and_then(Value::as_u64).is_some_and(|port| port > 0);
            if !has_port && text(upstream, "LocalBindSocketPath").is_empty() {
                self.error(at, "upstream must bind a local port or a local socket path");
            }
        }
    }
}

fn text<'v>(block: &'v Value, key: &str) -> &'v str {
    block.get(key).and_then(Value::as_str).unwrap_or_default()
}
