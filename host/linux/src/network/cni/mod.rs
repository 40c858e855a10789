//! Mode `cni/<name>`: networks made by CNI plugins, as the operator's configuration lists them
//! (<https://www.cni.dev/docs/spec/>).
//!
//! A network is a list of plugins; each is a program that reads its configuration and what the one before it made, and
//! answers what there is now (`plugin`). The list is found by name in the configuration directory (`list`), the answer
//! of the last is read for addresses (`answer`). Before the first plugin runs, what is needed to undo it is on disk
//! (`record`), so that a network can be taken down whatever became of the agent or the configuration since.

mod answer;
mod list;
mod plugin;
mod record;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use longshore_core::{
    error::{HostError, Result},
    network::NetworkPlan,
    port::{Port, Protocol},
};
use serde_json::{Map, Value, json};

pub(super) use self::answer::Answer;
use self::{
    plugin::{Call, Command},
    record::{Record, Records},
};
use super::namespace;
use crate::failure::because;

/// What the operator decides about CNI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CniSettings {
    /// Where configurations are: `*.conflist`, `*.conf`, `*.json`.
    pub config_dir: PathBuf,
    /// Where plugins are, the first directory that has one wins.
    pub path: Vec<PathBuf>,
    /// Where is kept what taking a network down needs.
    pub state_dir: PathBuf,
    /// How long a plugin may take.
    pub timeout: Duration,
}

/// Nomad's directories.
impl Default for CniSettings {
    fn default() -> Self {
        Self {
            config_dir: "/opt/cni/config".into(),
            path: vec!["/opt/cni/bin".into()],
            state_dir: "/run/longshore/cni".into(),
            timeout: Duration::from_secs(60),
        }
    }
}

/// The network's name in a mode; none if it is another mode.
pub(super) fn name_of(mode: &str) -> Option<&str> {
    mode.strip_prefix("cni/")
}

/// Whether a network of this name could be made: its configuration and its plugins are there.
pub(super) fn ready(settings: &CniSettings, name: &str) -> Result<()> {
    let list = list::find(&settings.config_dir, name)?;
    list.plugins.iter().try_for_each(|plugin| plugin::find(&settings.path, plugin).map(drop))
}

/// Makes an allocation's network in its pinned namespace, or finds it as it was made. One that is not as it should be
/// is made anew.
pub(super) fn create(settings: &CniSettings, host_ip: IpAddr, plan: &NetworkPlan, pin: &Path) -> Result<Answer> {
    let name = name_of(&plan.mode).unwrap_or_default();
    let records = Records::new(&settings.state_dir);
    let list = match records.read(&plan.alloc.0)? {
        None => list::find(&settings.config_dir, name)?,
        Some(record) => {
            match check(settings, &record, pin) {
                Ok(answer) => return Ok(answer),
                Err(why) => tracing::warn!(alloc = %plan.alloc, %why, "a network is made anew"),
            }
            destroy(settings, &plan.alloc.0)?;
            record.list
        }
    };
    let mut record = Record {
        alloc: plan.alloc.0.clone(),
        namespace: pin.display().to_string(),
        list,
        arguments: arguments(plan),
        capabilities: capabilities(plan, host_ip),
        result: None,
    };
    records.write(&record)?;
    let result = add(settings, &record).map_err(configuring)?;
    record.result = Some(result);
    records.write(&record)?;
    record.answer().map_err(configuring)
}

/// Takes an allocation's network down, past every error; what could not be is tried again when it is asked again. One
/// that is not there is success.
pub(super) fn destroy(settings: &CniSettings, alloc: &str) -> Result<()> {
    let records = Records::new(&settings.state_dir);
    let Some(record) = records.read(alloc)? else { return Ok(()) };
    let errors: Vec<_> =
        record.list.plugins.iter().rev().filter_map(|plugin| del(settings, &record, plugin).err()).collect();
    super::all(&errors)?;
    records.remove(alloc)
}

/// Whether an allocation has, or may have, a network that plugins made.
pub(super) fn may_have(settings: &CniSettings, alloc: &str) -> bool {
    Records::new(&settings.state_dir).has(alloc)
}

/// Allocations that have, or may have, a network of ours.
pub(super) fn allocations(settings: &CniSettings) -> Vec<String> {
    Records::new(&settings.state_dir).allocations()
}

fn configuring(error: HostError) -> HostError {
    let text = |why: &dyn std::fmt::Display| format!("failed to configure network: {why}");
    match &error {
        HostError::Invalid(why) => HostError::Invalid(text(why)),
        HostError::Timeout(why) => HostError::Timeout(text(why)),
        _ => HostError::Other(text(&error)),
    }
}

/// Runs all plugins, each with the answer of the one before; the last answer is the network's.
fn add(settings: &CniSettings, record: &Record) -> Result<Value> {
    let mut result = Value::Null;
    for plugin in &record.list.plugins {
        result = call(settings, record, Command::Add, plugin, Some(&result))?
            .ok_or_else(|| HostError::Other(format!("CNI plugin {:?} answered ADD with nothing", plugin.kind())))?;
    }
    Ok(result)
}

/// Looks whether the network is as it was made, and asks the plugins, except those that are known to see faults where
/// there are none.
fn check(settings: &CniSettings, record: &Record, pin: &Path) -> Result<Answer> {
    let answer = record.answer()?;
    let mut inside = namespace::open(pin)?;
    let failed = || because(format!("interface {}", answer.interface));
    let link = inside.links.link(&answer.interface).map_err(failed())?;
    let link = link.ok_or_else(|| HostError::Other(format!("interface {} is gone", answer.interface)))?;
    let addresses = inside.links.addresses(link.index).map_err(failed())?;
    if let Some(lost) = answer.addresses().find(|address| !addresses.contains(address)) {
        return Err(HostError::Other(format!("address {lost} is gone")));
    }
    let asked =
        record.list.plugins.iter().filter(|plugin| record.list.can_check() && plugin::can_check(settings, plugin));
    for plugin in asked {
        call(settings, record, Command::Check, plugin, record.result.as_ref())?;
    }
    Ok(answer)
}

fn del(settings: &CniSettings, record: &Record, plugin: &list::Plugin) -> Result<()> {
    let before = record.result.as_ref().filter(|_| record.list.tells_del());
    call(settings, record, Command::Del, plugin, before).map(drop)
}

fn call(
    settings: &CniSettings,
    record: &Record,
    command: Command,
    plugin: &list::Plugin,
    before: Option<&Value>,
) -> Result<Option<Value>> {
    let input = record.list.input(plugin, &record.capabilities, before.filter(|before| !before.is_null()));
    let call = Call {
        command,
        plugin: plugin.kind(),
        container: &record.alloc,
        // A namespace that is gone is an empty name, says the specification.
        namespace: if Path::new(&record.namespace).exists() { &record.namespace } else { "" },
        arguments: &record.arguments,
        input: &Value::Object(input),
    };
    plugin::run(settings, plugin, &call)
}

/// `CNI_ARGS`: the job's own and who the allocation is.
fn arguments(plan: &NetworkPlan) -> String {
    let mut text = "IgnoreUnknown=true".to_owned();
    for (name, value) in &plan.cni_args {
        if name.contains([';', '=']) || value.contains([';', '=']) {
            let what = "an argument for CNI plugins with a `;` or `=` in it is left out of CNI_ARGS";
            tracing::warn!(alloc = %plan.alloc, name, what);
        } else {
            text += &format!(";{name}={value}");
        }
    }
    text
}

/// What plugins may ask for by capability: the ports, and the job's arguments by their names (`ips`, `mac`,
/// `bandwidth`, …), as JSON where they are that, else as text.
fn capabilities(plan: &NetworkPlan, host_ip: IpAddr) -> Map<String, Value> {
    let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| text.clone().into());
    let mut all: Map<String, Value> = plan.cni_args.iter().map(|(name, text)| (name.clone(), read(text))).collect();
    all.remove("portMappings");
    let mappings: Vec<Value> = plan.ports.iter().flat_map(|port| mappings(port, host_ip)).collect();
    if !mappings.is_empty() {
        all.insert("portMappings".into(), mappings.into());
    }
    all
}

/// A port's maps, one for each protocol. On the default address it answers on all of this machine's.
fn mappings(port: &Port, host_ip: IpAddr) -> Vec<Value> {
    let protocols: &[&str] = match port.protocol {
        Protocol::Tcp => &["tcp"],
        Protocol::Udp => &["udp"],
        Protocol::Both => &["tcp", "udp"],
    };
    let mapping = |protocol: &&str| {
        let mut mapping = json!({"hostPort": port.host_port, "containerPort": port.task_port, "protocol": protocol});
        if let Some(ip) = port.only_at(host_ip) {
            mapping["hostIP"] = ip.to_string().into();
        }
        mapping
    };
    protocols.iter().map(mapping).collect()
}
