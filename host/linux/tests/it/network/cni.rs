//! Networks made by CNI plugins: Debian's, and some that misbehave.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use longshore_core::{
    caller::AllocId,
    error::HostError,
    network::{Network, NetworkPlan, Networks},
};
use longshore_linux::network::{CniSettings, KernelNetworks};
use tempfile::TempDir;

use super::world::{World, alloc_id, ip, plan, reached, serve};

/// A machine with a directory for configurations, plugins of the test's own and records.
fn machine() -> (World, TempDir) {
    let (mut world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("plugins")).unwrap();
    world.settings.cni = CniSettings {
        config_dir: path("config"),
        path: vec![path("plugins"), "/usr/lib/cni".into()],
        state_dir: path("state"),
        timeout: Duration::from_secs(20),
    };
    fs::create_dir(path("config")).unwrap();
    (world, dir)
}

/// Writes a plugin of the test's own.
fn plugin(dir: &TempDir, name: &str, script: &str) {
    let file = dir.path().join("plugins").join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn list(dir: &TempDir, plugins: &str) {
    let text = format!(r#"{{"cniVersion": "1.0.0", "name": "mine", "plugins": [{plugins}]}}"#);
    fs::write(dir.path().join("config/10-mine.conflist"), text).unwrap();
}

fn planned(alloc: &str) -> NetworkPlan {
    NetworkPlan { mode: "cni/mine".into(), ..plan(alloc, &[(20_080, 80)]) }
}

fn create(world: &World, networks: &KernelNetworks, plan: &NetworkPlan) -> Result<Network, HostError> {
    world.on_machine(async || networks.create(plan).await)
}

/// Nothing of an allocation is there.
#[track_caller]
fn gone(dir: &TempDir, alloc: &str) {
    assert!(!Path::new("/run/netns").join(alloc).exists(), "the namespace is pinned");
    let records = fs::read_dir(dir.path().join("state")).map_or(0, |entries| entries.count());
    assert_eq!(records, 0, "a record is left");
}

/// What Nomad has its plugins make.
fn usual(dir: &TempDir) {
    let ipam = dir.path().join("ipam");
    let plugins = format!(
        r#"{{"type": "bridge", "bridge": "cni7", "isGateway": true, "ipMasq": true, "hairpinMode": true,
             "ipam": {{"type": "host-local", "dataDir": "{}", "ranges": [[{{"subnet": "10.78.0.0/24"}}]],
                       "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
           {{"type": "firewall", "backend": "iptables"}},
           {{"type": "portmap", "capabilities": {{"portMappings": true}}, "snat": true}}"#,
        ipam.display()
    );
    list(dir, &plugins);
}

#[test]
fn real_plugins_make_keep_and_remove_a_network() {
    let (world, dir) = machine();
    usual(&dir);
    world.run(&["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
    let networks = world.networks();
    assert_eq!(world.on_machine(async || networks.ready("cni/mine").await), Ok(()));
    let alloc = alloc_id();
    let made = create(&world, &networks, &planned(&alloc)).unwrap();
    assert_eq!(made.interface_name.as_deref(), Some("eth0"));
    assert_eq!((made.address.as_deref(), made.gateway.as_deref()), (Some("10.78.0.2"), Some("10.78.0.1")));
    assert!(ip(&["-n", &alloc, "-o", "-4", "addr", "show", "eth0"]).contains("10.78.0.2/24"));
    serve(&alloc, "0.0.0.0:80");
    reached(&world.outside, "192.0.2.1:20080");

    // Another agent finds it, whatever became of the file.
    drop(networks);
    fs::remove_file(dir.path().join("config/10-mine.conflist")).unwrap();
    let networks = world.networks();
    let known = NetworkPlan { before: Some(made.clone()), ..planned(&alloc) };
    let found = world.on_machine(async || networks.reconcile(std::slice::from_ref(&known)).await).pop().unwrap();
    assert_eq!(found, Ok(made.clone()));
    reached(&world.outside, "192.0.2.1:20080");

    world.on_machine(async || networks.destroy(&AllocId(alloc.clone())).await).unwrap();
    world.on_machine(async || networks.destroy(&AllocId(alloc.clone())).await).unwrap();
    gone(&dir, &alloc);
    assert!(!world.run(&["iptables-save"]).contains(&alloc));
    let leases = fs::read_dir(dir.path().join("ipam/mine")).unwrap();
    let leases: Vec<_> =
        leases.map(|entry| entry.unwrap().file_name()).filter(|name| name.as_encoded_bytes()[0] == b'1').collect();
    assert!(leases.is_empty(), "{leases:?}");
}

#[test]
fn what_nobody_knows_is_taken_down() {
    let (world, dir) = machine();
    usual(&dir);
    let networks = world.networks();
    let alloc = alloc_id();
    create(&world, &networks, &planned(&alloc)).unwrap();
    drop(networks);
    let networks = world.networks();
    assert_eq!(world.on_machine(async || networks.reconcile(&[]).await), []);
    gone(&dir, &alloc);
    assert!(!world.run(&["iptables-save"]).contains(&alloc));
}

/// A plugin that answers as it should, and writes down what it was given.
fn recorder(dir: &TempDir) -> String {
    let seen = dir.path().join("seen");
    let answer = r#"{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/n"}],
        "ips": [{"address": "10.1.2.3/24", "interface": 0}], "dns": {"nameservers": ["10.1.2.1"]}}"#;
    format!(
        "{{ env | grep ^CNI_ | sort; cat; echo; }} >> {}\n[ $CNI_COMMAND = ADD ] && echo '{answer}'\nexit 0",
        seen.display()
    )
}

#[test]
fn plugins_are_told_all_they_need() {
    let (world, dir) = machine();
    plugin(&dir, "recorder", &recorder(&dir));
    list(&dir, r#"{"type": "recorder"}, {"type": "recorder", "capabilities": {"portMappings": true}}"#);
    let networks = world.networks();
    let alloc = alloc_id();
    let args = [("KEY", "value"), ("BAD", "a;b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let made = create(&world, &networks, &NetworkPlan { cni_args: args.into(), ..planned(&alloc) }).unwrap();
    assert_eq!(made.dns.unwrap().servers, ["10.1.2.1"]);
    world.on_machine(async || networks.destroy(&AllocId(alloc.clone())).await).unwrap();
    let seen = fs::read_to_string(dir.path().join("seen")).unwrap();
    let commands: Vec<_> = seen.lines().filter_map(|line| line.strip_prefix("CNI_COMMAND=")).collect();
    assert_eq!(commands, ["ADD", "ADD", "DEL", "DEL"]);
    for line in [
        "CNI_ARGS=IgnoreUnknown=true;KEY=value",
        &format!("CNI_CONTAINERID={alloc}"),
        "CNI_IFNAME=eth0",
        &format!("CNI_NETNS=/run/netns/{alloc}"),
        &format!("CNI_PATH={}:/usr/lib/cni", dir.path().join("plugins").display()),
    ] {
        assert!(seen.lines().any(|other| other == line), "{line} in\n{seen}");
    }
    let inputs: Vec<serde_json::Value> =
        seen.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(inputs[0].get("prevResult"), None);
    let mapping = serde_json::json!({"hostPort": 20_080, "containerPort": 80, "protocol": "tcp"});
    assert_eq!(inputs[1]["runtimeConfig"]["portMappings"][0], mapping);
    for input in &inputs[1..] {
        assert_eq!(input["prevResult"]["ips"][0]["address"], "10.1.2.3/24");
    }
    gone(&dir, &alloc);
}

/// The job says by an argument what a plugin asks for by a capability.
#[test]
fn real_plugins_get_what_they_ask_for() {
    let (world, dir) = machine();
    list(
        &dir,
        r#"{"type": "bridge", "bridge": "cni8", "capabilities": {"ips": true, "mac": true}, "ipam": {"type": "static"}},
           {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}},
           {"type": "bandwidth", "capabilities": {"bandwidth": true}}"#,
    );
    let networks = world.networks();
    let alloc = alloc_id();
    let limits = r#"{"ingressRate": 8000000, "ingressBurst": 800000, "egressRate": 0, "egressBurst": 0}"#;
    let args = [("ips", r#"["10.79.0.77/24", "fd79::77/64"]"#), ("mac", "02:00:00:00:00:77"), ("bandwidth", limits)];
    let args = args.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let made = create(&world, &networks, &NetworkPlan { cni_args: args.into(), ..planned(&alloc) }).unwrap();
    assert_eq!((made.address.as_deref(), made.address_ipv6.as_deref()), (Some("10.79.0.77"), Some("fd79::77")));
    let link = ip(&["-n", &alloc, "-o", "link", "show", "eth0"]);
    assert!(link.contains("02:00:00:00:00:77"), "{link}");
    let limited = world.run(&["tc", "qdisc", "show"]);
    assert!(limited.contains("tbf") && limited.contains("rate 8Mbit"), "{limited}");
    assert_eq!(ip(&["netns", "exec", &alloc, "cat", "/proc/sys/net/core/somaxconn"]), "500\n");
    world.on_machine(async || networks.destroy(&AllocId(alloc.clone())).await).unwrap();
    gone(&dir, &alloc);
}

/// CHECK of a plugin that tells a version to be believed.
#[test]
fn a_network_that_fails_its_check_is_made_anew() {
    let (world, dir) = machine();
    let checked = dir.path().join("checked");
    let answer =
        r#"{"interfaces": [{"name": "eth0", "sandbox": "/n"}], "ips": [{"address": "10.1.2.3/24", "interface": 0}]}"#;
    let script = format!(
        "[ -z $CNI_COMMAND ] && {{ echo CNI judge plugin v1.3.0; exit 0; }}\n\
         echo $CNI_COMMAND >> {0}\ninside=\"ip -n $(basename $CNI_NETNS)\"\n\
         case $CNI_COMMAND in\n\
         ADD) $inside link add eth0 type bridge && $inside addr add 10.1.2.3/24 dev eth0 && echo '{answer}' ;;\n\
         CHECK) [ -e {0}-bad ] && {{ rm {0}-bad; exit 1; }} ;;\n\
         DEL) $inside link delete eth0 ;;\nesac\nexit 0",
        checked.display()
    );
    plugin(&dir, "judge", &script);
    // A list of an older version, or one that does not want it, is not checked.
    for (version, more, expected) in [
        ("1.0.0", "", &["ADD", "CHECK", "CHECK", "DEL", "ADD", "DEL"][..]),
        ("1.0.0", r#""disableCheck": true, "#, &["ADD", "DEL"]),
        ("0.3.1", "", &["ADD", "DEL"]),
    ] {
        let text = format!(r#"{{"cniVersion": "{version}", {more}"name": "mine", "plugins": [{{"type": "judge"}}]}}"#);
        fs::write(dir.path().join("config/10-mine.conflist"), text).unwrap();
        let networks = world.networks();
        let alloc = alloc_id();
        let known = planned(&alloc);
        create(&world, &networks, &known).unwrap();
        create(&world, &networks, &known).unwrap();
        fs::write(dir.path().join("checked-bad"), "").unwrap();
        create(&world, &networks, &known).unwrap();
        world.on_machine(async || networks.destroy(&AllocId(alloc.clone())).await).unwrap();
        let commands = fs::read_to_string(&checked).unwrap();
        assert_eq!(commands.split_whitespace().collect::<Vec<_>>(), expected, "{version} {more}");
        fs::remove_file(&checked).unwrap();
        gone(&dir, &alloc);
    }
}

#[test]
fn what_goes_wrong_is_one_clear_error_and_leaves_nothing() {
    let (mut world, dir) = machine();
    world.settings.cni.timeout = Duration::from_millis(500);
    let refusal = serde_json::json!({"cniVersion": "1.0.0", "code": 11, "msg": "no room", "details": "at all"});
    let on_add = |script: &str| format!("[ $CNI_COMMAND = ADD ] || exit 0\n{script}");
    plugin(&dir, "junk", &on_add("echo what is that"));
    plugin(&dir, "hangs", &on_add("sleep 1234 & sleep 1234"));
    plugin(&dir, "refuses", &on_add(&format!("echo '{refusal}'; exit 1")));
    plugin(&dir, "dies", &on_add("echo out of luck >&2; exit 3"));
    plugin(&dir, "silent", "exit 0");
    plugin(&dir, "empty", &on_add("echo '{}'"));
    for (plugin, why) in [
        ("junk", "CNI plugin \"junk\": ADD: it answered what is no result: \"what is that\""),
        ("hangs", "CNI plugin \"hangs\": ADD had not ended after 0.5 s"),
        ("refuses", "CNI plugin \"refuses\": ADD: no room: at all"),
        ("dies", "CNI plugin \"dies\": ADD: it ended with exit status: 3: \"out of luck\""),
        ("silent", "CNI plugin \"silent\" answered ADD with nothing"),
        ("empty", "failed to configure network: no interfaces found"),
    ] {
        list(&dir, &format!(r#"{{"type": "{plugin}"}}"#));
        let networks = world.networks();
        let alloc = alloc_id();
        let said = create(&world, &networks, &planned(&alloc)).unwrap_err().to_string();
        assert!(said.contains(why) && said.contains("failed to configure network"), "{plugin}: {said}");
        assert!(said.matches("timed out").count() <= 1, "{said}");
        gone(&dir, &alloc);
    }
    let sleeping = world.run(&["sh", "-c", "ps -eo args | grep '[s]leep 1234' || true"]);
    assert_eq!(sleeping, "", "what a plugin started is left");

    let ready = |plugins: &str| {
        list(&dir, plugins);
        let networks = world.networks();
        world.on_machine(async || networks.ready("cni/mine").await).unwrap_err().to_string()
    };
    let absent = ready(r#"{"type": "nowhere"}"#);
    assert!(absent.contains("CNI plugin \"nowhere\" is not in") && absent.contains("(cni_path)"), "{absent}");
    let torn = ready(r#"{"type": "#);
    assert!(torn.contains("not found for name \"mine\"") && torn.contains("10-mine.conflist: no JSON"), "{torn}");
}
