//! Groups with a network of their own, as people use them: bridge and none, processes and containers together, found
//! again after the agent was killed. Each test has a bridge and a subnet of its own on this machine; what they look
//! at from outside they look at with `ip`, `nsenter`, `nft`, `docker` and `curl`.

use std::fs;

use crate::{
    docker::Image,
    harness::{Station, answers, eventually, fetch, run},
};

/// An agent whose bridge no other test has. Removed with it.
pub struct Net {
    pub station: Station,
    pub bridge: String,
    // Behind the station, so that no agent is left to repair what is removed.
    _traces: Traces,
}

/// What the networks of one bridge could leave on this machine. Dropped, it is gone, and if a test has gone well it has to
/// be gone before that.
struct Traces(String);

impl Net {
    pub fn start(number: u8) -> Self {
        let mut net = Self::prepare(number);
        net.station.launch();
        net
    }

    /// Everything but the agent.
    pub fn prepare(number: u8) -> Self {
        Self::prepare_with(number, "")
    }

    /// The same with further lines of its `network` block.
    pub fn prepare_with(number: u8, lines: &str) -> Self {
        Self::configured(number, lines, "")
    }

    /// The same with further blocks of the configuration.
    pub fn configured(number: u8, lines: &str, blocks: &str) -> Self {
        let bridge = format!("lsit{number}-{}", std::process::id() % 100_000);
        let config = format!(
            "network {{\n  bridge_network_name = {bridge:?}\n  bridge_network_subnet = \"10.213.{number}.0/24\"\n{lines}}}\n{blocks}"
        );
        Self { station: Station::prepare(&config, &["--dev"]), _traces: Traces(bridge.clone()), bridge }
    }

    pub fn table(&self) -> String {
        run("nft", &["list", "table", "inet", &format!("longshore_{}", self.bridge)]).ok()
    }

    fn ports_of_bridge(&self) -> usize {
        run("ip", &["-o", "link", "show", "master", &self.bridge]).ok().lines().count()
    }

    /// Stops a job and waits until the allocation is over.
    pub fn ends(&self, job: &str, alloc: &str) {
        self.station.cli(&["job", "stop", job]).ok();
        eventually("nothing is left of the allocation's network", || {
            let gone = !pin(alloc).exists() && self.ports_of_bridge() == 0 && !self.table().contains(alloc);
            gone.then_some(())
        });
    }
}

/// What this machine has of the networks of a bridge: its table, links, rules among Docker's, lock.
pub fn traces(bridge: &str) -> Vec<String> {
    let said = [
        run("nft", &["list", "tables"]).ok(),
        run("ip", &["-o", "link"]).ok(),
        run("sh", &["-c", "iptables -S DOCKER-USER 2>/dev/null || true"]).ok(),
        run("sh", &["-c", "ls /run/longshore || true"]).ok(),
    ];
    let names = [
        format!("longshore_{bridge}"),
        format!(" {bridge}: "),
        format!("longshore_{bridge}: "),
        format!("{bridge}.lock"),
    ];
    let found = said.iter().zip(&names).flat_map(|(said, name)| said.lines().filter(move |line| line.contains(name)));
    found.map(str::to_owned).collect()
}

impl Drop for Traces {
    fn drop(&mut self) {
        let bridge = &self.0;
        // Plugins leave it.
        run("ip", &["link", "delete", &plugins_bridge(bridge)]);
        let left = traces(bridge);
        run("nft", &["delete", "table", "inet", &format!("longshore_{bridge}")]);
        run("ip", &["link", "delete", bridge]);
        for rule in left.iter().filter(|line| line.starts_with("-A")) {
            run("sh", &["-c", &format!("iptables {}", rule.replacen("-A", "-D", 1))]);
        }
        let _ = fs::remove_file(format!("/run/longshore/{bridge}.lock"));
        assert!(left.is_empty() || std::thread::panicking(), "left behind: {left:?}");
    }
}

/// The bridge of a network made by plugins, of an agent with this one.
fn plugins_bridge(bridge: &str) -> String {
    format!("{bridge}c")
}

/// The file that keeps the namespace of an allocation.
pub fn pin(alloc: &str) -> std::path::PathBuf {
    std::path::Path::new("/run/netns").join(alloc)
}

/// A page on port 8080 of a process in a group's own network.
pub fn page(name: &str, mode: &str) -> String {
    format!(
        r#"
job "{name}" {{
  group "g" {{
    network {{
      mode = "{mode}"
      port "http" {{
        to = 8080
      }}
      port "same" {{
        to = -1
      }}
    }}
    task "t" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "env > local/env; mkdir -p local/www; echo served by $NOMAD_ALLOC_ID > local/www/index.html; exec busybox httpd -f -p 8080 -h local/www"]
      }}
    }}
  }}
}}
"#
    )
}

#[test]
fn a_process_serves_from_a_network_of_its_own() {
    let mut net = Net::start(1);
    let alloc = net.station.run_job("page", &page("page", "bridge"));
    let address = net.station.address(&alloc, "http");
    assert_eq!(fetch(&address), format!("served by {alloc}\n"));
    let (host_ip, number) = address.rsplit_once(':').unwrap();
    for loopback in ["127.0.0.1", "[::1]"] {
        assert_eq!(fetch(&format!("{loopback}:{number}")), format!("served by {alloc}\n"));
    }

    // The environment tells both sides of the port.
    let document = net.station.get(&format!("/v1/allocation/{alloc}"));
    let inside = document["NetworkStatus"]["Address"].as_str().unwrap().to_owned();
    assert!(inside.starts_with("10.213.1."), "{inside}");
    let env = fs::read_to_string(net.station.path(&format!("data/allocs/{alloc}/t/local/env"))).unwrap();
    let same = net.station.address(&alloc, "same");
    let same = same.rsplit_once(':').unwrap().1;
    for line in [
        format!("NOMAD_ADDR_http={address}"),
        format!("NOMAD_HOST_ADDR_http={address}"),
        format!("NOMAD_IP_http={host_ip}"),
        format!("NOMAD_HOST_PORT_http={number}"),
        "NOMAD_PORT_http=8080".into(),
        "NOMAD_ALLOC_PORT_http=8080".into(),
        "NOMAD_ALLOC_INTERFACE_http=eth0".into(),
        format!("NOMAD_ALLOC_IP_http={inside}"),
        format!("NOMAD_ALLOC_ADDR_http={inside}:8080"),
        format!("NOMAD_PORT_same={same}"),
        format!("NOMAD_HOST_PORT_same={same}"),
    ] {
        assert!(env.lines().any(|other| other == line), "{line} in\n{env}");
    }
    let addresses = run("ip", &["-n", &alloc, "-o", "-4", "addr", "show", "eth0"]).ok();
    assert!(addresses.contains(&format!("{inside}/24")), "{addresses}");

    // The number stays the host's as long as the allocation lives.
    let taken = std::net::TcpListener::bind(format!("0.0.0.0:{number}"));
    assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);

    // A command beside the task is in the same network.
    let said = net.station.cli(&["alloc", "exec", &alloc, "ip", "-o", "-4", "addr", "show", "eth0"]).ok();
    assert!(said.contains(&inside), "{said}");

    net.station.kill();
    assert_eq!(fetch(&address), format!("served by {alloc}\n"), "nobody needs the agent for that");
    net.station.launch();
    eventually("the port is held again", || std::net::TcpListener::bind(format!("0.0.0.0:{number}")).err());
    for address in [&address, &format!("[::1]:{number}")] {
        assert_eq!(fetch(address), format!("served by {alloc}\n"));
    }
    let after = net.station.get(&format!("/v1/allocation/{alloc}"));
    assert_eq!(after["NetworkStatus"], document["NetworkStatus"]);

    net.station.cli(&["alloc", "restart", &alloc]).ok();
    eventually("it serves again", || (fetch(&address) == format!("served by {alloc}\n")).then_some(()));
    // Somebody loads his firewall anew.
    run("nft", &["delete", "table", "inet", &format!("longshore_{}", net.bridge)]).ok();
    assert_eq!(fetch(&address), format!("served by {alloc}\n"));
    net.ends("page", &alloc);
}

#[test]
fn mode_none_has_no_way_out() {
    let net = Net::start(2);
    let alloc = net.station.run_job("alone", &page("alone", "none"));
    let inside = || run("ip", &["netns", "exec", &alloc, "curl", "-s", "--max-time", "5", "http://127.0.0.1:8080/"]);
    eventually("it serves itself", || (inside().out == format!("served by {alloc}\n")).then_some(()));
    let links = run("ip", &["-n", &alloc, "-o", "link", "show", "up"]).ok();
    assert_eq!(links.lines().count(), 1, "{links}");
    net.station.cli(&["job", "stop", "alone"]).ok();
    eventually("the namespace is gone", || (!pin(&alloc).exists()).then_some(()));
}

/// A container and a process of one group share a network, which the container's holder keeps.
pub fn mixed(image: &str) -> String {
    format!(
        r#"
job "mixed" {{
  group "g" {{
    network {{
      mode     = "bridge"
      hostname = "mixed-${{NOMAD_ALLOC_INDEX}}"
      port "http" {{
        to = 8080
      }}
    }}
    restart {{
      attempts = 3
      delay    = "0s"
    }}
    task "web" {{
      driver = "docker"
      config {{
        image   = "{image}"
        command = "sh"
        args    = ["-c", "busybox echo $(busybox hostname) $NOMAD_ALLOC_ID > /local/index.html; exec busybox httpd -f -p 8080 -h /local"]
      }}
    }}
    task "side" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "until curl -sf http://127.0.0.1:8080/ > local/seen; do sleep 0.1; done; exec sleep 3600"]
      }}
    }}
  }}
}}
"#
    )
}

pub fn holder(alloc: &str) -> Option<String> {
    let out = run("docker", &["ps", "-q", "--no-trunc", "--filter", &format!("name=longshore_init_{alloc}")]).ok();
    out.lines().next().map(str::to_owned)
}

#[test]
fn containers_and_processes_share_a_network() {
    let image = Image::make("mixed");
    let mut net = Net::start(3);
    let alloc = net.station.run_job("mixed", &mixed(&image.0));
    let address = net.station.address(&alloc, "http");
    let page = format!("mixed-0 {alloc}\n");
    assert_eq!(fetch(&address), page);
    let seen = net.station.path(&format!("data/allocs/{alloc}/side/local/seen"));
    eventually("the process sees the container on loopback", || {
        (fs::read_to_string(&seen).unwrap_or_default() == page).then_some(())
    });
    let first = holder(&alloc).unwrap();
    let proxies = run("sh", &["-c", "ps -eo args | grep '[d]ocker-proxy' || true"]).ok();
    let number = address.rsplit_once(':').unwrap().1;
    assert!(!proxies.contains(number), "{proxies}");

    net.station.kill();
    net.station.launch();
    assert_eq!(fetch(&address), page);
    assert_eq!(holder(&alloc).as_ref(), Some(&first), "the holder is found again");

    // The holder dies: what runs goes on; what starts again brings everything to a new one, with the old address.
    let before = net.station.get(&format!("/v1/allocation/{alloc}"))["NetworkStatus"].clone();
    run("docker", &["kill", &first]).ok();
    assert_eq!(fetch(&address), page);
    net.station.cli(&["alloc", "restart", &alloc, "web"]).ok();
    eventually("another holder", || holder(&alloc).filter(|second| *second != first));
    eventually("the page is back", || (fetch(&address) == page).then_some(()));
    assert_eq!(net.station.get(&format!("/v1/allocation/{alloc}"))["NetworkStatus"], before);

    net.ends("mixed", &alloc);
    eventually("no container is left", || {
        let left = run("docker", &["ps", "-aq", "--filter", &format!("label=longshore.alloc_id={alloc}")]).ok();
        left.is_empty().then_some(())
    });
}

/// Two containers and a process that all add to one hosts file.
fn named(image: &str) -> String {
    let container = |name: &str, entry: &str| {
        format!(
            r#"
    task "{name}" {{
      driver = "docker"
      config {{
        image       = "{image}"
        command     = "busybox"
        args        = ["sleep", "3600"]
        extra_hosts = ["{entry}"]
      }}
    }}
"#
        )
    };
    format!(
        r#"
job "named" {{
  group "g" {{
    network {{
      mode     = "bridge"
      hostname = "named"
      dns {{
        servers = ["192.0.2.53"]
        options = ["ndots:3"]
      }}
    }}
    {}
    {}
    task "side" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "uname -n > local/name; exec sleep 3600"]
      }}
    }}
    task "apart" {{
      driver = "exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "exec sleep 3600"]
      }}
    }}
  }}
}}
"#,
        container("one", "db:192.0.2.7"),
        container("two", "machine:host-gateway")
    )
}

#[test]
fn names_are_the_same_for_every_task_of_a_group() {
    let image = Image::make("named");
    let net = Net::start(5);
    let own = fs::read_to_string("/etc/hosts").unwrap();
    let alloc = net.station.run_job("named", &named(&image.0));
    let document = net.station.get(&format!("/v1/allocation/{alloc}"));
    let inside = document["NetworkStatus"]["Address"].as_str().unwrap();
    let read = |task: &str, file: &str| {
        let cat = if matches!(task, "side" | "apart") { ["cat"].as_slice() } else { &["busybox", "cat"] };
        net.station.cli(&[&["alloc", "exec", "--task", task, &alloc], cat, &[file]].concat()).ok()
    };
    let hosts = read("one", "/etc/hosts");
    for line in [&format!("{inside} named"), "127.0.0.1 localhost", "192.0.2.7 db", "10.213.5.1 machine"] {
        assert!(hosts.lines().any(|other| other == line), "{line} in\n{hosts}");
    }
    let searches = fs::read_to_string("/etc/resolv.conf").unwrap();
    let searches = searches.lines().find(|line| line.starts_with("search")).map(|line| format!("{line}\n"));
    let resolver = format!("nameserver 192.0.2.53\n{}options ndots:3\n", searches.unwrap_or_default());
    for task in ["one", "two", "side", "apart"] {
        assert_eq!(read(task, "/etc/hosts"), hosts, "{task}");
        assert_eq!(read(task, "/etc/resolv.conf"), resolver, "{task}");
        assert_eq!(read(task, "/etc/hostname"), "named\n", "{task}");
    }
    // The engine agrees, and the process itself, and the machine has kept its own.
    let container = run("docker", &["ps", "-q", "--filter", &format!("name=two-{alloc}")]).ok();
    assert_eq!(run("docker", &["exec", container.trim(), "busybox", "cat", "/etc/hosts"]).ok(), hosts);
    assert_eq!(
        fs::read_to_string(net.station.path(&format!("data/allocs/{alloc}/side/local/name"))).unwrap(),
        "named\n"
    );
    assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), own);
    // Names lead somewhere: the machine, by its address in the group's network.
    let heard = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let number = heard.local_addr().unwrap().port().to_string();
    let url = format!("http://machine:{number}/");
    net.station.cli(&["alloc", "exec", "--task", "side", &alloc, "curl", "-s", "--max-time", "2", &url]);
    heard.set_nonblocking(true).unwrap();
    eventually("the machine is called by its name", || heard.accept().ok());
    net.ends("named", &alloc);

    let wrong = named(&image.0).replace("machine:host-gateway", "machine:host-gatewey");
    let ran = net.station.cli(&["job", "run", &net.station.job("wrong", &wrong)]);
    assert!(ran.err.contains("invalid IP address \"host-gatewey\""), "{}{}", ran.out, ran.err);
}

#[test]
fn a_resolver_on_loopback_is_not_handed_into_a_namespace() {
    let mut net = Net::prepare(6);
    let station = &mut net.station;
    fs::write(station.path("stub"), "nameserver 127.0.0.53\noptions edns0\n").unwrap();
    fs::write(station.path("real"), "nameserver 192.0.2.54\nsearch example.test\n").unwrap();
    // A machine with systemd's resolver, as the agent sees it.
    let agent = station.agent_command();
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c"]).arg(
        "mount -t tmpfs none /run && mkdir -p /run/systemd/resolve && cp \"$1\" /run/systemd/resolve/resolv.conf && \
         mount --bind \"$0\" /etc/resolv.conf && shift && exec \"$@\"",
    );
    command.arg(station.path("stub")).arg(station.path("real")).arg(agent.get_program()).args(agent.get_args());
    station.launch_as(command);
    let job = page("resolving", "bridge").replace("mkdir", "cat /etc/resolv.conf > local/resolver; mkdir");
    let alloc = station.run_job("resolving", &job);
    let seen = station.path(&format!("data/allocs/{alloc}/t/local/resolver"));
    let seen = eventually("the task has read it", || fs::read_to_string(&seen).ok().filter(|text| !text.is_empty()));
    assert_eq!(seen, "nameserver 192.0.2.54\nsearch example.test\n");
    net.ends("resolving", &alloc);
}

/// The parts of a line.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn networks_and_ports_are_shown() {
    let mut net = Net::start(7);
    let text = page("shown", "bridge").replace("exec busybox", "busybox httpd -p 127.0.0.1:9000; exec busybox");
    let alloc = net.station.run_job("shown", &text);
    let address = net.station.address(&alloc, "http");
    let (_, number) = address.rsplit_once(':').unwrap();
    let figure = eventually("both listen", || {
        let drawn = net.station.cli(&["alloc", "network", &alloc[..8]]).ok();
        (drawn.contains("*:8080") && drawn.contains("127.0.0.1:9000")).then_some(drawn)
    });
    let line = |part: &str| {
        let found = figure.lines().find(|line| line.contains(part));
        words(found.unwrap_or_else(|| panic!("{part} in\n{figure}"))).join(" ")
    };
    let interface = run("ip", &["-o", "addr", "show"]).ok();
    let host_ip = address.rsplit_once(':').unwrap().0;
    let interface = interface.lines().find(|line| line.contains(&format!("inet {host_ip}/"))).unwrap();
    let interface = words(interface)[1];
    assert_eq!(line(&format!(":{number}")), format!("├─ {interface} {address} tcp+udp http to :8080"));
    assert_eq!(line("map of"), format!("│ map of table inet longshore_{}", net.bridge));
    assert_eq!(line("bridge "), format!("bridge {} 10.213.7.1", net.bridge));
    assert!(line("netns").ends_with(&alloc), "{figure}");
    assert!(line("*:8080").contains("tcp busybox (pid ") && line("*:8080").ends_with("outside, machine, group http"));
    assert!(line("127.0.0.1:9000").ends_with(") group"), "{figure}");
    assert!(line("nobody listens").ends_with(" same"), "{figure}");
    let link = run("ip", &["-o", "link", "show", "master", &net.bridge]).ok();
    assert!(link.contains(line("│ lv").split(' ').next_back().unwrap()), "{link}");
    let document: serde_json::Value =
        serde_json::from_str(&net.station.cli(&["alloc", "network", "--json", &alloc]).ok()).unwrap();
    assert_eq!(document["Ports"][0]["HostPort"].to_string(), number);
    let listens = document["Listeners"].as_array().unwrap().iter().find(|one| one["Port"] == 8080).unwrap();
    assert_eq!(listens["Scopes"], serde_json::json!(["outside", "machine", "group"]));

    let plain = page("plain", "host").replace("-p 8080", "-p $NOMAD_PORT_same");
    let lent = net.station.run_job("plain", &plain);
    let bound = net.station.address(&lent, "same");
    let bound = bound.rsplit_once(':').unwrap().1;
    let row = |number: &str| {
        let listed = net.station.cli(&["port"]).ok();
        let found =
            listed.lines().find(|line| line.starts_with(&format!("{number} "))).map(|line| words(line).join(" "));
        found.unwrap_or_else(|| panic!("{number} in\n{listed}"))
    };
    let inside = document["Namespace"]["Address"].as_str().unwrap();
    assert!(
        row(number).ends_with(&format!("http {} shown.g[0] mapped to {inside}:8080", &alloc[..8])),
        "{}",
        row(number)
    );
    eventually("who has bound it", || row(bound).contains("bound by busybox (pid ").then_some(()));
    let figure = net.station.cli(&["alloc", "network", &lent]).ok();
    assert!(figure.contains("mode host") && figure.contains(&format!("*:{bound}")), "{figure}");
    net.station.cli(&["job", "stop", "plain"]).ok();
    net.ends("shown", &alloc);

    // What is in the way is told, with what removes it.
    assert!(net.station.cli(&["network", "check"]).ok().starts_with("Nothing stands in the way"));
    net.station.kill();
    run("ip", &["link", "delete", &net.bridge]).ok();
    run("ip", &["link", "add", &net.bridge, "type", "veth", "peer", "name", &format!("{}x", &net.bridge)]).ok();
    net.station.launch();
    let check = net.station.cli(&["network", "check"]);
    assert_eq!(check.code, 1);
    let remedy = format!("ip link delete {}", net.bridge);
    assert!(check.out.contains("is taken by a veth") && check.out.contains(&remedy), "{}", check.out);
    eventually("the node tells it too", || net.station.cli(&["node", "status"]).out.contains(&remedy).then_some(()));
    run("ip", &["link", "delete", &net.bridge]).ok();
    assert_eq!(net.station.cli(&["network", "check"]).code, 0);
}

#[test]
fn a_network_of_the_operators_plugins() {
    let files = tempfile::tempdir().unwrap();
    let dir = files.path().display();
    let lines = format!("  cni_config_dir = \"{dir}\"\n  cni_path = \"/usr/lib/cni\"\n");
    let mut net = Net::prepare_with(8, &lines);
    let bridge = plugins_bridge(&net.bridge);
    let list = format!(
        r#"{{"cniVersion": "0.4.0", "name": "mine", "plugins": [
            {{"type": "bridge", "bridge": "{bridge}", "isGateway": true, "ipMasq": true, "hairpinMode": true,
              "ipam": {{"type": "host-local", "dataDir": "{dir}/ipam", "ranges": [[{{"subnet": "10.214.8.0/24"}}]],
                        "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
            {{"type": "portmap", "capabilities": {{"portMappings": true}}, "snat": true}}]}}"#
    );
    fs::write(files.path().join("10-mine.conflist"), list).unwrap();
    net.station.launch();
    let alloc = net.station.run_job("plugged", &page("plugged", "cni/mine"));
    let address = net.station.address(&alloc, "http");
    assert_eq!(fetch(&address), format!("served by {alloc}\n"));
    let status = net.station.get(&format!("/v1/allocation/{alloc}"))["NetworkStatus"].clone();
    let inside = status["Address"].as_str().unwrap();
    assert!(inside.starts_with("10.214.8."), "{inside}");
    assert!(run("ip", &["-n", &alloc, "-o", "-4", "addr", "show", "eth0"]).ok().contains(inside));
    net.station.kill();
    // The operator changes his mind; what runs goes on, and goes as it came.
    fs::remove_file(files.path().join("10-mine.conflist")).unwrap();
    net.station.launch();
    assert_eq!(fetch(&address), format!("served by {alloc}\n"));
    assert_eq!(net.station.get(&format!("/v1/allocation/{alloc}"))["NetworkStatus"], status);
    net.station.cli(&["job", "stop", "plugged"]).ok();
    eventually("nothing of the plugins is left", || {
        let rules = run("iptables-save", &[]).ok();
        (!pin(&alloc).exists() && !rules.contains(&alloc)).then_some(())
    });
    let said = net.station.cli(&["job", "run", &net.station.job("again", &page("again", "cni/mine"))]);
    assert!(said.err.contains("no CNI network config found in"), "{}{}", said.out, said.err);
}

/// A port at the default address answers at all of this machine's; one of a `host_network` that has it does not.
#[test]
fn a_port_of_a_host_network_answers_there_alone() {
    let mut net = Net::start(19);
    let own = net.station.address(&net.station.run_job("own", &page("own", "bridge")), "http");
    let (ip, number) = own.rsplit_once(':').unwrap();
    fetch(&own);
    assert!(answers(&format!("127.0.0.1:{number}")));
    net.station.cli(&["job", "stop", "own"]).ok();
    net.station.end();

    let block = format!("host_network \"public\" {{\n  cidr = \"{ip}/32\"\n}}\n");
    let mut net = Net::configured(20, "", &block);
    net.station.launch();
    let job = page("named", "bridge").replace("to = 8080", "to = 8080\n host_network = \"public\"");
    let alloc = net.station.run_job("named", &job);
    let named = net.station.address(&alloc, "http");
    let (same, number) = named.rsplit_once(':').unwrap();
    assert_eq!(same, ip);
    fetch(&named);
    let elsewhere = ["127.0.0.1", "[::1]"].map(|ip| answers(&format!("{ip}:{number}")));
    assert_eq!(elsewhere, [false, false], "{}", net.table());
    net.ends("named", &alloc);
}

#[test]
fn ports_choose_their_address_and_protocol() {
    let config = "host_network \"inner\" {\n  interface = \"lo\"\n  reserved_ports = \"28300\"\n}\n";
    let station = Station::with(config, &["--dev"]);
    let job = |port: &str| page("chosen", "host").replace("to = 8080", port);
    let alloc = station.run_job("chosen", &job("to = 8080\n host_network = \"inner\"\n protocol = \"udp\""));
    let address = station.address(&alloc, "http");
    let (ip, number) = address.rsplit_once(':').unwrap();
    assert_eq!(ip, "127.0.0.1");
    let listed = station.cli(&["port"]).ok();
    let row = listed.lines().find(|line| line.starts_with(number)).unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(words(row)[1..4], ["udp", "127.0.0.1", "http"], "{row}");
    assert!(
        listed.lines().any(|line| words(line).join(" ") == "28300 tcp+udp kept free by reserved_ports"),
        "{listed}"
    );
    let refused = |port: &str| {
        let ran = station.cli(&["job", "run", &station.job("refused", &job(port))]);
        assert_ne!(ran.code, 0);
        ran.err
    };
    let said = refused("static = 28300\n host_network = \"inner\"");
    assert!(said.contains("port 28300 (\"http\") is kept free"), "{said}");
    let said = refused("host_network = \"outer\"");
    assert!(said.contains("no addresses available for \"outer\" network"), "{said}");
    let said = refused("protocol = \"sctp\"");
    assert!(said.contains("A port's protocol is tcp, udp or both"), "{said}");
    for (port, why) in [
        ("to = -2", "cannot be mapped to a negative value"),
        ("to = 70000", "greater than 65535"),
        ("static = 70000", "cannot be negative or greater than 65535"),
        ("static = -1", "cannot be negative or greater than 65535"),
        ("}\n port \"same\" {", "Port label same already in use"),
    ] {
        let said = refused(port);
        assert!(said.contains(why), "{port}: {said}");
    }
    station.cli(&["job", "stop", "chosen"]).ok();
}
