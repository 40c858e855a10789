//! Which ports of the allocation the engine publishes.

use std::collections::BTreeMap;

use longshore_sdk::{
    Error, Port,
    host::containers::{ContainerNetwork, PortBinding},
};

use crate::{config::Config, network};

/// The bindings for the labels in `ports` and, the old way, `port_map`. Empty where the engine publishes
/// nothing. tcp and udp both, as Nomad does, unless the port says which.
pub fn bindings(config: &Config, reserved: &[Port], network: &ContainerNetwork) -> Result<Vec<PortBinding>, Error> {
    let published = published(config, reserved)?;
    if !network::publishes(network) {
        return Ok(Vec::new());
    }
    let binding = |(port, inside): (&Port, u16)| PortBinding {
        host_ip: port.host_ip.clone(),
        host_port: port.host_port,
        container_port: inside,
        protocol: port.protocol.clone(),
    };
    Ok(published.into_iter().map(binding).collect())
}

fn published<'a>(config: &Config, reserved: &'a [Port]) -> Result<Vec<(&'a Port, u16)>, Error> {
    let find = |label: &String| {
        let port = reserved.iter().find(|port| port.label == *label);
        port.ok_or_else(|| Error::invalid(format!("Port {label:?} not found, check network block")))
    };
    if !config.ports.is_empty() && !config.port_map.is_empty() {
        return Err(Error::invalid("'port_map' cannot map group network ports, use 'ports' instead"));
    }
    if !config.port_map.is_empty() && reserved.is_empty() {
        return Err(Error::invalid("Trying to map ports but no network interface is available"));
    }
    let listed = config.ports.iter().map(|label| find(label).map(|port| (port, port.task_port)));
    let mapped = config.port_map.iter().map(|(label, inside)| find(label).map(|port| (port, *inside)));
    listed.chain(mapped).collect()
}

/// Environment that `port_map` changes: the number a task listens on.
pub fn environment(port_map: &BTreeMap<String, u16>) -> impl Iterator<Item = (String, String)> {
    port_map.iter().map(|(label, port)| (format!("NOMAD_PORT_{label}"), port.to_string()))
}

#[cfg(test)]
mod tests {
    use longshore_sdk::{config::parse, host::Protocol};

    use super::*;

    fn reserved() -> Vec<Port> {
        [("http", 23456, 8080), ("admin", 9000, 9000)]
            .map(|(label, host_port, task_port)| Port {
                label: label.into(),
                host_ip: "127.0.0.1".into(),
                host_port,
                task_port,
                protocol: Protocol::Both,
            })
            .into()
    }

    fn numbers(config: &str, network: ContainerNetwork) -> Result<Vec<(u16, u16)>, Error> {
        let config: Config = parse("config", config)?;
        let bound = bindings(&config, &reserved(), &network)?;
        Ok(bound.iter().map(|binding| (binding.host_port, binding.container_port)).collect())
    }

    #[test]
    fn what_is_published() {
        let table = [
            (r#"{"ports": ["http"]}"#, ContainerNetwork::DefaultNetwork, Ok(vec![(23456, 8080)])),
            (
                r#"{"ports": ["http", "admin"]}"#,
                ContainerNetwork::Named("x".into()),
                Ok(vec![(23456, 8080), (9000, 9000)]),
            ),
            (r#"{"port_map": {"http": 80}}"#, ContainerNetwork::DefaultNetwork, Ok(vec![(23456, 80)])),
            ("{}", ContainerNetwork::DefaultNetwork, Ok(vec![])),
            (r#"{"ports": ["http"]}"#, ContainerNetwork::Host, Ok(vec![])),
            (r#"{"ports": ["http"]}"#, ContainerNetwork::Container("x".into()), Ok(vec![])),
            (r#"{"ports": ["x"]}"#, ContainerNetwork::Host, Err("Port \"x\" not found, check network block")),
            (
                r#"{"ports": ["http"], "port_map": {"admin": 80}}"#,
                ContainerNetwork::DefaultNetwork,
                Err("'port_map' cannot map group network ports, use 'ports' instead"),
            ),
        ];
        for (config, network, expected) in table {
            assert_eq!(numbers(config, network), expected.map_err(Error::invalid), "{config}");
        }
    }

    #[test]
    fn a_port_of_one_protocol_is_published_for_that() {
        let mut ports = reserved();
        ports[1].protocol = Protocol::Udp;
        let config: Config = parse("config", r#"{"ports": ["http", "admin"]}"#).unwrap();
        let bound = bindings(&config, &ports, &ContainerNetwork::DefaultNetwork).unwrap();
        let protocols: Vec<_> = bound.into_iter().map(|binding| binding.protocol).collect();
        assert_eq!(protocols, [Protocol::Both, Protocol::Udp]);
    }

    #[test]
    fn a_map_without_ports_is_refused() {
        let config: Config = parse("config", r#"{"port_map": {"http": 80}}"#).unwrap();
        let error = bindings(&config, &[], &ContainerNetwork::DefaultNetwork).unwrap_err();
        assert_eq!(error.text(), "Trying to map ports but no network interface is available");
    }
}
