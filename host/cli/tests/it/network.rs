//! Groups with a network of their own, as people use them: bridge and none, processes and containers together, found
//! again after the agent was killed. Each test has a bridge and a subnet of its own on this machine; what they look
//! at from outside they look at with `ip`, `nsenter`, `nft`, `docker` and `curl`.

use std::fs;

use crate::{
    docker::Image,
    harness::{Station, eventually, fetch, run},
};

/// An agent whose bridge no other test has. Removed with it.
struct Net {
    station: Station,
    bridge: String,
}

impl Net {
    fn start(number: u8) -> Self {
        let bridge = format!("lsit{number}-{}", std::process::id() % 100_000);
        let config = format!(
            "network {{\n  bridge_network_name = {bridge:?}\n  bridge_network_subnet = \"10.213.{number}.0/24\"\n}}\n"
        );
        Self { station: Station::with(&config, &["--dev"]), bridge }
    }

    fn table(&self) -> String {
        run("nft", &["list", "table", "inet", &format!("longshore_{}", self.bridge)]).ok()
    }

    fn ports_of_bridge(&self) -> usize {
        run("ip", &["-o", "link", "show", "master", &self.bridge]).ok().lines().count()
    }

    /// Stops a job and waits until the allocation is over.
    fn ends(&self, job: &str, alloc: &str) {
        self.station.cli(&["job", "stop", job]).ok();
        eventually("nothing is left of the allocation's network", || {
            let gone = !pin(alloc).exists() && self.ports_of_bridge() == 0 && !self.table().contains(alloc);
            gone.then_some(())
        });
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        run("nft", &["delete", "table", "inet", &format!("longshore_{}", self.bridge)]);
        run("ip", &["link", "delete", &self.bridge]);
        for direction in ["from", "to"] {
            let comment = format!("longshore_{}: {direction}", self.bridge);
            let rules = run("iptables", &["-S", "DOCKER-USER"]).out;
            for rule in rules.lines().filter(|rule| rule.contains(&comment)) {
                run("sh", &["-c", &format!("iptables {}", rule.replacen("-A", "-D", 1))]);
            }
        }
    }
}

fn pin(alloc: &str) -> std::path::PathBuf {
    std::path::Path::new("/run/netns").join(alloc)
}

/// A page on port 8080 of a process in a group's own network.
fn page(name: &str, mode: &str) -> String {
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
    assert_eq!(fetch(&format!("127.0.0.1:{number}")), format!("served by {alloc}\n"));

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
    assert_eq!(fetch(&address), format!("served by {alloc}\n"));
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
fn mixed(image: &str) -> String {
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

fn holder(alloc: &str) -> Option<String> {
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
    assert!(cni.contains("not built yet"), "{cni}");
    let hostname = page("wrong", "bridge").replace("mode = \"bridge\"", "mode = \"bridge\"\nhostname = \"x\"");
    let said = refused(&job(&hostname));
    assert!(said.contains("hostname is not currently supported on driver raw_exec"), "{said}");
    let escaping = mixed("web:1").replace("command = \"sh\"", "command = \"sh\"\nnetwork_mode = \"host\"");
    let said = refused(&job(&escaping));
    assert!(said.contains("would take task web out of its group's network"), "{said}");
    let said = refused(&job(&page("wrong", "bridge")));
    assert!(said.contains("is taken by a veth"), "{said}");
}
