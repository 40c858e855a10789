//! Networks and ports of groups.

use longshore_job::model::Port;

use crate::{errors, job};

/// A job with these lines in the group, and a task with these in its resources.
fn text(group: &str, resources: &str) -> String {
    format!(
        "job \"j\" {{\ngroup \"g\" {{\n{group}\ntask \"t\" {{\ndriver = \"d\"\nresources {{\n{resources}\n}}\n}}\n}}\n}}"
    )
}

fn network(inside: &str) -> String {
    format!("network {{\n{inside}\n}}")
}

fn port(label: &str, inside: &str) -> String {
    format!("port \"{label}\" {{\n{inside}\n}}\n")
}

#[test]
fn ports_are_sorted_by_whether_they_are_static() {
    let group = port("a", "static = 80\nto = 8080\nhost_network = \"public\"")
        + &port("b", "")
        + &port("c", "to = -1")
        + &port("d", "static = 0\nto = 9");
    let job = job(&text(&network(&group), ""));
    let network = &job.task_groups[0].networks[0];
    let plain = |label: &str, to| Port { label: label.into(), to, ..Default::default() };
    let reserved = Port { value: 80, host_network: "public".into(), ..plain("a", 8080) };
    assert_eq!(network.reserved_ports, [reserved]);
    assert_eq!(network.dynamic_ports, [plain("b", 0), plain("c", -1), plain("d", 9)]);
    assert_eq!(network.mode(), "host");
}

#[test]
fn modes_are_kept_for_the_agent_to_judge() {
    for mode in ["host", "bridge", "none", "cni/mine"] {
        let job = job(&text(&network(&format!("mode = \"{mode}\"\nhostname = \"foobar\"")), ""));
        assert_eq!(job.task_groups[0].networks[0].mode(), mode);
    }
}

#[test]
fn these_networks_are_right() {
    for (group, task) in [
        (port("a", "static = 65535\nto = 65535"), String::new()),
        (port("a", "static = 80\nhost_network = \"net1\"") + &port("b", "static = 80"), String::new()),
        (port("a", "static = 80\nhost_network = \"net1\""), network(&port("b", "static = 80"))),
        (
            port("a", "static = 10\nignore_collision = true") + &port("b", "static = 10\nignore_collision = true"),
            String::new(),
        ),
    ] {
        job(&text(&network(&group), &task));
    }
}

#[test]
fn these_networks_are_wrong() {
    for (group, task, expected) in [
        (
            port("a", "static = 65536"),
            String::new(),
            "test.hcl:5,10-15: Static port cannot be negative or greater than 65535; Got 65536.",
        ),
        (port("a", "to = 65536"), String::new(), "greater than 65535"),
        (port("a", "to = -2"), String::new(), "cannot be mapped to a negative value"),
        (
            port("a", "static = 80"),
            network(&port("b", "static = 80")),
            "test.hcl:13,1-9: Static port 80 already reserved by taskgroup network:a",
        ),
        (
            port("a", "static = 80") + &port("b", "static = 80"),
            String::new(),
            "Static port 80 already reserved by taskgroup network:a",
        ),
        (port("a", "") + &port("a", ""), String::new(), "Port label a already in use by taskgroup network"),
        ("hostname = \"............\"".into(), String::new(), "Hostname is not a valid DNS name"),
        (
            "mode = \"bridge\"\n".to_owned() + &port("a", "static = 10\nignore_collision = true"),
            String::new(),
            "Port \"a\" collision may not be ignored on non-host network mode \"bridge\"",
        ),
        ("mode = \"brigde\"".into(), String::new(), "Invalid network mode \"brigde\""),
        (port("a", "static = \"${meta.port}\""), String::new(), "a whole number required"),
    ] {
        let said = errors(&text(&network(&group), &task)).plain();
        assert!(said.contains(expected), "{group}: {said}");
    }
    let twice = network("") + "\n" + &network("");
    assert!(errors(&text(&twice, "")).plain().contains("has 2 networks; only one is supported"));
}

#[test]
fn the_legacy_place_is_read_with_a_note() {
    let legacy = network(&("mbits = 10\n".to_owned() + &port("http", "") + &port("db", "static = 5432")));
    let parsed = longshore_job::parse_str("test.hcl", &text("", &legacy), &Default::default()).unwrap();
    let network = &parsed.job.task_groups[0].tasks[0].resources.networks[0];
    assert_eq!(network.ports().map(|port| port.value).collect::<Vec<_>>(), [5432, 0]);
    let warnings = parsed.warnings.plain();
    assert!(warnings.contains("mbits has been deprecated"), "{warnings}");
    assert!(warnings.contains("task network resources have been deprecated"), "{warnings}");
}
