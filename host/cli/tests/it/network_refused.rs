//! Networks that cannot be, and what people are told of them.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    harness::{PROGRAM, Station, eventually, fetch, run},
    network::{Net, mixed, page, pin, traces},
};

#[test]
fn what_cannot_be_is_refused_at_submission() {
    let net = Net::start(4);
    // Somebody has the name of the bridge.
    run("ip", &["link", "add", &net.bridge, "type", "veth", "peer", "name", &format!("{}x", &net.bridge)]).ok();
    let job = |text: &str| net.station.job("wrong", text);
    let refused = |path: &str| {
        let ran = net.station.cli(&["job", "run", path]);
        assert_ne!(ran.code, 0);
        format!("{}{}", ran.out, ran.err)
    };
    let cni = refused(&job(&page("wrong", "cni/mine")));
    assert!(cni.contains("no CNI network config found in /opt/cni/config"), "{cni}");
    let hostname = page("wrong", "bridge").replace("mode = \"bridge\"", "mode = \"bridge\"\nhostname = \"x\"");
    let said = refused(&job(&hostname));
    assert!(said.contains("hostname is not currently supported on driver raw_exec"), "{said}");
    let escaping = mixed("web:1").replace("command = \"sh\"", "command = \"sh\"\nnetwork_mode = \"host\"");
    let said = refused(&job(&escaping));
    assert!(said.contains("would take task web out of its group's network"), "{said}");
    let said = refused(&job(&page("wrong", "bridge")));
    assert!(said.contains("is taken by a veth"), "{said}");
    run("ip", &["link", "delete", &net.bridge]).ok();
    // Somebody has addresses of the bridge's subnet.
    let guest = format!("{}g", &net.bridge);
    run("ip", &["link", "add", &guest, "type", "veth", "peer", "name", &format!("{}x", &net.bridge)]).ok();
    run("ip", &["addr", "add", "10.213.4.129/28", "dev", &guest]).ok();
    run("ip", &["link", "set", &guest, "up"]).ok();
    let said = refused(&job(&page("wrong", "bridge")));
    run("ip", &["link", "delete", &guest]).ok();
    assert!(said.contains("10.213.4.0/24 of the bridge overlaps 10.213.4.128/28") && said.contains(&guest), "{said}");
    assert!(net.station.directories().is_empty() && traces(&net.bridge).is_empty(), "{:?}", traces(&net.bridge));
}

/// Who can only be refused when it is tried: one clear error, and nothing is left.
#[test]
fn what_cannot_be_made_leaves_nothing() {
    let files = tempfile::tempdir().unwrap();
    let dir = files.path().display();
    let mut net = Net::prepare_with(11, &format!("  cni_config_dir = \"{dir}\"\n  cni_path = \"{dir}\"\n"));
    for (name, script) in [("junk", "echo what is that"), ("dies", "echo out of luck >&2; exit 3")] {
        let file = files.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (name, text) in [
        ("junk", r#"{"cniVersion": "1.0.0", "name": "junk", "plugins": [{"type": "junk"}]}"#),
        ("dies", r#"{"cniVersion": "1.0.0", "name": "dies", "plugins": [{"type": "dies"}]}"#),
        ("absent", r#"{"cniVersion": "1.0.0", "name": "absent", "plugins": [{"type": "nowhere"}]}"#),
        ("torn", r#"{"cniVersion": "1.0.0", "name": }"#),
    ] {
        fs::write(files.path().join(format!("{name}.conflist")), text).unwrap();
    }
    // A subnet with five addresses for six allocations.
    let config = fs::read_to_string(net.station.path("agent.hcl")).unwrap();
    fs::write(net.station.path("agent.hcl"), config.replace("10.213.11.0/24", "10.213.11.0/29")).unwrap();
    net.station.launch();
    for (mode, why) in [
        ("cni/junk", "CNI plugin \"junk\": ADD: it answered what is no result: \"what is that\""),
        ("cni/dies", "CNI plugin \"dies\": ADD: it ended with exit status: 3: \"out of luck\""),
        ("cni/absent", "CNI plugin \"nowhere\" is not in"),
        ("cni/torn", "torn.conflist: no JSON: expected value at line 1 column 33"),
        ("cni/other", "CNI network config not found for name \"other\""),
        ("bridge", "all 5 addresses of the bridge's subnet 10.213.11.0/29 are taken; widen bridge_network_subnet"),
    ] {
        let text = page("wrong", mode)
            .replace("group \"g\" {", "group \"g\" {\n    count = 6\n    restart {\n      attempts = 0\n    }");
        let ran = net.station.cli(&["job", "run", &net.station.job("wrong", &text)]);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(ran.code != 0 && said.contains(why), "{mode}: {said}");
        let allocs = net.station.get("/v1/allocations");
        let ids: Vec<_> = allocs.as_array().unwrap().iter().map(|alloc| alloc["ID"].as_str().unwrap()).collect();
        net.station.cli(&["job", "stop", "--purge", "wrong"]);
        eventually("nothing is left", || {
            let ports = net.station.get("/v1/ports").as_array().unwrap().len();
            let pins = ids.iter().filter(|id| pin(id).exists()).count();
            (ports + pins + net.station.directories().len() == 0).then_some(())
        });
    }
    net.station.end();
    assert_eq!(traces(&net.bridge), Vec::<String>::new());
}

#[test]
fn more_ports_than_there_are_are_refused_together() {
    let station = Station::with("ports {\n  min_dynamic_port = 28400\n  max_dynamic_port = 28402\n}\n", &["--dev"]);
    let many: String = (0..4).map(|number| format!("port \"p{number}\" {{}}\n")).collect();
    let text = page("many", "host").replace("port \"same\"", &format!("{many}\nport \"same\""));
    let ran = station.cli(&["job", "run", &station.job("many", &text)]);
    assert!(ran.code != 0 && ran.err.contains("no dynamic port from 28400 to 28402 is free"), "{}{}", ran.out, ran.err);
    // None of them is held any more.
    assert_eq!(station.get("/v1/ports").as_array().unwrap().len(), 0);
    for number in 28400..=28402 {
        std::net::TcpListener::bind(("0.0.0.0", number)).unwrap();
    }
    assert!(station.directories().is_empty());
}

#[test]
fn without_privilege_only_the_hosts_network_is_there() {
    let mut station = Station::prepare("", &["--dev"]);
    let program = station.path("longshore");
    fs::copy(PROGRAM, &program).unwrap();
    run("chown", &["-R", "65534:65534", station.path("").to_str().unwrap()]).ok();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    command.args(station.agent_command().get_args());
    station.launch_as(command);
    for mode in ["bridge", "none"] {
        let ran = station.cli(&["job", "run", &station.job("alone", &page("alone", mode))]);
        assert_ne!(ran.code, 0);
        for part in ["need CAP_NET_ADMIN and CAP_SYS_ADMIN", "run it as root"] {
            assert!(ran.err.contains(part), "{mode}: {part} in {}{}", ran.out, ran.err);
        }
    }
    let told = station.cli(&["network", "check"]);
    assert!(told.code == 1 && told.out.contains("CAP_NET_ADMIN"), "{}{}", told.out, told.err);
    let plain = page("plain", "host").replace("-p 8080", "-p $NOMAD_PORT_same");
    let alloc = station.run_job("plain", &plain);
    assert_eq!(fetch(&station.address(&alloc, "same")), format!("served by {alloc}\n"));
    station.cli(&["job", "stop", "plain"]).ok();
}
