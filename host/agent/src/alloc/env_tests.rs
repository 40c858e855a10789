//! The tables of Nomad's `TestEnvironment_*`.

use std::path::PathBuf;

use longshore_core::port::Protocol;
use longshore_job::model::{Network, Port as WantedPort, Resources};
use serde_json::json;

use super::*;

fn dirs() -> TaskDirs {
    let root = PathBuf::from("/data/allocs/a1");
    TaskDirs {
        task: root.join("web"),
        alloc: root.join("alloc"),
        local: root.join("web/local"),
        secrets: root.join("web/secrets"),
        logs: root.join("alloc/logs"),
    }
}

fn port(label: &str, ip: &str, host_port: u16, task_port: u16) -> Port {
    Port { label: label.into(), host_ip: ip.into(), host_port, task_port, protocol: Protocol::Both, is_named: false }
}

fn network(labels: &[&str]) -> Network {
    let dynamic_ports =
        labels.iter().map(|label| WantedPort { label: (*label).into(), ..Default::default() }).collect();
    Network { dynamic_ports, ..Network::default() }
}

fn web() -> Task {
    Task { name: "web".into(), ..Task::default() }
}

fn promised(cpu_mhz: u32, cores: &[u32]) -> longshore_core::driver::Resources {
    longshore_core::driver::Resources { cpu_mhz, cpu_cores: cores.into(), ..Default::default() }
}

struct Case {
    job: Job,
    group: TaskGroup,
    task: Task,
    ports: Vec<Port>,
    promised: longshore_core::driver::Resources,
    host_env: BTreeMap<String, String>,
    node: BTreeMap<String, String>,
}

impl Case {
    fn new(task: Task, group: TaskGroup, ports: Vec<Port>) -> Self {
        let job = Job { id: "example".into(), name: "Example".into(), ..Job::default() };
        let group = TaskGroup { name: "g".into(), ..group };
        let promised = promised(task.resources.cpu as u32, &[]);
        Self { job, group, task, ports, promised, host_env: BTreeMap::new(), node: BTreeMap::new() }
    }

    fn build(&self, own_network: Option<OwnNetwork>) -> Variables {
        build(&Source {
            job: &self.job,
            group: &self.group,
            task: &self.task,
            alloc_id: "01234567-89ab-cdef-0123-456789abcdef",
            alloc_name: "example.g[0]",
            alloc_index: 0,
            datacenter: "dc1",
            region: "global",
            dirs: &dirs(),
            ports: &self.ports,
            own_network,
            resources: &self.promised,
            host_env: &self.host_env,
            node: &self.node,
        })
    }
}

fn assert_has(env: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(env.get(*key).map(String::as_str), Some(*value), "{key}");
    }
}

#[test]
fn built_ins() {
    let resources = Resources { cpu: 500, memory_mb: 256, memory_max_mb: 512, ..Resources::default() };
    let env = Case::new(Task { resources, ..web() }, TaskGroup::default(), Vec::new()).build(None).env;
    let expected = [
        ("NOMAD_ALLOC_DIR", "/data/allocs/a1/alloc"),
        ("NOMAD_ALLOC_ID", "01234567-89ab-cdef-0123-456789abcdef"),
        ("NOMAD_ALLOC_INDEX", "0"),
        ("NOMAD_ALLOC_NAME", "example.g[0]"),
        ("NOMAD_CPU_LIMIT", "500"),
        ("NOMAD_DC", "dc1"),
        ("NOMAD_GROUP_NAME", "g"),
        ("NOMAD_JOB_ID", "example"),
        ("NOMAD_JOB_NAME", "Example"),
        ("NOMAD_MEMORY_LIMIT", "256"),
        ("NOMAD_MEMORY_MAX_LIMIT", "512"),
        ("NOMAD_NAMESPACE", "default"),
        ("NOMAD_REGION", "global"),
        ("NOMAD_SECRETS_DIR", "/data/allocs/a1/web/secrets"),
        ("NOMAD_SHORT_ALLOC_ID", "01234567"),
        ("NOMAD_TASK_DIR", "/data/allocs/a1/web/local"),
        ("NOMAD_TASK_NAME", "web"),
    ];
    let found: Vec<(&str, &str)> = env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
}

/// `TestEnvironment_AsList`: networks in the legacy place.
#[test]
fn legacy_network() {
    let legacy = |labels: &[&str]| Resources { networks: vec![network(labels)], ..Resources::default() };
    let task = Task {
        config: json!({ "port_map": [{ "https": 443 }] }),
        env: BTreeMap::from([("taskEnvKey".into(), "taskEnvVal".into())]),
        meta: BTreeMap::from([("foo".into(), "bar".into())]),
        resources: legacy(&["https", "http"]),
        ..web()
    };
    let ssh = Task { name: "ssh".into(), resources: legacy(&["other", "ssh"]), ..Task::default() };
    let mail = Task { name: "mail".into(), resources: legacy(&["ipv6"]), ..Task::default() };
    let group = TaskGroup { tasks: vec![task.clone(), ssh, mail], ..TaskGroup::default() };
    let ports = vec![
        port("https", "127.0.0.1", 8080, 8080),
        port("http", "127.0.0.1", 80, 80),
        port("other", "192.168.0.100", 1234, 1234),
        port("ssh", "192.168.0.100", 22, 22),
        port("ipv6", "fd12:3456:789a:1::1", 2222, 2222),
    ];
    let env = Case::new(task, group, ports).build(None).env;
    assert_has(
        &env,
        &[
            ("taskEnvKey", "taskEnvVal"),
            ("NOMAD_IP", "127.0.0.1"),
            ("NOMAD_ADDR_http", "127.0.0.1:80"),
            ("NOMAD_PORT_http", "80"),
            ("NOMAD_PORT_HTTP", "80"),
            ("NOMAD_IP_http", "127.0.0.1"),
            ("NOMAD_IPv4_http", "127.0.0.1"),
            ("NOMAD_ADDR_https", "127.0.0.1:8080"),
            ("NOMAD_PORT_https", "443"),
            ("NOMAD_IP_https", "127.0.0.1"),
            ("NOMAD_HOST_PORT_https", "8080"),
            ("NOMAD_HOST_PORT_http", "80"),
            ("NOMAD_ADDR_ssh_other", "192.168.0.100:1234"),
            ("NOMAD_ADDR_ssh_ssh", "192.168.0.100:22"),
            ("NOMAD_IP_ssh_ssh", "192.168.0.100"),
            ("NOMAD_PORT_ssh_ssh", "22"),
            ("NOMAD_ADDR_mail_ipv6", "[fd12:3456:789a:1::1]:2222"),
            ("NOMAD_META_FOO", "bar"),
            ("NOMAD_META_foo", "bar"),
        ],
    );
    assert!(!env.contains_key("NOMAD_PORT_ssh"), "other tasks' ports have their task's name");
}

/// `TestEnvironment_AllValues`: group ports.
#[test]
fn group_network() {
    let group = TaskGroup { networks: vec![network(&["admin", "static", "to", "my-port"])], ..TaskGroup::default() };
    let ports = vec![
        port("admin", "127.0.0.1", 32000, 9000),
        port("static", "127.0.0.1", 9997, 97),
        port("to", "127.0.0.1", 9998, 9998),
        port("my-port", "127.0.0.1", 20000, 20000),
    ];
    let case = Case::new(web(), group, ports);
    let env = case.build(Some(OwnNetwork { interface: "eth0", address: "172.26.64.19" })).env;
    assert_has(
        &env,
        &[
            ("NOMAD_ADDR_admin", "127.0.0.1:32000"),
            ("NOMAD_HOST_ADDR_admin", "127.0.0.1:32000"),
            ("NOMAD_IP_admin", "127.0.0.1"),
            ("NOMAD_HOST_IP_admin", "127.0.0.1"),
            ("NOMAD_PORT_admin", "9000"),
            ("NOMAD_ALLOC_PORT_admin", "9000"),
            ("NOMAD_HOST_PORT_admin", "32000"),
            ("NOMAD_ALLOC_INTERFACE_admin", "eth0"),
            ("NOMAD_ALLOC_IP_admin", "172.26.64.19"),
            ("NOMAD_ALLOC_ADDR_admin", "172.26.64.19:9000"),
            ("NOMAD_PORT_static", "97"),
            ("NOMAD_HOST_PORT_static", "9997"),
            ("NOMAD_PORT_to", "9998"),
            ("NOMAD_HOST_PORT_to", "9998"),
            ("NOMAD_PORT_my_port", "20000"),
            ("NOMAD_HOST_ADDR_my-port", "127.0.0.1:20000"),
        ],
    );
    assert!(!case.build(None).env.contains_key("NOMAD_ALLOC_IP_admin"), "only with an own namespace");
}

#[test]
fn meta_is_merged_interpolated_and_cleaned() {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let task =
        Task { meta: map(&[("taskMetaKey-${NOMAD_TASK_NAME}", "v-${node.unique.name}"), ("level", "task")]), ..web() };
    let group = TaskGroup { meta: map(&[("level", "group"), ("from", "group")]), ..TaskGroup::default() };
    let mut case = Case::new(task, group, Vec::new());
    case.job.meta = map(&[("level", "job"), ("owner", "me")]);
    case.node = map(&[("node.unique.name", "n1")]);
    assert_has(
        &case.build(None).env,
        &[
            ("NOMAD_META_taskMetaKey_web", "v-n1"),
            ("NOMAD_META_TASKMETAKEY_WEB", "v-n1"),
            ("NOMAD_META_level", "task"),
            ("NOMAD_META_from", "group"),
            ("NOMAD_META_owner", "me"),
            ("NOMAD_META_OWNER", "me"),
        ],
    );
}

#[test]
fn precedence() {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let task = Task {
        env: map(&[
            ("PATH", "/mine"),
            ("test", "${node.class}-${attr.arch}"),
            ("test-one-two", "1"),
            ("NOMAD_test_one_two", "2"),
            ("unknown", "${nothing}"),
        ]),
        ..web()
    };
    let mut case = Case::new(task, TaskGroup::default(), Vec::new());
    case.host_env = map(&[("PATH", "/host"), ("HOME", "/root"), ("NOMAD_ALLOC_ID", "forged")]);
    case.node = map(&[("node.class", "c"), ("attr.arch", "x86")]);
    assert_has(
        &case.build(None).env,
        &[
            ("PATH", "/mine"),
            ("HOME", "/root"),
            ("NOMAD_ALLOC_ID", "01234567-89ab-cdef-0123-456789abcdef"),
            ("test", "c-x86"),
            ("test-one-two", "1"),
            ("NOMAD_test_one_two", "2"),
            ("unknown", "${nothing}"),
        ],
    );
}

#[test]
fn port_maps_in_all_spellings() {
    for spelling in [
        json!({ "port_map": { "ssh": 22, "http": 80 } }),
        json!({ "port_map": [{ "ssh": 22 }, { "http": "80" }] }),
        json!({ "port_map": [{ "ssh": 22, "http": 80 }] }),
    ] {
        assert_eq!(port_map(&spelling), BTreeMap::from([("ssh", 22), ("http", 80)]), "{spelling}");
    }
    assert!(port_map(&json!({ "port_map": "80" })).is_empty());
}

#[test]
fn whole_cores_are_named() {
    let mut case = Case::new(web(), TaskGroup::default(), vec![]);
    case.promised = promised(4000, &[6, 0, 5, 7]);
    assert_has(&case.build(None).env, &[("NOMAD_CPU_CORES", "0,5-7"), ("NOMAD_CPU_LIMIT", "4000")]);
}
