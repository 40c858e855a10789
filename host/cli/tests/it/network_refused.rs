//! Networks that cannot be, and what people are told of them.

use std::fs;

use crate::{
    harness::{PROGRAM, Station, fetch, run},
    network::{Net, mixed, page},
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
