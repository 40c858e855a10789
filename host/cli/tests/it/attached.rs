//! A driver of somebody else's that asks for its allocation's network and adds a port to it, through the contract.

use std::path::Path;

use crate::{
    docker::{Image, containers},
    harness::{Station, answers, eventually, fetch, run},
    network::Net,
};

fn job(image: &str) -> String {
    let serve = "busybox mkdir -p /www /adm; busybox echo page > /www/index.html; busybox echo admin > /adm/index.html; \
                 busybox httpd -p 9000 -h /adm; exec busybox httpd -f -p 8080 -h /www";
    format!(
        r#"
job "attached" {{
  group "g" {{
    network {{
      mode = "bridge"
      port "http" {{
        to = 8080
      }}
    }}
    restart {{
      attempts = 3
      delay    = "0s"
    }}
    task "t" {{
      driver = "attached"
      config {{
        image   = "{image}"
        command = ["sh", "-c", "{serve}"]
        admin   = 9000
      }}
    }}
  }}
}}
"#
    )
}

/// The number of the port that the driver added, as `longshore port` lists it.
fn added(station: &Station) -> Option<String> {
    let ports = station.get("/v1/ports");
    let port = ports.as_array().unwrap().iter().find(|port| port["Label"] == "admin")?;
    assert_eq!(port["State"], "mapped");
    Some(port["Port"].to_string())
}

#[test]
fn a_driver_attaches_its_container_and_adds_a_port() {
    let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/drivers/attached"));
    let bytes = xtask::component::build(example, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("attached")).unwrap();
    let file = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let path = file.path().display();
    let blocks = format!(
        "driver \"attached\" {{\n path = \"{path}\"\n grants = [\"containers\", \"networks\", \"ports\"]\n}}\n"
    );
    let image = Image::make("attached");
    let mut net = Net::configured(23, "", &blocks);
    net.station.launch();
    let alloc = net.station.run_job("attached", &job(&image.0));
    let status = |net: &Net| net.station.get(&format!("/v1/allocation/{alloc}"))["NetworkStatus"].clone();
    let address = net.station.address(&alloc, "http");
    let admin = added(&net.station).unwrap();
    let host = address.rsplit_once(':').unwrap().0.to_owned();
    let answer_all = || {
        assert_eq!(fetch(&address), "page\n");
        for at in [&*host, "127.0.0.1", "[::1]"] {
            assert_eq!(fetch(&format!("{at}:{admin}")), "admin\n");
        }
    };
    answer_all();
    let (before, container) = (status(&net), containers(&alloc));
    let inside = run("docker", &["exec", &container[0], "busybox", "ip", "addr", "show", "eth0"]).ok();
    assert!(inside.contains(before["Address"].as_str().unwrap()), "{inside}");
    let drawn = net.station.cli(&["alloc", "network", &alloc]).ok();
    assert!(drawn.contains(&format!("{host}:{admin} tcp admin to :9000")) || drawn.contains(":9000"), "{drawn}");

    // The agent dies: both go on, and the next one holds and maps both.
    net.station.kill();
    assert_eq!((fetch(&address), fetch(&format!("{host}:{admin}"))), ("page\n".into(), "admin\n".into()));
    net.station.launch();
    let held = || std::net::TcpListener::bind(format!("0.0.0.0:{admin}")).err();
    eventually("the added port is held again", held);
    answer_all();
    assert_eq!((added(&net.station), containers(&alloc)), (Some(admin.clone()), container.clone()));
    run("nft", &["delete", "table", "inet", &format!("longshore_{}", net.bridge)]).ok();
    answer_all();

    // Its container dies: another one gets network, address and port.
    run("docker", &["kill", &container[0]]).ok();
    eventually("another container", || containers(&alloc).into_iter().find(|id| *id != container[0]));
    answer_all();
    assert_eq!((added(&net.station), status(&net)), (Some(admin.clone()), before));

    net.ends("attached", &alloc);
    eventually("the added port is free", || (!answers(&format!("127.0.0.1:{admin}"))).then_some(()));
    assert!(std::net::TcpListener::bind(format!("0.0.0.0:{admin}")).is_ok());
    assert_eq!(added(&net.station), None);
    assert_eq!(containers(&alloc), Vec::<String>::new());
}
