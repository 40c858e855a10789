//! Networks and ports of a group.

use serde::{Deserialize, Serialize};

use super::Cni;

/// The network an allocation lives in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Network {
    /// `host`, `bridge`, `none` or `cni/<name>`; empty means `host`.
    pub mode: String,
    /// Interface of the machine; without effect.
    pub device: String,
    /// Without effect.
    #[serde(rename = "CIDR")]
    pub cidr: String,
    /// Without effect.
    #[serde(rename = "IP")]
    pub ip: String,
    /// Megabits; without effect.
    #[serde(rename = "MBits")]
    pub mbits: Option<u64>,
    /// Options of a network plugin.
    #[serde(rename = "CNI")]
    pub cni: Option<Cni>,
    /// Host name inside the allocation's network; empty means the engine's default. May hold `${…}`.
    pub hostname: String,
    /// Resolver settings inside the allocation's network.
    #[serde(rename = "DNS")]
    pub dns: Option<Dns>,
    /// Ports with a number chosen in the job file (`static`).
    pub reserved_ports: Vec<Port>,
    /// Ports whose number is chosen when the allocation is made.
    pub dynamic_ports: Vec<Port>,
}

impl Network {
    /// The mode, with the default spelled out.
    pub fn mode(&self) -> &str {
        if self.mode.is_empty() { "host" } else { &self.mode }
    }

    /// Every port, reserved ones first.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.reserved_ports.iter().chain(&self.dynamic_ports)
    }
}

/// One labelled port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Port {
    /// Names the port in `NOMAD_PORT_<label>` and in driver configuration.
    pub label: String,
    /// The port of the host: as chosen by `static`, or 0 for a dynamic port not yet given a number.
    pub value: u16,
    /// The port inside the allocation's network: 0 when not given, -1 for "the same as the host's".
    pub to: i32,
    /// Alias of the host's addresses to listen on; empty means `default`.
    pub host_network: String,
    /// Host mode only: several allocations may claim the same static port.
    pub ignore_collision: bool,
    /// `tcp` or `udp` alone; empty means both.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// Resolver settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Dns {
    /// Addresses of name servers. May hold `${…}`.
    pub servers: Vec<String>,
    /// Search domains. May hold `${…}`.
    pub searches: Vec<String>,
    /// Options of resolv.conf. May hold `${…}`.
    pub options: Vec<String>,
}
