//! Being let through: the kernel's switches, and other people's firewalls.

use std::fs;

use ipnet::IpNet;
use longshore_core::{error::Result, network::Obstacle};
use rustix::io;

use super::{
    netlink::Socket,
    nft::{Chain, Hook, Known, Rule, Ruleset, Transaction, Verdict, table_family},
    rules::Scope,
};
use crate::failure::because;

/// Docker's chain for rules of others. Docker sets the policy of forwarding to drop, and a drop anywhere wins over
/// our accepting, so the accepting has to happen there.
const DOCKER_CHAIN: &str = "DOCKER-USER";
const DOCKER_TABLE: &str = "filter";

/// Turns on what forwarding by a bridge needs.
pub(super) fn switch_on(scope: &Scope, bridge: &str) -> Result<()> {
    let set = |name: String| {
        let path = format!("/proc/sys/net/{name}");
        let is_on = fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1");
        if is_on { Ok(()) } else { fs::write(&path, "1").map_err(because(format_args!("sysctl {path}"))) }
    };
    set("ipv4/ip_forward".into())?;
    // Lets the host reach an allocation from 127.0.0.1; the chain `guard` keeps the way back shut.
    set(format!("ipv4/conf/{bridge}/route_localnet"))?;
    if scope.subnets.six.is_some() {
        set("ipv6/conf/all/forwarding".into())?;
    }
    Ok(())
}

/// Adds to a transaction what Docker's chain lacks of our rules. Only expressions that `iptables` can print: at one
/// it cannot, Docker forgets to jump to the chain.
pub(super) fn pass_docker(socket: &mut Socket, scope: &Scope, transaction: &mut Transaction) -> io::Result<()> {
    let chains = socket.chains()?;
    for net in scope.subnets.iter() {
        let family = family_of(net);
        if !has_docker(&chains, family) {
            continue;
        }
        let rules = socket.rules(family, DOCKER_TABLE)?;
        let has = |comment: &String| rules.iter().any(|rule| rule.chain == DOCKER_CHAIN && rule.comment == *comment);
        for (comment, rule) in accepting(scope, net) {
            if !has(&comment) {
                transaction.first_rule(family, DOCKER_TABLE, DOCKER_CHAIN, &comment, rule);
            }
        }
    }
    Ok(())
}

/// Removes our rules from Docker's chain.
pub(super) fn leave_docker(socket: &mut Socket, scope: &Scope, transaction: &mut Transaction) -> io::Result<()> {
    for net in scope.subnets.iter() {
        let family = family_of(net);
        let comments: Vec<_> = accepting(scope, net).map(|(comment, _)| comment).collect();
        for rule in socket.rules(family, DOCKER_TABLE)? {
            if rule.chain == DOCKER_CHAIN && comments.contains(&rule.comment) {
                transaction.delete_rule(family, DOCKER_TABLE, DOCKER_CHAIN, rule.handle);
            }
        }
    }
    Ok(())
}

/// Chains that drop forwarded packets and that we do not get past.
pub(super) fn obstacles(socket: &mut Socket, scope: &Scope) -> io::Result<Vec<Obstacle>> {
    let chains = socket.chains()?;
    let dropping = chains.iter().filter(|chain| chain.hook == Some(Hook::FORWARD) && chain.drops);
    let ours = |chain: &&Chain| chain.table == scope.table;
    let passed = |chain: &&Chain| chain.table == DOCKER_TABLE && has_docker(&chains, chain.family);
    let concerns = |chain: &&Chain| match chain.family {
        table_family::IPV4 | table_family::INET => true,
        table_family::IPV6 => scope.subnets.six.is_some(),
        _ => false,
    };
    let others: Vec<_> = dropping.filter(|chain| concerns(chain) && !ours(chain) && !passed(chain)).collect();
    let mut in_the_way = Vec::new();
    for chain in others {
        if !lets_pass(&socket.rules(chain.family, &chain.table)?, chain, scope) {
            in_the_way.push(chain);
        }
    }
    let told = in_the_way.into_iter().map(|chain| {
        let family = match chain.family {
            table_family::IPV4 => "ip",
            table_family::IPV6 => "ip6",
            _ => "inet",
        };
        let (table, name) = (&chain.table, &chain.name);
        // Further bridges have its name and a number.
        let bridge = match scope.subnets.segments() {
            1 => scope.bridge.clone(),
            _ => format!("\"{}*\"", scope.bridge),
        };
        let accept = |direction: &str| format!("nft insert rule {family} {table} {name} {direction} {bridge} accept");
        Obstacle {
            problem: format!("the firewall's chain {family} {table} {name} drops forwarded packets, the bridge's too"),
            remedy: format!("{}; {}", accept("iifname"), accept("oifname")),
        }
    });
    Ok(told.collect())
}

/// Whether somebody has followed the advice: what comes and leaves by the bridges, all there may be, is let pass.
fn lets_pass(rules: &[Known], chain: &Chain, scope: &Scope) -> bool {
    let accepted: Vec<_> =
        rules.iter().filter(|rule| rule.chain == chain.name).filter_map(|rule| rule.accepts.as_ref()).collect();
    let passes = |bridge: &str, incoming| accepted.iter().any(|way| way.incoming == incoming && way.is_of(bridge));
    let mut bridges = (0..scope.subnets.segments()).map(|number| scope.bridge_of(number));
    bridges.all(|bridge| passes(&bridge, true) && passes(&bridge, false))
}

fn has_docker(chains: &[Chain], family: u8) -> bool {
    chains.iter().any(|chain| chain.family == family && chain.table == DOCKER_TABLE && chain.name == DOCKER_CHAIN)
}

/// Rules for each bridge, with their comments.
fn accepting(scope: &Scope, net: IpNet) -> impl Iterator<Item = (String, Rule)> {
    let rules = move |bridge: &String| {
        let to = Rule::new().leaving_by(bridge).destined_in_family(net);
        [
            (format!("longshore_{bridge}: from"), Rule::new().coming_by(bridge).count().verdict(Verdict::Accept)),
            (format!("longshore_{bridge}: to"), to.count().verdict(Verdict::Accept)),
        ]
    };
    scope.bridges.iter().flat_map(rules)
}

fn family_of(net: IpNet) -> u8 {
    if net.addr().is_ipv4() { table_family::IPV4 } else { table_family::IPV6 }
}
