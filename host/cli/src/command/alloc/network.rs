//! `longshore alloc network ALLOC`

use clap::Args;
use longshore_agent::api::document::{AllocNetwork, MappedPort, Namespace, TaskListener};
use longshore_core::port::Protocol;

use super::resolve;
use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Outcome},
    output,
};

/// Draw an allocation's network: ports of this machine, what they lead to, who listens there and who reaches it
#[derive(Debug, Args)]
#[command(after_help = format!("\
Who reaches a listener is one or more of
  outside   other machines, by a port of this one
  machine   this machine and its other allocations
  group     the tasks of the allocation itself

Examples:
  longshore alloc network 3f9a
  longshore alloc network --json 3f9a | jq .Listeners

{EXIT_CODES}"))]
pub struct Arguments {
    /// Its id, or how its id begins
    alloc: String,
    /// Print the same as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let alloc = resolve(client, &self.alloc).await?;
        let path = format!("/v1/allocation/{}/network", segment(&alloc.stub.id));
        if self.json {
            return output::print_json(&client.get::<serde_json::Value>(&path).await?);
        }
        anstream::print!("{}", draw(&client.get(&path).await?));
        Ok(())
    }
}

/// The figure, from the outside in.
fn draw(network: &AllocNetwork) -> String {
    let mut figure = format!("allocation {} {}, mode {}\n\n", output::short(&network.id), network.name, network.mode);
    let Some(namespace) = &network.namespace else {
        figure += "host\n";
        branches(&mut figure, rows(network, |port| (port.interface.clone(), at(&port.host_ip, port.host_port))));
        return figure;
    };
    if !network.ports.is_empty() {
        figure += "host\n";
        branches(&mut figure, network.ports.iter().map(host_row).collect());
        figure += "   │\n";
        if !network.table.is_empty() {
            figure += &format!("   │ map of table inet {}\n", network.table);
        }
        figure += "   ▼\n";
    }
    if let Some(bridge) = &network.bridge {
        figure += &format!("bridge {} {}\n   │\n   │ {}\n   ▼\n", bridge.name, bridge.address, bridge.link);
    }
    figure += &inside(namespace);
    branches(&mut figure, rows(network, |port| (String::new(), format!(":{}", port.task_port))));
    figure
}

/// The namespace's own lines.
fn inside(namespace: &Namespace) -> String {
    let mut text = format!("namespace {}", namespace.path);
    if !namespace.container.is_empty() {
        text += &format!(", held by container {}", namespace.container.get(..12).unwrap_or(&namespace.container));
    }
    if !namespace.hostname.is_empty() {
        text += &format!(", host name {}", namespace.hostname);
    }
    let addresses = [&namespace.address, &namespace.address_ipv6].into_iter().filter(|address| !address.is_empty());
    let addresses: Vec<_> = addresses.map(String::as_str).collect();
    let interface = if namespace.interface.is_empty() { "lo only" } else { &namespace.interface };
    format!("{text}\n   {}\n", format!("{interface} {}", addresses.join(", ")).trim_end())
}

fn host_row(port: &MappedPort) -> Vec<String> {
    let place = format!("{} {}", port.interface, at(&port.host_ip, port.host_port)).trim_start().to_owned();
    vec![place, word(&port.protocol).into(), port.label.clone(), format!("to :{}", port.task_port)]
}

/// Who listens, then the ports to which nobody does.
fn rows(network: &AllocNetwork, place: impl Fn(&MappedPort) -> (String, String)) -> Vec<Vec<String>> {
    let mut rows: Vec<_> = network.listeners.iter().map(listener_row).collect();
    let idle = network
        .ports
        .iter()
        .filter(|port| network.listeners.iter().all(|listener| !listener.labels.contains(&port.label)));
    rows.extend(idle.map(|port| {
        let (interface, place) = place(port);
        let place = format!("{interface} {place}").trim_start().to_owned();
        vec![place, word(&port.protocol).into(), "nobody listens".into(), String::new(), port.label.clone()]
    }));
    rows
}

fn listener_row(listener: &TaskListener) -> Vec<String> {
    let process = match (listener.process.as_str(), listener.pid) {
        ("", _) => "a process that cannot be seen".into(),
        (name, pid) => format!("{name} (pid {pid})"),
    };
    vec![
        at(&listener.address, listener.port),
        word(&listener.protocol).into(),
        process,
        listener.scopes.join(", "),
        listener.labels.join(", "),
    ]
}

fn branches(figure: &mut String, rows: Vec<Vec<String>>) {
    let lines = output::aligned(&rows);
    let last = lines.len().saturating_sub(1);
    for (number, line) in lines.iter().enumerate() {
        let branch = if number == last { "└─" } else { "├─" };
        figure.push_str(&format!("   {branch} {line}\n"));
    }
}

/// `*:80` for everywhere.
fn at(address: &str, port: u16) -> String {
    match address {
        "0.0.0.0" | "::" | "" => format!("*:{port}"),
        address => output::address(address, port),
    }
}

fn word(protocol: &Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Both => "tcp+udp",
    }
}

#[cfg(test)]
mod tests {
    use longshore_agent::api::document::BridgeLink;

    use super::*;

    fn port(label: &str, host_port: u16, task_port: u16) -> MappedPort {
        MappedPort {
            label: label.into(),
            interface: "eth0".into(),
            host_ip: "192.0.2.1".into(),
            host_port,
            task_port,
            ..MappedPort::default()
        }
    }

    fn listener(address: &str, port: u16, labels: &[&str], scopes: &[&str]) -> TaskListener {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        TaskListener {
            protocol: Protocol::Tcp,
            address: address.into(),
            port,
            process: "httpd".into(),
            pid: 4711,
            labels: texts(labels),
            scopes: texts(scopes),
        }
    }

    fn bridged() -> AllocNetwork {
        AllocNetwork {
            id: "3f9a1b2c-0000-4000-8000-000000000000".into(),
            name: "web.g[0]".into(),
            mode: "bridge".into(),
            ports: vec![port("http", 23_145, 8080), port("db", 23_146, 5432)],
            table: "longshore_nomad".into(),
            bridge: Some(BridgeLink {
                name: "nomad".into(),
                address: "172.26.64.1".into(),
                link: "lv3f9a1b2c0000".into(),
            }),
            namespace: Some(Namespace {
                path: "/run/netns/3f9a1b2c".into(),
                container: "0123456789abcdef".into(),
                interface: "eth0".into(),
                address: "172.26.64.5".into(),
                address_ipv6: "fd00::5".into(),
                hostname: "web".into(),
            }),
            listeners: vec![
                listener("0.0.0.0", 8080, &["http"], &["outside", "machine", "group"]),
                listener("127.0.0.1", 9000, &[], &["group"]),
                listener("::", 9100, &[], &["machine", "group"]),
            ],
        }
    }

    #[test]
    fn a_network_of_its_own() {
        insta::assert_snapshot!(draw(&bridged()), @"
        allocation 3f9a1b2c web.g[0], mode bridge

        host
           ├─ eth0 192.0.2.1:23145  tcp+udp  http  to :8080
           └─ eth0 192.0.2.1:23146  tcp+udp  db    to :5432
           │
           │ map of table inet longshore_nomad
           ▼
        bridge nomad 172.26.64.1
           │
           │ lv3f9a1b2c0000
           ▼
        namespace /run/netns/3f9a1b2c, held by container 0123456789ab, host name web
           eth0 172.26.64.5, fd00::5
           ├─ *:8080          tcp      httpd (pid 4711)  outside, machine, group  http
           ├─ 127.0.0.1:9000  tcp      httpd (pid 4711)  group
           ├─ *:9100          tcp      httpd (pid 4711)  machine, group
           └─ :5432           tcp+udp  nobody listens                             db
        ");
    }

    #[test]
    fn the_hosts_network() {
        let host = AllocNetwork {
            mode: "host".into(),
            table: String::new(),
            bridge: None,
            namespace: None,
            listeners: vec![listener("0.0.0.0", 23_145, &["http"], &["outside", "machine", "group"])],
            ..bridged()
        };
        insta::assert_snapshot!(draw(&host), @"
        allocation 3f9a1b2c web.g[0], mode host

        host
           ├─ *:23145               tcp      httpd (pid 4711)  outside, machine, group  http
           └─ eth0 192.0.2.1:23146  tcp+udp  nobody listens                             db
        ");
    }

    #[test]
    fn no_network() {
        let none = AllocNetwork {
            mode: "none".into(),
            ports: vec![],
            table: String::new(),
            bridge: None,
            namespace: Some(Namespace { path: "/run/netns/3f9a1b2c".into(), ..Namespace::default() }),
            listeners: vec![listener("127.0.0.1", 80, &[], &["group"])],
            ..bridged()
        };
        insta::assert_snapshot!(draw(&none), @"
        allocation 3f9a1b2c web.g[0], mode none

        namespace /run/netns/3f9a1b2c
           lo only
           └─ 127.0.0.1:80  tcp  httpd (pid 4711)  group
        ");
    }
}
