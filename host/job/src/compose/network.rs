//! What of a service is on the network: ports and names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::Import;
use super::value::{Fields, pairs, quoted, text, texts};
use crate::hcl::convert::json_to_text;

/// A port of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Of the host, if it was chosen.
    published: Option<u16>,
    target: u16,
    /// Not the other protocol alone.
    tcp: bool,
}

impl Port {
    /// Its block. Both protocols need not be named.
    pub fn block(&self, label: &str) -> String {
        let fixed = self.published.map(|port| format!("static = {port}\n")).unwrap_or_default();
        let only_udp = if self.tcp { "" } else { "protocol = \"udp\"\n" };
        format!("port {} {{\n{fixed}to = {}\n{only_udp}}}\n", quoted(label), self.target)
    }
}

impl Import {
    /// `"8080:80"`, `"127.0.0.1:8080:80/udp"`, `"5000-5010:5000-5010"`, `80`, or `{ target = 80, published = 8080 }`.
    /// Answers the labels.
    pub(super) fn ports(&mut self, name: &str, service: &Fields) -> Vec<String> {
        let mut labels = Vec::new();
        for item in service.get("ports").and_then(Value::as_array).into_iter().flatten() {
            let asked = asked(item);
            if !asked.address.is_empty() {
                self.note(name, format!("port {item}: the address is not carried over; see host_network"));
            }
            let Some(pairs) = paired(&asked.published, &asked.target) else {
                self.note(name, format!("port {item}: not carried over; only numbers and ranges are"));
                continue;
            };
            for (published, target) in pairs {
                if published.is_none() && !asked.published.is_empty() {
                    self.note(name, format!("port {item}: one of a range; the agent chooses any free port instead"));
                }
                let label = self.port(name, published, target, asked.is_udp);
                if !labels.contains(&label) {
                    labels.push(label);
                }
            }
        }
        labels
    }

    /// Adds a port to the group's; the same one for another protocol is one with it.
    fn port(&mut self, service: &str, published: Option<u16>, target: u16, is_udp: bool) -> String {
        let base = format!("{}-{target}", service.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let mut label = base.clone();
        let mut number = 1;
        while let Some(known) = self.ports.get_mut(&label) {
            if known.published == published {
                known.tcp |= !is_udp;
                return label;
            }
            number += 1;
            label = format!("{base}-{number}");
        }
        self.ports.insert(label.clone(), Port { published, target, tcp: !is_udp });
        label
    }

    /// What is different in one network for all.
    pub(super) fn networks(&mut self, name: &str, service: &Fields) {
        let mode = text(service, "network_mode").unwrap_or_default();
        match mode.split(':').next().unwrap_or_default() {
            "" | "bridge" | "service" | "container" => {}
            other => self.note(
                name,
                format!("network_mode {other}: not carried over; a group of its own with that mode says the same"),
            ),
        }
        let Some(Value::Object(networks)) = service.get("networks") else { return };
        let mut left = BTreeSet::new();
        for settings in networks.values().filter_map(Value::as_object) {
            left.extend(settings.keys().filter(|key| *key != "aliases").cloned());
        }
        for key in left {
            self.note(name, format!("networks: {key}: not carried over; all services share one network"));
        }
    }

    /// Services that listen on the same port cannot share a network.
    pub(super) fn note_shared_ports(&mut self, services: &Fields) {
        let mut listeners: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
        for (name, service) in services {
            let Some(service) = service.as_object() else { continue };
            let published = service.get("ports").and_then(Value::as_array).into_iter().flatten();
            let targets = published.map(|item| asked(item).target).chain(texts(service.get("expose")));
            for port in targets.filter_map(|target| range(target.split('/').next()?)).flatten() {
                listeners.entry(port).or_default().insert(name);
            }
        }
        for (port, names) in listeners.into_iter().filter(|(_, names)| names.len() > 1) {
            let names = names.into_iter().collect::<Vec<_>>().join(" and ");
            self.notes.push(format!(
                "services {names} both listen on port {port}: they share one network now; move one to another port"
            ));
        }
    }
}

/// Every name a service answers to, its own first.
pub fn names(name: &str, service: &Fields, all: &Fields) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    names.extend(["container_name", "hostname"].iter().filter_map(|key| text(service, key)));
    let networks =
        service.get("networks").and_then(Value::as_object).into_iter().flat_map(|networks| networks.values());
    names.extend(networks.flat_map(|settings| texts(settings.get("aliases"))));
    let links = all.values().flat_map(|other| texts(other.get("links")));
    names.extend(links.filter_map(|link| {
        let (of, alias) = link.split_once(':')?;
        (of == name).then(|| alias.to_owned())
    }));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Lines for the hosts file: `name:address`, of a list or a map.
pub fn hosts(service: &Fields) -> Vec<String> {
    let lines = pairs(service.get("extra_hosts")).into_iter();
    lines.map(|(name, address)| address.map_or(name.clone(), |address| format!("{name}:{address}"))).collect()
}

/// A port as it was asked for.
struct Asked {
    address: String,
    published: String,
    target: String,
    is_udp: bool,
}

fn asked(item: &Value) -> Asked {
    if let Value::Object(long) = item {
        let text = |key: &str| text(long, key).unwrap_or_default();
        let (address, published, target) = (text("host_ip"), text("published"), text("target"));
        return Asked { address, published, target, is_udp: text("protocol") == "udp" };
    }
    let text = json_to_text(item).unwrap_or_default();
    let (ports, protocol) = text.split_once('/').unwrap_or((&text, ""));
    let mut parts = ports.rsplitn(3, ':').map(str::to_owned);
    let target = parts.next().unwrap_or_default();
    let published = parts.next().unwrap_or_default();
    Asked { address: parts.next().unwrap_or_default(), published, target, is_udp: protocol == "udp" }
}

/// Ports inside with those published for them: of a range each by itself; of a range for one port none.
fn paired(published: &str, target: &str) -> Option<Vec<(Option<u16>, u16)>> {
    let targets = range(target)?;
    if published.is_empty() {
        return Some(targets.map(|target| (None, target)).collect());
    }
    let published = range(published)?;
    match (published.len(), targets.len()) {
        (many, one) if many == one => Some(published.map(Some).zip(targets).collect()),
        (_, 1) => Some(targets.map(|target| (None, target)).collect()),
        _ => None,
    }
}

/// `80`, or `5000-5010`.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?).filter(|range| !range.is_empty())
}
