//! Names inside an allocation's own network: `hosts`, `hostname` and `resolv.conf` as all its tasks see them in `/etc`.
//!
//! They are in the allocation's directory ([`TaskScope::etc`]); whoever starts a process or a container puts them in
//! place of the machine's. `hosts` is written when the network is made and belongs to the tasks from then on;
//! `resolv.conf` follows the machine whenever a task starts.
//!
//! [`TaskScope::etc`]: longshore_core::caller::TaskScope::etc

use std::{io, net::IpAddr};

use cap_std::fs::{Dir, Permissions, PermissionsExt};
use longshore_core::{
    driver::Dns,
    network::{Holder, Network, Obstacle},
};

use super::dir;
use crate::{config::AgentConfig, machine};

/// Resolver settings of the machine. The first that names a server which others can reach is taken: a resolver on
/// the machine's loopback (systemd's, NetworkManager's) is nobody inside a namespace, and where it asks is told in
/// files of its own.
const RESOLVERS: [&str; 3] =
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"];
/// How a hosts entry names this machine, as Docker has it.
const HOST_GATEWAY: &str = "host-gateway";
/// Every hosts file begins so.
const LOCALHOST: &str = "127.0.0.1 localhost
::1 localhost
::1 ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
ff02::3 ip6-allhosts
";

/// What an allocation's job says of names.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// `extra_hosts` of every task.
    pub(super) extra_hosts: Vec<String>,
    /// The group's `dns` block; an empty list takes the machine's.
    pub(super) dns: Dns,
}

/// Writes the files. `is_new`: the network was made or changed, so that `hosts` has to be written again.
pub(super) fn write(
    config: &AgentConfig,
    alloc: &str,
    network: &Network,
    wanted: &Wanted,
    is_new: bool,
) -> Result<(), String> {
    let name = name_of(network);
    let failed = |error: io::Error| format!("cannot write the allocation's hosts and resolv.conf: {error}");
    let etc = dir::etc(config, alloc).map_err(failed)?;
    if is_new || !etc.exists("hosts") {
        let hosts = hosts(network, name.as_deref().unwrap_or(&machine::hostname()), &wanted.extra_hosts)?;
        put(&etc, "hosts", &hosts).map_err(failed)?;
    }
    if let Some(name) = &name {
        put(&etc, "hostname", &format!("{name}\n")).map_err(failed)?;
    }
    let of_machine = machines_dns(network.address_ipv6.is_some(), read);
    let dns = merged(&wanted.dns, merged(network.dns.as_ref().unwrap_or(&Dns::default()), of_machine));
    if dns.servers.is_empty() {
        tracing::warn!(alloc, "its tasks can resolve no names: {}", unreachable_resolver());
    }
    put(&etc, "resolv.conf", &resolv_conf(&dns)).map_err(failed)
}

/// Writes in place, so that whoever has the file mounted sees it.
fn put(etc: &Dir, name: &str, text: &str) -> io::Result<()> {
    if etc.read_to_string(name).is_ok_and(|before| before == text) {
        return Ok(());
    }
    etc.write(name, text)?;
    etc.set_permissions(name, Permissions::from_mode(0o644))
}

/// The host name that tasks see: the job's, or as containers have it the beginning of the holder's id. None: the
/// machine's.
fn name_of(network: &Network) -> Option<String> {
    let of_holder = match &network.holder {
        Some(Holder::Container(id)) => id.get(..12).map(str::to_owned),
        _ => None,
    };
    network.hostname.clone().or(of_holder)
}

fn hosts(network: &Network, name: &str, extra: &[String]) -> Result<String, String> {
    let own = [&network.address, &network.address_ipv6].into_iter().flatten();
    let mut text = own.fold(LOCALHOST.to_owned(), |text, address| format!("{text}{address} {name}\n"));
    if network.address.is_none() && network.address_ipv6.is_none() {
        text += &format!("127.0.0.1 {name}\n");
    }
    for entry in extra {
        let address = match extra_host(entry)? {
            (name, Some(address)) => format!("{address} {name}\n"),
            (name, None) => {
                let gateway = network.gateway.as_ref().ok_or_else(|| {
                    format!("hosts entry {entry:?}: this network does not reach the machine, so it has no gateway")
                })?;
                format!("{gateway} {name}\n")
            }
        };
        text += &address;
    }
    Ok(text)
}

/// An entry of `extra_hosts`, `name:address`; no address for this machine's.
pub(crate) fn extra_host(entry: &str) -> Result<(&str, Option<IpAddr>), String> {
    let (name, address) = entry.split_once(':').ok_or_else(|| format!("invalid hosts entry {entry:?}"))?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("invalid hosts entry {entry:?}"));
    }
    if address == HOST_GATEWAY {
        return Ok((name, None));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().map_err(|_| {
        format!("invalid IP address {address:?} in hosts entry {entry:?}; {HOST_GATEWAY} stands for this machine's")
    })?;
    Ok((name, Some(address)))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// What keeps allocations from resolving names unless their jobs have a `dns` block.
pub(crate) fn obstacle() -> Option<Obstacle> {
    machines_dns(true, read).servers.is_empty().then(unreachable_resolver)
}

fn unreachable_resolver() -> Obstacle {
    Obstacle {
        problem: "this machine's resolver listens on loopback only, which no namespace reaches".into(),
        remedy: "set `servers` in a `dns` block of the group's network".into(),
    }
}

/// The machine's settings with those servers that can be reached from inside; `read` reads a file.
fn machines_dns(ipv6: bool, read: impl Fn(&str) -> Option<String>) -> Dns {
    let found: Vec<Dns> = RESOLVERS.iter().filter_map(|path| read(path)).map(|text| parse(&text, ipv6)).collect();
    let useful = found.iter().find(|dns| !dns.servers.is_empty()).or(found.first());
    useful.cloned().unwrap_or_default()
}

/// Whether a machine's name server can be asked from inside a namespace.
fn is_reachable(server: &str, ipv6: bool) -> bool {
    match server.parse() {
        Ok(IpAddr::V4(four)) => !four.is_loopback() && !four.is_unspecified(),
        // Addresses of one link do not parse: they end in `%eth0`.
        Ok(IpAddr::V6(six)) => ipv6 && !six.is_loopback() && !six.is_unspecified() && !six.is_unicast_link_local(),
        Err(_) => false,
    }
}

/// Reads a resolv.conf (`man 5 resolv.conf`): the last `search` or `domain` counts.
fn parse(text: &str, ipv6: bool) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => dns.servers.extend(words.next().filter(|server| is_reachable(server, ipv6))),
            Some("search" | "domain") => dns.searches = words.filter(|domain| domain != ".").collect(),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    dns
}

fn merged(wanted: &Dns, machine: Dns) -> Dns {
    let or = |wanted: &Vec<String>, machine| if wanted.is_empty() { machine } else { wanted.clone() };
    Dns {
        servers: or(&wanted.servers, machine.servers),
        searches: or(&wanted.searches, machine.searches),
        options: or(&wanted.options, machine.options),
    }
}

fn resolv_conf(dns: &Dns) -> String {
    let mut text: String = dns.servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    for (keyword, words) in [("search", &dns.searches), ("options", &dns.options)] {
        if !words.is_empty() {
            text += &format!("{keyword} {}\n", words.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn network() -> Network {
        Network {
            id: "a".into(),
            mode: "bridge".into(),
            namespace_path: None,
            holder: Some(Holder::Pinned),
            interface_name: None,
            address: Some("172.26.64.5".into()),
            address_ipv6: Some("fd00::5".into()),
            gateway: Some("172.26.64.1".into()),
            hostname: None,
            ports: vec![],
            dns: None,
        }
    }

    #[test]
    fn hosts_name_the_allocation_and_what_every_task_adds() {
        let extra = ["db:192.0.2.7", "me:host-gateway", "six:fd00::9", "seven:[fd00::7]"].map(String::from);
        let text = hosts(&network(), "web", &extra).unwrap();
        let added = text.strip_prefix(LOCALHOST).unwrap();
        assert_eq!(added, "172.26.64.5 web\nfd00::5 web\n192.0.2.7 db\n172.26.64.1 me\nfd00::9 six\nfd00::7 seven\n");
        let alone = Network { address: None, address_ipv6: None, gateway: None, ..network() };
        assert!(hosts(&alone, "web", &[]).unwrap().ends_with("\n127.0.0.1 web\n"));
        assert!(hosts(&alone, "web", &extra[1..2]).unwrap_err().contains("does not reach the machine"));
    }

    #[test]
    fn entries_that_are_none() {
        for (entry, why) in [
            ("db", "invalid hosts entry \"db\""),
            (":10.0.0.1", "invalid hosts entry"),
            ("a b:10.0.0.1", "invalid hosts entry"),
            ("db:", "invalid IP address \"\""),
            ("db:host-gatewy", "invalid IP address \"host-gatewy\""),
            ("db:10.0.0.256", "invalid IP address"),
        ] {
            let said = extra_host(entry).unwrap_err();
            assert!(said.contains(why), "{entry}: {said}");
        }
    }

    #[test]
    fn names_inside() {
        let held = Network { holder: Some(Holder::Container("0123456789abcdef".into())), ..network() };
        assert_eq!(name_of(&held).as_deref(), Some("0123456789ab"));
        assert_eq!(name_of(&Network { hostname: Some("web".into()), ..held }).as_deref(), Some("web"));
        assert_eq!(name_of(&network()), None);
    }

    /// What is asked on a machine whose files are these.
    fn asked(files: &[(usize, &str)], ipv6: bool) -> String {
        let files: BTreeMap<_, _> =
            files.iter().map(|(number, text)| (RESOLVERS[*number], (*text).to_owned())).collect();
        resolv_conf(&machines_dns(ipv6, |path| files.get(path).cloned()))
    }

    #[test]
    fn no_resolver_on_loopback_is_handed_on() {
        let stub = "# stub\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n";
        let real = "nameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver 2001:db8::53\nsearch example.test\n";
        for (files, ipv6, expected) in [
            (
                &[(0, "nameserver 192.0.2.1 # x\noptions ndots:2\noptions rotate\n")][..],
                false,
                "nameserver 192.0.2.1\noptions ndots:2 rotate\n",
            ),
            (&[(0, stub), (1, real)], false, "nameserver 192.0.2.53\nsearch example.test\n"),
            (&[(0, stub), (1, real)], true, "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch example.test\n"),
            (
                &[(0, "nameserver ::1\nnameserver 127.0.0.1\n"), (2, "nameserver 192.0.2.9\n")],
                true,
                "nameserver 192.0.2.9\n",
            ),
            (&[(0, "nameserver 127.0.0.1\nnameserver 192.0.2.2\n"), (1, real)], false, "nameserver 192.0.2.2\n"),
            (&[(0, stub)], false, "options edns0 trust-ad\n"),
            (&[], false, ""),
            (
                &[(0, "domain a.test\nsearch b.test c.test\nnonsense\nnameserver\nnameserver x\n")],
                false,
                "search b.test c.test\n",
            ),
        ] {
            assert_eq!(asked(files, ipv6), expected, "{files:?}");
        }
    }

    #[test]
    fn the_group_says_more_than_the_machine() {
        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let machine = Dns { servers: list(&["192.0.2.1"]), searches: list(&["a.test"]), options: list(&["rotate"]) };
        // A server of the group's own may well be on its loopback.
        let wanted = Dns { servers: list(&["127.0.0.1"]), ..Dns::default() };
        let text = resolv_conf(&merged(&wanted, machine));
        assert_eq!(text, "nameserver 127.0.0.1\nsearch a.test\noptions rotate\n");
    }
}
