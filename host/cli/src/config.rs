//! The agent's configuration: an HCL file, every key optional, unknown keys refused with the nearest name.

mod engine;
mod hcl1;
mod nomad;
mod place;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use longshore_core::{grant::Grant, policy::Policy};
use longshore_wasm::{HttpEngine, limits::OperationLimits};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer},
};

pub use self::engine::ContainerEngine;
use crate::failure::{Failure, Outcome, chain};

/// Where an agent keeps what lasts unless told otherwise: `/var/lib/longshore` for root, the user's own data
/// directory for anybody else. None for a user without a home.
pub fn default_data_dir() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/longshore".into());
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("longshore"))
}

/// The socket of an agent with this data directory.
pub fn socket_in(data_dir: &Path) -> PathBuf {
    data_dir.join("api.sock")
}

/// The token in a file: its first line.
pub fn read_token(path: &Path) -> Outcome<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("token file {}: {error}", path.display())))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < 16 {
        let failure =
            Failure::input(format!("token file {}: the first line is shorter than 16 characters", path.display()));
        return Err(failure.remedy("make one with `head -c 32 /dev/urandom | base64`"));
    }
    Ok(token.to_owned())
}

/// What an agent is told at its start.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything durable lives. See [`default_data_dir`].
    pub data_dir: Option<PathBuf>,
    /// `dc1` unless given.
    pub datacenter: Option<String>,
    /// The machine's host name unless given.
    pub name: Option<String>,
    /// Processors that tasks can have for themselves, as in `0-2,5`; all that the agent may run on unless given.
    pub reservable_cores: Option<String>,
    /// The API.
    pub http: Http,
    /// The container engine.
    pub docker: ContainerEngine,
    /// Ports given to tasks.
    pub ports: Ports,
    /// Networks of allocations.
    pub network: Network,
    /// Addresses of the machine by name, for `host_network` of a port.
    pub host_network: BTreeMap<String, HostNetwork>,
    /// Engines that drivers may ask over HTTP, by the name that their grant `http:<name>` and their requests
    /// (`http://<name>/…`) have: `unix = "/run/engine.sock"` or `tcp = "host:port"`.
    pub http_engine: BTreeMap<String, HttpEngine>,
    /// Drivers by name.
    pub driver: BTreeMap<String, Driver>,
    /// Every `*.wasm` file here is a driver, named by its own description.
    pub driver_dir: Option<PathBuf>,
    /// Drivers in Nomad's words. Empty once read: what is said here is put where our own blocks would have it.
    plugin: nomad::Plugins,
    /// Their older options.
    client: nomad::Client,
}

/// Where the API listens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Unix socket; `api.sock` in the data directory unless given.
    pub socket: Option<PathBuf>,
    /// `ip:port` to listen on too; needs `token_file`.
    pub address: Option<SocketAddr>,
    /// File whose first line is the token TCP clients must show.
    pub token_file: Option<PathBuf>,
}

/// Ports given to tasks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ports {
    /// First dynamic port.
    pub min_dynamic_port: u16,
    /// Last dynamic port.
    pub max_dynamic_port: u16,
    /// Ports never given out: `22,80,8000-8100`.
    pub reserved_ports: String,
}

impl Default for Ports {
    fn default() -> Self {
        Self { min_dynamic_port: 20_000, max_dynamic_port: 32_000, reserved_ports: String::new() }
    }
}

/// Networks of allocations, in Nomad's words.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The bridge; `nomad` unless given. One bridge belongs to one agent.
    pub bridge_network_name: Option<String>,
    /// Addresses of allocations; 172.26.64.0/20 unless given.
    #[serde(deserialize_with = "subnet")]
    pub bridge_network_subnet: Option<Ipv4Net>,
    /// IPv6 addresses of allocations; none unless given.
    #[serde(deserialize_with = "subnet")]
    pub bridge_network_subnet_ipv6: Option<Ipv6Net>,
    /// Directories of CNI plugins, separated by `:`; those of the environment's CNI_PATH, else /opt/cni/bin, unless
    /// given.
    pub cni_path: Option<String>,
    /// Configurations of CNI networks; /opt/cni/config unless given.
    pub cni_config_dir: Option<PathBuf>,
    /// Pause containers kept ready for groups in mode `bridge`, for each driver that makes some, from its first such
    /// group on; 2 unless given, 0 for none.
    pub spare_pause_containers: Option<u8>,
}

impl Network {
    /// Directories of CNI plugins, as far as they are said.
    pub fn cni_path(&self) -> Option<Vec<PathBuf>> {
        let said = self.cni_path.clone().or_else(|| std::env::var("CNI_PATH").ok()).filter(|path| !path.is_empty())?;
        Some(std::env::split_paths(&said).collect())
    }
}

/// `10.0.0.0/16`, or nothing for none.
fn subnet<'de, D: Deserializer<'de>, N: FromStr>(value: D) -> Result<Option<N>, D::Error> {
    let text = String::deserialize(value)?;
    let wrong = || D::Error::custom(format!("{text:?} is no subnet like 172.26.64.0/20 or fd00:a110:c8::/120"));
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| wrong()) }
}

/// One named address of the machine: the first that is as said, IPv4 before IPv6.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostNetwork {
    /// The address itself.
    pub address: Option<IpAddr>,
    /// A subnet it is in.
    #[serde(deserialize_with = "subnet")]
    pub cidr: Option<IpNet>,
    /// The interface that has it.
    pub interface: Option<String>,
    /// Ports never given out on it: `22,80,8000-8100`.
    pub reserved_ports: String,
}

impl HostNetwork {
    /// The address among those of the machine's interfaces, `(address, interface)`.
    pub fn choose(&self, name: &str, interfaces: &BTreeMap<String, String>) -> Result<IpAddr, String> {
        if let Some(address) = self.address {
            return Ok(address);
        }
        if self.cidr.is_none() && self.interface.is_none() {
            return Err(format!("host_network {name:?} says neither address, cidr nor interface"));
        }
        let known = interfaces.iter().filter_map(|(address, interface)| Some((address.parse().ok()?, interface)));
        let fits = |(address, interface): &(IpAddr, &String)| {
            self.cidr.is_none_or(|cidr| cidr.contains(address))
                && self.interface.as_ref().is_none_or(|wanted| wanted == *interface)
                && !matches!(address, IpAddr::V6(six) if six.is_unicast_link_local())
        };
        // IPv4 addresses sort before IPv6 ones.
        known.filter(fits).map(|(address, _)| address).min().ok_or_else(|| {
            let place = |text: Option<String>| text.unwrap_or_default();
            let cidr = place(self.cidr.map(|cidr| format!(" in {cidr}")));
            let interface = place(self.interface.as_ref().map(|interface| format!(" on {interface}")));
            let there: Vec<_> =
                interfaces.iter().map(|(address, interface)| format!("{interface} {address}")).collect();
            format!("host_network {name:?}: no address{cidr}{interface}; this machine has {}", there.join(", "))
        })
    }
}

/// One driver.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Driver {
    /// Whether it is loaded; as [`crate::backends`] decides for drivers of our own unless given.
    pub enabled: Option<bool>,
    /// Its component; drivers of our own are inside the program.
    pub path: Option<PathBuf>,
    /// What it may import; for drivers of our own, in place of their usual grants.
    pub grants: Option<BTreeSet<Grant>>,
    /// What it may ask of an engine.
    pub policy: Policy,
    /// Limits of each operation.
    pub limits: OperationLimits,
    /// Its own settings, checked against its settings schema.
    pub config: Option<serde_json::Value>,
    /// A container engine of its own, in place of the agent's.
    pub engine: Option<ContainerEngine>,
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::input(format!("configuration {}: {error}", path.display())))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads text; `name` stands for the file in errors.
    fn parse(text: &str, name: &str) -> Outcome<Self> {
        let modern = hcl1::modern(text);
        let value: hcl::Value = hcl::from_str(text)
            .or_else(|error| hcl::from_str(&modern.text).map_err(|_| error))
            .map_err(|error| Failure::input(format!("{name}: {}", chain(&error))))?;
        let mut config: Self = serde_path_to_error::deserialize(value.into_deserializer())
            .map_err(|error| place::explain(name, text, &modern, error))?;
        nomad::translate(&mut config)
            .and_then(|()| config.check())
            .map_err(|problem| Failure::input(format!("{name}: {problem}")))?;
        Ok(config)
    }

    /// Ports never given out.
    pub fn reserved_ports(&self) -> Result<Vec<RangeInclusive<u16>>, String> {
        port_ranges(&self.ports.reserved_ports)
    }

    /// What no single key shows.
    fn check(&self) -> Result<(), String> {
        if self.ports.min_dynamic_port > self.ports.max_dynamic_port || self.ports.min_dynamic_port == 0 {
            return Err(format!(
                "ports: the dynamic range {}-{} is empty",
                self.ports.min_dynamic_port, self.ports.max_dynamic_port
            ));
        }
        self.reserved_ports().map_err(|problem| format!("ports.reserved_ports: {problem}"))?;
        for (name, network) in &self.host_network {
            port_ranges(&network.reserved_ports)
                .map_err(|problem| format!("host_network {name:?}: reserved_ports: {problem}"))?;
        }
        let own = self.driver.iter().filter_map(|(name, driver)| Some((name.as_str(), driver.engine.as_ref()?)));
        for (name, engine) in own.chain([("docker", &self.docker)]) {
            engine.check().map_err(|problem| format!("{name}: {problem}"))?;
        }
        let granted =
            self.driver.iter().flat_map(|(name, driver)| driver.grants.iter().flatten().map(move |g| (name, g)));
        for (name, grant) in granted {
            if let Grant::Http(engine) = grant
                && !self.http_engine.contains_key(engine)
            {
                return Err(format!(
                    "driver {name:?}: grant \"{grant}\" names no engine; add `http_engine {engine:?} {{ unix = \"…\" }}`, \
                     or `tcp = \"host:port\"` in it"
                ));
            }
        }
        if let Some(name) = &self.network.bridge_network_name
            && (name.is_empty()
                || name.len() > 15
                || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)))
        {
            return Err(format!(
                "network.bridge_network_name: {name:?} cannot name an interface: 1 to 15 letters, digits, `-` and `_`"
            ));
        }
        if let (Some(address), None) = (self.http.address, &self.http.token_file) {
            return Err(format!(
                "http: address {address} without token_file: everybody who reaches the port could run anything here; \
                 write a long random line into a file only you can read and name it in token_file"
            ));
        }
        Ok(())
    }
}

/// `22,80,8000-8100`.
pub fn port_ranges(text: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| port_range(part).ok_or_else(|| format!("{part:?} is no port and no range of ports"))).collect()
}

/// `80` or `8000-8100`.
fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        format!("{:?}", Config::parse(text, "agent.hcl").unwrap_err())
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = Config::parse(
            r#"
            data_dir   = "/srv/longshore"
            datacenter = "lab"
            http {
              address    = "127.0.0.1:4646"
              token_file = "/srv/token"
            }
            docker { endpoint = "unix:///run/other.sock" }
            ports { reserved_ports = "22,80" }
            network {
              bridge_network_subnet  = "10.9.0.0/16"
              spare_pause_containers = 0
            }
            host_network "public" { address = "10.0.0.7" }
            http_engine "engine" { unix = "/run/engine.sock" }
            http_engine "remote" { tcp = "10.0.0.8:80" }
            driver "docker" {
              grants = ["containers", "images", "http:engine"]
              policy { allow_privileged = true }
              config { gc = false }
            }
            driver "raw_exec" { enabled = true }
            "#,
            "agent.hcl",
        )
        .unwrap();
        assert_eq!(config.datacenter.as_deref(), Some("lab"));
        assert_eq!(config.ports.max_dynamic_port, 32_000);
        assert_eq!(config.network.spare_pause_containers, Some(0));
        assert_eq!(config.host_network["public"].address, Some("10.0.0.7".parse().unwrap()));
        assert_eq!(config.http_engine["engine"], HttpEngine::Unix("/run/engine.sock".into()));
        assert_eq!(config.http_engine["remote"], HttpEngine::Tcp("10.0.0.8:80".into()));
        let docker = &config.driver["docker"];
        assert!(docker.policy.allow_privileged);
        assert!(docker.grants.as_ref().unwrap().contains(&Grant::Http("engine".into())));
        assert_eq!(docker.config.as_ref().unwrap()["gc"], false);
        assert_eq!(config.driver["raw_exec"].enabled, Some(true));
    }

    #[test]
    fn host_networks_are_chosen_among_the_machines_addresses() {
        let interfaces = [
            ("10.0.0.7", "eth0"),
            ("192.0.2.9", "eth1"),
            ("2001:db8::9", "eth1"),
            ("fe80::1", "eth2"),
            ("127.0.0.1", "lo"),
        ];
        let interfaces = interfaces.map(|(address, name)| (address.to_owned(), name.to_owned())).into();
        let table = [
            ("interface = \"eth1\"", Ok("192.0.2.9")),
            ("cidr = \"10.0.0.0/8\"", Ok("10.0.0.7")),
            ("cidr = \"2001:db8::/32\"", Ok("2001:db8::9")),
            ("interface = \"eth1\"\ncidr = \"10.0.0.0/8\"", Err("no address in 10.0.0.0/8 on eth1")),
            ("interface = \"eth2\"", Err("this machine has eth0 10.0.0.7")),
            ("address = \"203.0.113.1\"", Ok("203.0.113.1")),
            ("", Err("says neither address, cidr nor interface")),
        ];
        for (text, expected) in table {
            let config = Config::parse(&format!("host_network \"x\" {{\n{text}\n}}"), "agent.hcl").unwrap();
            let chosen = config.host_network["x"].choose("x", &interfaces);
            match expected {
                Ok(address) => assert_eq!(chosen, Ok(address.parse().unwrap()), "{text}"),
                Err(why) => assert!(chosen.clone().unwrap_err().contains(why), "{text}: {chosen:?}"),
            }
        }
    }

    #[test]
    fn mistakes_are_told_with_place_and_remedy() {
        let table = [
            ("data_dri = \"/x\"", &["agent.hcl:1:1", "data_dri", "did you mean \\\"data_dir\\\"?"][..]),
            (
                "driver \"docker\" {\n  policy {\n    allow_privileges = true\n  }\n}",
                &["agent.hcl:3:5", "allow_privileges", "did you mean \\\"allow_privileged\\\"?"],
            ),
            ("driver \"x\" {\n  grants = [\"root\"]\n}", &["agent.hcl:2:3", "unknown grant", "containers"]),
            ("ports {\n  min_dynamic_port = 70000\n}", &["agent.hcl:2:3", "70000"]),
            ("ports {\n  min_dynamic_port = 32001\n}", &["32001-32000 is empty"]),
            ("http {\n  address = \"127.0.0.1:1\"\n}", &["without token_file"]),
            ("http {\n  address = \"localhost\"\n}", &["agent.hcl:2:3", "socket address"]),
            ("ports {\n  reserved_ports = \"22,x\"\n}", &["\\\"x\\\" is no port"]),
            ("host_network \"x\" {\n  cidr = \"10.0.0.0\"\n}", &["agent.hcl:2:3"]),
            ("host_network \"x\" {\n  reserved_ports = \"x\"\n}", &["reserved_ports", "is no port"]),
            ("network {\n  bridge_network_subnet = \"10.0.0.0\"\n}", &["agent.hcl:2:3", "is no subnet like"]),
            ("network {\n  bridge_network_name = \"much-too-long-a-name\"\n}", &["1 to 15 letters"]),
            ("driver \"x\" {\n  grants = [\"http:lxd\"]\n}", &["http:lxd", "names no engine", "http_engine"]),
            ("http_engine \"lxd\" {\n  port = 1\n}", &["agent.hcl:1:1", "http_engine.lxd", "`port`", "`unix`"]),
            ("network {\n  spare_pause_containers = -1\n}", &["agent.hcl:2:3", "-1"]),
            ("http = {", &["agent.hcl", "line 1"]),
        ];
        for (text, expected) in table {
            let said = complaint(text);
            for part in expected {
                assert!(said.contains(part), "{text}: {said} lacks {part}");
            }
        }
    }
}
