//! What plugins answer: interfaces, addresses, resolver.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use longshore_core::{
    driver::Dns,
    error::{HostError, Result},
};
use serde::Deserialize;
use serde_json::Value;

/// A network as the allocation sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::network) struct Answer {
    pub interface: String,
    pub address: Option<String>,
    pub address_ipv6: Option<String>,
    pub gateway: Option<String>,
    pub dns: Option<Dns>,
}

/// The result of ADD since version 0.3.0.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Document {
    interfaces: Vec<Interface>,
    ips: Vec<Ip>,
    dns: Resolver,
}

#[derive(Deserialize)]
struct Interface {
    name: String,
    #[serde(default)]
    sandbox: String,
}

#[derive(Deserialize)]
struct Ip {
    address: String,
    #[serde(default)]
    gateway: Option<String>,
    #[serde(default)]
    interface: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resolver {
    nameservers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
}

impl Answer {
    /// Chooses the first interface inside the namespace that has an address, else any that has one, by name.
    pub fn read(result: &Value) -> Result<Self> {
        let document: Document = serde_json::from_value(result.clone())
            .map_err(|error| HostError::Other(format!("the plugins' result makes no sense: {error}")))?;
        let mut addresses: BTreeMap<(bool, &str), Vec<(IpAddr, &Ip)>> = BTreeMap::new();
        for ip in &document.ips {
            let net: IpNet = ip
                .address
                .parse()
                .map_err(|_| HostError::Other(format!("the plugins answered {:?} as an address", ip.address)))?;
            let Some(interface) = ip.interface.and_then(|index| document.interfaces.get(index)) else { continue };
            let place = (interface.sandbox.is_empty(), interface.name.as_str());
            addresses.entry(place).or_default().push((net.addr(), ip));
        }
        if document.interfaces.is_empty() {
            return Err(HostError::Other("no interfaces found".into()));
        }
        let Some(((_, interface), found)) = addresses.first_key_value() else {
            return Err(HostError::Other("no interface with an address".into()));
        };
        let first = |wanted: fn(&IpAddr) -> bool| found.iter().find(|(address, _)| wanted(address));
        let (four, six) = (first(IpAddr::is_ipv4), first(IpAddr::is_ipv6));
        let text = |one: Option<&(IpAddr, &Ip)>| one.map(|(address, _)| address.to_string());
        Ok(Self {
            interface: (*interface).to_owned(),
            address: text(four.or(six)),
            address_ipv6: text(six),
            gateway: four.or(six).and_then(|(_, ip)| ip.gateway.clone()),
            dns: document.dns.into_dns(),
        })
    }
}

impl Answer {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [&self.address, &self.address_ipv6].into_iter().flatten().filter_map(|address| address.parse().ok())
    }
}

impl Resolver {
    /// None when the plugins said nothing.
    fn into_dns(self) -> Option<Dns> {
        let dns = Dns { servers: self.nameservers, searches: self.search, options: self.options };
        (dns != Dns::default()).then_some(dns)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_interface_inside_counts() {
        let read = |result: Value| {
            let Answer { interface, address, address_ipv6, gateway, .. } = Answer::read(&result).unwrap();
            [Some(interface), address, address_ipv6, gateway].map(Option::unwrap_or_default)
        };
        let bridged = json!({
            "interfaces": [{"name": "cni0"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/a"}],
            "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 2},
                    {"address": "fd00::5/64", "interface": 2}, {"address": "10.9.9.9/24", "interface": 0}],
        });
        assert_eq!(read(bridged), ["eth0", "10.1.0.5", "fd00::5", "10.1.0.1"]);
        let six = json!({
            "interfaces": [{"name": "net1", "sandbox": "/n"}, {"name": "eth1", "sandbox": "/n"}],
            "ips": [{"address": "fd00::5/64", "interface": 0}],
        });
        assert_eq!(read(six), ["net1", "fd00::5", "fd00::5", ""]);
        let outside = json!({"interfaces": [{"name": "tun0"}], "ips": [{"address": "10.1.0.5/24", "interface": 0}]});
        assert_eq!(read(outside), ["tun0", "10.1.0.5", "", ""]);
    }

    #[test]
    fn results_without_what_is_needed() {
        for (result, why) in [
            (json!({}), "no interfaces found"),
            (json!({"interfaces": [{"name": "eth0", "sandbox": "/n"}]}), "no interface with an address"),
            (
                json!({"interfaces": [{"name": "eth0"}], "ips": [{"address": "10.1.0.5/24", "interface": 7}]}),
                "no interface with an address",
            ),
            (json!({"interfaces": [{"name": "eth0"}], "ips": [{"address": "ten", "interface": 0}]}), "\"ten\""),
            (json!({"interfaces": 3}), "makes no sense"),
        ] {
            let said = Answer::read(&result).unwrap_err().to_string();
            assert!(said.contains(why), "{result}: {said}");
        }
    }

    #[test]
    fn a_resolver_is_told_when_there_is_one() {
        let result = |dns: Value| json!({"interfaces": [{"name": "eth0"}], "ips": [{"address": "10.1.0.5/24", "interface": 0}], "dns": dns});
        assert_eq!(Answer::read(&result(json!({}))).unwrap().dns, None);
        let dns =
            Answer::read(&result(json!({"nameservers": ["10.1.0.1"], "search": ["a.test"]}))).unwrap().dns.unwrap();
        assert_eq!((dns.servers, dns.searches), (vec!["10.1.0.1".to_owned()], vec!["a.test".to_owned()]));
    }
}
