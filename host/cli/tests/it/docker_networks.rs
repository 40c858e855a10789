//! Networks of containers, as `docker inspect`, the services and the containers themselves see them.

use serde_json::{Value, json};

use crate::{
    docker::{Image, containers, gone},
    docker_options::{expect, job},
    harness::{Station, answers, eventually, fetch, run},
};

/// A network of the engine that goes with the test.
struct Network(String);

impl Network {
    fn new(name: &str, subnets: &[&str]) -> Self {
        let network = Self(format!("{name}-{}", std::process::id()));
        let subnets = subnets.iter().flat_map(|subnet| ["--subnet", subnet]);
        let arguments = ["network", "create", "--ipv6"].into_iter().chain(subnets).chain([network.0.as_str()]);
        run("docker", &arguments.collect::<Vec<_>>()).ok();
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        run("docker", &["network", "rm", &self.0]);
    }
}

fn inspected(container: &str) -> Value {
    let said: Value = serde_json::from_str(&run("docker", &["inspect", container]).ok()).unwrap();
    said[0].clone()
}

/// What the driver knows of task `t`.
fn facts(station: &Station, alloc: &str) -> Value {
    station.get(&format!("/v1/allocation/{alloc}"))["TaskFacts"]["t"].clone()
}

const HTTP: &str = "network {\n      port \"http\" {\n        to = 8080\n      }\n    }";

#[test]
fn a_named_network_gives_addresses_and_aliases() {
    let image = Image::make("networks-named");
    let network = Network::new("longshore-it-named", &["198.18.77.0/24", "fd77:1::/64"]);
    let station = Station::start();
    let config = format!(
        r#"
        network_mode    = "{}"
        network_aliases = ["db"]
        ipv4_address    = "198.18.77.9"
        ipv6_address    = "fd77:1::9"
        mac_address     = "02:42:c6:12:4d:09"
        ports           = ["http"]
        "#,
        network.0
    );
    let of_network = |key: &str| format!("/NetworkSettings/Networks/{}/{key}", network.0);
    let [address, wide, mac, aliases] = ["IPAddress", "GlobalIPv6Address", "MacAddress", "Aliases/0"].map(of_network);
    let table = [
        ("/HostConfig/NetworkMode", json!(network.0)),
        (address.as_str(), json!("198.18.77.9")),
        (wide.as_str(), json!("fd77:1::9")),
        (mac.as_str(), json!("02:42:c6:12:4d:09")),
        (aliases.as_str(), json!("db")),
        ("/Config/ExposedPorts", json!({"8080/tcp": {}, "8080/udp": {}})),
    ];
    expect(&station, &job(&image.0, &config, HTTP), &table);
}

/// On a named network the address services are to be told is the container's own, of the kind the job asks for; on the
/// default one, where nobody else could reach it, there is none.
#[test]
fn the_advertised_address_is_of_the_kind_the_job_asks_for() {
    let image = Image::make("networks-advertised");
    let network = Network::new("longshore-it-advertised", &["198.18.79.0/24", "fd79:1::/64"]);
    let mut station = Station::start();
    for (config, advertised) in [("", "IPAddress"), ("advertise_ipv6_address = true", "GlobalIPv6Address")] {
        let config = format!("network_mode = \"{}\"\n{config}", network.0);
        let alloc = station.run_job("options", &job(&image.0, &config, ""));
        let own = inspected(&format!("t-{alloc}"))["NetworkSettings"]["Networks"][&network.0].clone();
        assert!(own["GlobalIPv6Address"].as_str().is_some_and(|address| address.starts_with("fd79:1::")), "{own}");
        for _ in ["as it was started", "as it was found again"] {
            let said = facts(&station, &alloc);
            let told = ["advertised_address", "address", "address_ipv6"].map(|name| said[name].clone());
            assert_eq!(told, [advertised, "IPAddress", "GlobalIPv6Address"].map(|key| own[key].clone()), "{said}");
            let line = format!("advertised_address = {}", own[advertised].as_str().unwrap());
            let shown = station.cli(&["alloc", "status", &alloc[..8]]).ok();
            assert!(shown.lines().any(|shown| shown.split_whitespace().eq(line.split_whitespace())), "{shown}");
            station.kill();
            station.launch();
            station.until_task(&alloc, "t", "it is found", |state| state["State"] == "running");
            eventually("its driver is asked", || (!facts(&station, &alloc).is_null()).then_some(()));
        }
        station.cli(&["job", "stop", "--purge", "options"]).ok();
        gone(&alloc);
    }
    let alloc = station.run_job("options", &job(&image.0, "", ""));
    let said = facts(&station, &alloc);
    assert_eq!((&said["advertised_address"], &said["network"]), (&Value::Null, &json!("bridge")), "{said}");
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

#[test]
fn ports_are_published_at_the_address_and_for_the_protocol_the_job_names() {
    let image = Image::make("networks-published");
    let station = Station::with("host_network \"inner\" {\n  interface = \"lo\"\n}\n", &["--dev"]);
    let group = r#"network {
      port "outer" {
        to = 8080
      }
      port "inner" {
        to           = 8080
        host_network = "inner"
        protocol     = "tcp"
      }
      port "quiet" {
        to       = 9090
        protocol = "udp"
      }
    }"#;
    let page = "busybox echo here > /tmp/index.html; exec busybox httpd -f -p 8080 -h /tmp";
    let text = job(&image.0, "ports = [\"outer\", \"inner\", \"quiet\"]", group)
        .replace("while :; do busybox sleep 1; done", page);
    let alloc = station.run_job("options", &text);
    let [outer, inner, quiet] = ["outer", "inner", "quiet"].map(|label| station.address(&alloc, label));
    assert!(inner.starts_with("127.0.0.1:"), "{inner}");
    let node = station.get("/v1/nodes")[0]["ID"].as_str().unwrap().to_owned();
    let own = station.get(&format!("/v1/node/{node}"))["Attributes"]["unique.network.ip-address"].clone();
    assert_eq!(outer.rsplit_once(':').map(|(ip, _)| ip), own.as_str());
    let binding = |address: &str| {
        let (ip, port) = address.rsplit_once(':').unwrap();
        json!({"HostIp": ip, "HostPort": port})
    };
    let expected = json!({
        "8080/tcp": [binding(&outer), binding(&inner)],
        "8080/udp": [binding(&outer)],
        "9090/udp": [binding(&quiet)],
    });
    assert_eq!(inspected(&format!("t-{alloc}"))["HostConfig"]["PortBindings"], expected);
    for address in [&outer, &inner] {
        assert_eq!(fetch(address), "here\n");
    }
    assert!(!answers(&quiet), "nothing of tcp is published at {quiet}");
    if !outer.starts_with("127.0.0.1:") {
        let elsewhere = inner.replace("127.0.0.1", outer.rsplit_once(':').unwrap().0);
        assert!(!answers(&elsewhere), "{inner} is published at {elsewhere}, too");
    }
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

/// `container:` leads into the network of a container of the same allocation, and of no other.
#[test]
fn a_task_joins_the_network_of_another() {
    let image = Image::make("networks-joined");
    let station = Station::start();
    let second = format!(
        r#"
        task "second" {{
          driver = "docker"
          config {{
            image        = "{}"
            command      = "sh"
            args         = ["-c", "exec busybox nc -l -p 7070 -e busybox echo heard"]
            network_mode = "container:first-${{NOMAD_ALLOC_ID}}"
          }}
          resources {{
            memory = 32
          }}
        }}
        "#,
        image.0
    );
    let first = "lifecycle {\n hook = \"prestart\"\n sidecar = true\n }";
    let text = job(&image.0, "", "").replace("task \"t\" {", &format!("{second}\n task \"first\" {{\n {first}"));
    let alloc = station.run_job("options", &text);
    let [one, two] = ["first", "second"].map(|task| inspected(&format!("{task}-{alloc}")));
    assert_eq!(two["HostConfig"]["NetworkMode"], json!(format!("container:{}", one["Id"].as_str().unwrap())));
    let call = ["alloc", "exec", "--task", "first", &alloc, "busybox", "nc", "127.0.0.1", "7070"];
    eventually("one hears the other", || (station.cli(&call).out == "heard\n").then_some(()));

    let stranger = job(&image.0, &format!("network_mode = \"container:first-{alloc}\""), "")
        .replace("job \"options\"", "job \"stranger\"");
    let said = station.cli(&["job", "run", &station.job("stranger", &stranger)]).refused(1);
    assert!(said.contains(&format!("no container \"first-{alloc}\" of this driver and task")), "{said}");
    station.cli(&["job", "stop", "--purge", "stranger"]).ok();
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

/// A container that somebody else made with a task's name is neither joined nor removed, running or not; the task
/// waits for the name as its `restart` says.
#[test]
fn a_name_that_somebody_else_took_is_told_and_waited_for() {
    let image = Image::make("networks-taken");
    let station = Station::start();
    let text =
        job(&image.0, "", "").replace("attempts = 0", "attempts = 100\n      interval = \"1h\"\n      delay = \"1s\"");
    let alloc = station.run_job("options", &text);
    let name = format!("t-{alloc}");
    let own = containers(&alloc)[0].clone();
    for running in [false, true] {
        let before =
            station.until_task(&alloc, "t", "it runs", |state| state["State"] == "running")["Restarts"].clone();
        let gone = containers(&alloc)[0].clone();
        run("docker", &["rm", "-f", &gone]).ok();
        let make = if running { ["run", "-d"].as_slice() } else { &["create"] };
        let foreign = eventually("the name is taken", || {
            let tail = ["--network", "none", "--name", &name, &image.0, "busybox", "sleep", "600"];
            let ran = run("docker", &[make, &tail].concat());
            (ran.code == 0).then(|| ran.out.trim().to_owned())
        });
        let told = format!("is taken by container {}, which is not this task's", &foreign[..12]);
        station.until_task(&alloc, "t", "it is told", |state| state["Events"].to_string().contains(&told));
        assert_eq!(inspected(&foreign)["State"]["Running"], json!(running), "it is left alone");
        run("docker", &["rm", "-f", &foreign]).ok();
        station.until_task(&alloc, "t", "it has its name", |state| {
            state["State"] == "running" && state["Restarts"] != before && !containers(&alloc).contains(&gone)
        });
    }
    assert_ne!(containers(&alloc), [own]);
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}
