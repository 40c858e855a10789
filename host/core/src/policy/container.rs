//! The typed fields of a container, one by one.

use std::net::{IpAddr, SocketAddr};

use super::{OrDenied, Policy, engine};
use crate::{
    caller::TaskScope,
    container::{ContainerNetwork, ContainerSpec, LABEL_PREFIX, PortBinding},
    error::{HostError, Result},
    port::{Port, Protocol},
};

pub(super) fn check(policy: &Policy, spec: &ContainerSpec, scope: &TaskScope) -> Result<()> {
    check_labels(spec)?;
    policy.check_mounts(&spec.mounts, scope)?;
    check_network(policy, &spec.network)?;
    spec.ports.iter().try_for_each(|binding| check_binding(binding, scope))?;
    spec.engine_options.as_ref().map_or(Ok(()), |options| engine::check(policy, spec, options))
}

fn check_labels(spec: &ContainerSpec) -> Result<()> {
    match spec.labels.iter().find(|(key, _)| key.to_ascii_lowercase().starts_with(LABEL_PREFIX)) {
        Some((key, _)) => {
            Err(HostError::Denied(format!("label {key:?}: labels under {LABEL_PREFIX:?} are the host's own")))
        }
        None => Ok(()),
    }
}

/// The network as the typed field says it. A name must be a name: engines read some words and prefixes
/// (`host`, `container:…`, `ns:…`) as modes, each of which has a case of its own with a check of its own.
fn check_network(policy: &Policy, network: &ContainerNetwork) -> Result<()> {
    match network {
        ContainerNetwork::Default | ContainerNetwork::None | ContainerNetwork::Container(_) => Ok(()),
        ContainerNetwork::Host => policy.allow_host_network.or_denied(
            || "the host's network is not allowed for containers".into(),
            || "set `allow_host_network = true`".into(),
        ),
        ContainerNetwork::Named(name) if is_mode(name) => Err(HostError::Invalid(format!(
            "{name:?} is a network mode, not the name of a network; use its own case of `network`"
        ))),
        ContainerNetwork::Named(name) if is_name(name) => Ok(()),
        ContainerNetwork::Named(name) => Err(HostError::Invalid(format!("{name:?} is not the name of a network"))),
        ContainerNetwork::Other(mode) => {
            Err(HostError::Denied(format!("network mode {mode:?} is not supported by this host")))
        }
    }
}

fn is_mode(name: &str) -> bool {
    ["host", "none", "default"].iter().any(|mode| name.eq_ignore_ascii_case(mode))
}

/// Docker's grammar of names of containers, networks and volumes.
pub(super) fn is_name(name: &str) -> bool {
    let tail = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(tail)
}

fn check_binding(binding: &PortBinding, scope: &TaskScope) -> Result<()> {
    let fits = |port: &&Port| {
        port.host_port == binding.host_port
            && protocol_within(&binding.protocol, &port.protocol)
            && address_within(&binding.host_ip, &port.host_ip)
    };
    if scope.ports.iter().any(|port| fits(&port)) {
        Ok(())
    } else {
        Err(not_ours(&binding.host_ip, binding.host_port, scope))
    }
}

/// The address a component serves on: in the host's network one of the allocation's ports, on the address it is
/// reserved on; in a network of its own, where all addresses are its own, the number such a port leads to.
pub(super) fn check_listen(address: &str, scope: &TaskScope) -> Result<()> {
    let parsed: SocketAddr = address
        .parse()
        .map_err(|_| HostError::Invalid(format!("listen address {address:?} is not of the form ip:port")))?;
    let (ip, number) = (parsed.ip().to_string(), parsed.port());
    if scope.network_namespace.is_some() {
        let ports: Vec<_> = scope.ports.iter().map(|port| format!("{} ({})", port.label, port.task_port)).collect();
        let leads_there = scope.ports.iter().any(|port| port.task_port == number);
        return if leads_there { Ok(()) } else { Err(not_led_to(number, &ports)) };
    }
    let binding = PortBinding { host_ip: ip, host_port: number, container_port: number, protocol: Protocol::Tcp };
    check_binding(&binding, scope)
}

fn not_led_to(number: u16, ports: &[String]) -> HostError {
    let known = if ports.is_empty() { "none".into() } else { ports.join(", ") };
    HostError::Denied(format!(
        "no port of the allocation leads to {number} inside its network; add a `port` block with `to = {number}` (there \
         are: {known})"
    ))
}

fn not_ours(ip: &str, number: u16, scope: &TaskScope) -> HostError {
    let address = if ip.is_empty() { "all addresses" } else { ip };
    let ports: Vec<_> = scope.ports.iter().map(|p| format!("{} ({}:{})", p.label, p.host_ip, p.host_port)).collect();
    let known = if ports.is_empty() { "none".into() } else { ports.join(", ") };
    HostError::Denied(format!(
        "host port {number} on {address} is not one of the allocation's; reserve it with a `port` block (reserved: {known})"
    ))
}

fn protocol_within(wanted: &Protocol, reserved: &Protocol) -> bool {
    *reserved == Protocol::Both || wanted == reserved
}

/// Whether an address to bind is covered by the one reserved. All addresses of either family cover every one.
fn address_within(wanted: &str, reserved: &str) -> bool {
    let any = |text: &str| text.is_empty() || text.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if any(reserved) {
        return wanted.is_empty() || wanted.parse::<IpAddr>().is_ok();
    }
    match (wanted.parse::<IpAddr>(), reserved.parse::<IpAddr>()) {
        (Ok(wanted), Ok(reserved)) => wanted == reserved,
        _ => false,
    }
}
