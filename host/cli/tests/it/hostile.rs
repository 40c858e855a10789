//! A driver that builds engine documents of its own, in the real sandbox, against the machine's own engine: it gets
//! what the operator's policy says, and no more.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use longshore_core::{
    backends::Backends,
    caller::{AllocId, DriverName, TaskDirs, TaskId},
    driver::{Driver, Resources, Task, TaskNetwork, Watch},
    grant::Grant,
    policy::Policy,
};
use longshore_fake::Fake;
use longshore_linux::{
    code::CodeDirectory,
    engine::docker::{AuthSources, Dangling, Docker, DockerConfig, ImageGc, PullLimits},
};
use longshore_wasm::{
    engine::{Engine, EngineConfig},
    loader::{DriverConfig, Source},
    registry::Registry,
};
use serde_json::{Map, Value, json};

use crate::{docker::Image, harness::run};

/// The engine, the hostile driver compiled, an image, and somebody else's container.
struct Stage {
    engine: Engine,
    component: PathBuf,
    image: Image,
    agent: String,
    victim: String,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(test: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hostile");
        let built = xtask::component::build(&source, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile")).unwrap();
        let component = dir.path().join("hostile.wasm");
        std::fs::write(&component, built).unwrap();
        let code = CodeDirectory::open(&dir.path().join("cache")).unwrap();
        let engine = Engine::new(EngineConfig { code: Some(Arc::new(code)), ..EngineConfig::default() }).unwrap();
        let image = Image::make(test);
        let agent = format!("{test}-{}", std::process::id());
        let victim = run("docker", &["create", "--network", "none", &image.0, "sh"]).ok().trim().to_owned();
        Self { engine, component, image, agent, victim, dir }
    }

    /// Has the driver ask for a container under a policy: the container's id, or the refusal.
    async fn ask(&self, policy: &Policy, wish: &Value) -> Result<String, String> {
        let docker = Arc::new(Docker::new(DockerConfig {
            endpoint: None,
            tls: None,
            agent: self.agent.clone(),
            policies: BTreeMap::from([(DriverName("hostile".into()), policy.clone())]),
            auth: AuthSources::default(),
            pull_limits: PullLimits::default(),
            image_gc: ImageGc::default(),
            dangling: Dangling::default(),
            disable_log_collection: false,
        }));
        let backends = Backends { containers: Some(docker), ..Fake::new().backends() };
        let grants = [Grant::Containers, Grant::Processes, Grant::Ports, Grant::State].into_iter().collect();
        let source = Source::File(self.component.clone());
        let config = DriverConfig { grants, policy: policy.clone(), ..DriverConfig::new(source) };
        let driver = Registry::new(self.engine.clone(), backends).add(config).await.unwrap();
        let started = driver.start(&self.task(wish)).await.map_err(|refused| refused.error.to_string())?;
        let Watch::Container(id) = started.watch else { panic!("{:?}", started.watch) };
        Ok(id)
    }

    fn task(&self, wish: &Value) -> Task {
        let mut container = json!({"name": format!("evil-{}", self.agent), "image": self.image.0, "command": ["sh"]});
        container.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        let dir = |part: &str| self.dir.path().join("evil").join(part);
        Task {
            id: TaskId { alloc: AllocId(self.agent.clone()), task: "evil".into() },
            origin: BTreeMap::new(),
            config: json!({"do": "start:create", "container": container}),
            env: BTreeMap::new(),
            user: None,
            resources: Resources::default(),
            ports: Vec::new(),
            network: TaskNetwork { mode: "host".into(), namespace_path: None, holder_container: None, hostname: None },
            dns: None,
            dirs: TaskDirs {
                task: dir(""),
                alloc: dir("alloc"),
                local: dir("local"),
                secrets: dir("secrets"),
                logs: dir("alloc/logs"),
            },
            mounts: Vec::new(),
            devices: Vec::new(),
            logs: Default::default(),
        }
    }

    /// Asserts that a wish is refused, in one line, with all of some words.
    async fn refused(&self, policy: &Policy, wish: &Value, words: &[&str]) {
        match self.ask(policy, wish).await {
            Ok(_) => panic!("{wish} was granted"),
            Err(said) => {
                assert!(words.iter().all(|word| said.contains(word)), "{wish}: {said}; expected {words:?}");
                assert!(!said.contains('\n'), "{said:?}");
            }
        }
    }

    /// Ids of the containers it was given.
    fn given(&self) -> Vec<String> {
        let label = format!("label=longshore.agent={}", self.agent);
        let out = run("docker", &["ps", "-aq", "--filter", &label]).ok();
        out.lines().map(str::to_owned).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for container in self.given().iter().chain([&self.victim]) {
            run("docker", &["rm", "-fv", container]);
        }
        run("docker", &["volume", "rm", "-f", &self.agent]);
    }
}

fn policy(settings: &Value) -> Policy {
    serde_json::from_value(settings.clone()).unwrap()
}

/// One key of `HostConfig`.
fn host(key: &str, value: Value) -> Value {
    json!({"document": {"HostConfig": {key: value}}})
}

/// What is refused, what allows it, and where `docker inspect` shows that it was given then.
struct Row {
    wish: Value,
    /// The policy it is refused under; the defaults unless said.
    under: Value,
    /// The setting that is to be added.
    setting: (&'static str, Value),
    shown: (&'static str, Value),
}

fn row(wish: Value, setting: &'static str, value: Value, path: &'static str, shown: Value) -> Row {
    Row { wish, under: json!({}), setting: (setting, value), shown: (path, shown) }
}

/// Keys that no policy knows, and that `allow_engine_keys` may name.
fn key(name: &'static str, value: Value, path: &'static str) -> Row {
    let setting = json!([format!("HostConfig.{name}")]);
    row(host(name, value.clone()), "allow_engine_keys", setting, path, value)
}

fn rows(stage: &Stage) -> Vec<Row> {
    let beside = format!("container:{}", stage.victim);
    let local = json!({"Type": "volume", "Target": "/d", "Source": stage.agent, "VolumeOptions": {"DriverConfig":
        {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/etc"}}}});
    let volume = json!({"Type": "volume", "Target": "/d", "Source": stage.agent});
    let syslog = |address: &str| json!({"Type": "syslog", "Config": {"syslog-address": address}});
    let device = json!({"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/k", "CgroupPermissions": "rwm"});
    let request = json!({"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]});
    let security = |option: &str| host("SecurityOpt", json!([option]));
    let namespaces = |name: &str| json!([name]);
    let links = json!({"bridge": {"Links": ["x:y"]}});
    let binds = |path: &str| json!({"mounts": [["bind", path, "/x"]]});
    let (yes, devices) = (json!(true), json!(["*"]));
    vec![
        row(host("Privileged", yes.clone()), "allow_privileged", yes.clone(), "/HostConfig/Privileged", yes.clone()),
        row(
            json!({"document": {"hostCONFIG": {"pRIVILEGED": true}}}),
            "allow_privileged",
            yes.clone(),
            "/HostConfig/Privileged",
            yes.clone(),
        ),
        row(
            host("CapAdd", json!(["cap_net_admin"])),
            "allow_caps",
            json!(["net_admin"]),
            "/HostConfig/CapAdd/0",
            json!("cap_net_admin"),
        ),
        row(host("CapAdd", json!(["ALL"])), "allow_caps", json!(["all"]), "/HostConfig/CapAdd/0", json!("ALL")),
        row(
            security("seccomp=unconfined"),
            "allow_security_opts",
            json!(["seccomp"]),
            "/HostConfig/SecurityOpt/0",
            json!("seccomp=unconfined"),
        ),
        row(
            security("apparmor=unconfined"),
            "allow_security_opts",
            json!(["apparmor"]),
            "/HostConfig/SecurityOpt/0",
            json!("apparmor=unconfined"),
        ),
        row(
            security("label=disable"),
            "allow_security_opts",
            json!(["label"]),
            "/HostConfig/SecurityOpt/0",
            json!("label=disable"),
        ),
        row(
            host("Devices", json!([device])),
            "allow_devices",
            json!(["/dev/kmsg"]),
            "/HostConfig/Devices/0/PathOnHost",
            json!("/dev/kmsg"),
        ),
        row(
            host("DeviceCgroupRules", json!(["a *:* rwm"])),
            "allow_devices",
            devices.clone(),
            "/HostConfig/DeviceCgroupRules/0",
            json!("a *:* rwm"),
        ),
        row(
            host("DeviceRequests", json!([request])),
            "allow_devices",
            devices,
            "/HostConfig/DeviceRequests/0/Driver",
            json!("nvidia"),
        ),
        row(
            host("PidMode", json!("host")),
            "allow_host_namespaces",
            namespaces("pid"),
            "/HostConfig/PidMode",
            json!("host"),
        ),
        row(
            host("PidMode", json!(beside)),
            "allow_host_namespaces",
            namespaces("pid:container:*"),
            "/HostConfig/PidMode",
            json!(beside),
        ),
        row(
            host("IpcMode", json!("host")),
            "allow_host_namespaces",
            namespaces("ipc"),
            "/HostConfig/IpcMode",
            json!("host"),
        ),
        row(
            host("UTSMode", json!("host")),
            "allow_host_namespaces",
            namespaces("uts"),
            "/HostConfig/UTSMode",
            json!("host"),
        ),
        row(
            host("UsernsMode", json!("host")),
            "allow_host_namespaces",
            namespaces("user"),
            "/HostConfig/UsernsMode",
            json!("host"),
        ),
        row(
            host("CgroupnsMode", json!("host")),
            "allow_host_namespaces",
            namespaces("cgroup"),
            "/HostConfig/CgroupnsMode",
            json!("host"),
        ),
        row(
            host("Runtime", json!("io.containerd.runc.v2")),
            "allow_runtimes",
            json!(["io.containerd.runc.v2"]),
            "/HostConfig/Runtime",
            json!("io.containerd.runc.v2"),
        ),
        row(
            host("VolumeDriver", json!("local")),
            "allow_volumes",
            yes.clone(),
            "/HostConfig/VolumeDriver",
            json!("local"),
        ),
        row(
            json!({"document": {"Volumes": {"/data": {}}}}),
            "allow_volumes",
            yes.clone(),
            "/Mounts/0/Destination",
            json!("/data"),
        ),
        row(host("Mounts", json!([volume])), "allow_volumes", yes.clone(), "/Mounts/0/Name", json!(stage.agent)),
        row(
            json!({"mounts": [["volume", stage.agent, "/d"]]}),
            "allow_volumes",
            yes.clone(),
            "/Mounts/0/Name",
            json!(stage.agent),
        ),
        row(binds("/etc"), "allow_host_binds", json!(["/etc"]), "/Mounts/0/Source", json!("/etc")),
        row(
            json!({"mounts": [["bind:z", "/etc", "/x"]]}),
            "allow_host_binds",
            json!(["/etc"]),
            "/HostConfig/Binds/0",
            json!("/etc:/x:rw,z"),
        ),
        row(
            binds("/var/run/docker.sock"),
            "allow_host_binds",
            json!(["/var/run/docker.sock"]),
            "/Mounts/0/Destination",
            json!("/x"),
        ),
        Row {
            under: json!({"allow_volumes": true}),
            ..row(
                host("Mounts", json!([local])),
                "allow_host_binds",
                json!(["*"]),
                "/Mounts/0/Destination",
                json!("/d"),
            )
        },
        Row {
            under: json!({"allow_host_network": false}),
            ..row(
                json!({"network": "host"}),
                "allow_host_network",
                yes.clone(),
                "/HostConfig/NetworkMode",
                json!("host"),
            )
        },
        row(
            json!({"document": {"NetworkingConfig": {"EndpointsConfig": links}}}),
            "allow_engine_keys",
            json!(["NetworkingConfig.EndpointsConfig.Links"]),
            "/State/Status",
            json!("created"),
        ),
        key("CgroupParent", json!("/evil"), "/HostConfig/CgroupParent"),
        key("MaskedPaths", json!([]), "/HostConfig/MaskedPaths"),
        key("ReadonlyPaths", json!([]), "/HostConfig/ReadonlyPaths"),
        key("VolumesFrom", json!([stage.victim]), "/HostConfig/VolumesFrom"),
        key("OomKillDisable", yes, "/HostConfig/OomKillDisable"),
        key("OomScoreAdj", json!(-500), "/HostConfig/OomScoreAdj"),
        key("Sysctls", json!({"kernel.core_pattern": "|/x"}), "/HostConfig/Sysctls"),
        key("Tmpfs", json!({"/t": "bind"}), "/HostConfig/Tmpfs"),
        key("LogConfig", syslog("udp://192.0.2.1:514"), "/HostConfig/LogConfig"),
        key("LogConfig", syslog("unix:///run/docker.sock"), "/HostConfig/LogConfig"),
    ]
}

#[tokio::test]
async fn each_privilege_is_refused_until_the_setting_that_the_refusal_names_is_there() {
    let stage = Stage::new("hostile-rows");
    let rows = rows(&stage);
    for Row { wish, under, setting: (name, value), .. } in &rows {
        let needed = value[0].as_str().unwrap_or("true").trim_end_matches("container:*");
        stage.refused(&policy(under), wish, &[name, needed]).await;
    }
    assert_eq!(stage.given(), Vec::<String>::new());
    for Row { wish, under, setting: (name, value), shown: (path, expected) } in &rows {
        let mut settings = under.clone();
        settings[*name] = value.clone();
        let id = stage.ask(&policy(&settings), wish).await.unwrap_or_else(|said| panic!("{wish}: {said}"));
        let said: Value = serde_json::from_str(&run("docker", &["inspect", &id]).ok()).unwrap();
        assert_eq!(said[0].pointer(path), Some(expected), "{wish}");
        run("docker", &["rm", "-fv", &id]).ok();
        run("docker", &["volume", "rm", "-f", &stage.agent]);
    }
}

/// Everything an operator can allow.
fn everything() -> Policy {
    policy(&json!({
        "allow_privileged": true, "allow_volumes": true, "allow_host_binds": ["*"], "allow_devices": ["*"],
        "allow_host_namespaces": ["pid", "ipc", "uts", "user", "cgroup"], "allow_caps": ["all"],
        "allow_security_opts": ["*"], "allow_runtimes": ["runc"], "allow_users": ["*"],
        "allow_engine_keys": ["Surprise", "Privileged", "Binds", "HostConfig.Binds", "HostConfig.LogConfig"],
    }))
}

#[tokio::test]
async fn no_setting_gives_a_driver_what_is_the_hosts_or_hidden() {
    let stage = Stage::new("hostile-hidden");
    let document = |document: Value| json!({"document": document});
    let beside = format!("container:{}", stage.victim);
    let (image, victim) = (stage.image.0.as_str(), stage.victim.as_str());
    let name = run("docker", &["inspect", "--format", "{{.Name}}", victim]).ok();
    let table = [
        // What says whose a container is.
        (json!({"labels": {"longshore.alloc_id": "other"}}), "the host's own"),
        (json!({"labels": {"Longshore.Agent": "other"}}), "the host's own"),
        (document(json!({"Labels": {"longshore.task": "other"}})), "use the field `labels`"),
        (json!({"name": name.trim().trim_start_matches('/')}), "which is not this task's"),
        (json!({"name": "../../images/prune"}), "container name"),
        (json!({"image": "x?fromSrc=-&y"}), "image"),
        // What the typed fields say, and the host alone.
        (document(json!({"Image": image})), "use the field `image`"),
        (document(json!({"env": ["LD_PRELOAD=/x"]})), "use the field `env`"),
        (document(json!({"User": "0"})), "use the field `user`"),
        (document(json!({"Entrypoint": ["/x"]})), "use the field `entrypoint`"),
        (host("Binds", json!(["/:/host"])), "use the field `mounts`"),
        (host("binds", json!(["/:/host"])), "use the field `mounts`"),
        (host("Mounts", json!([{"Type": "bind", "Source": "/", "Target": "/host"}])), "use the field `mounts`"),
        (host("NetworkMode", json!("host")), "use the field `network`"),
        (host("PortBindings", json!({"22/tcp": [{"HostPort": "22"}]})), "use the field `ports`"),
        (host("Memory", json!(1)), "use the field `limits.memory-mib`"),
        (host("MemorySwap", json!(-1)), "no swap"),
        (host("MemorySwappiness", json!(100)), "no swap"),
        (host("AutoRemove", json!(true)), "the host's own"),
        (host("PublishAllPorts", json!(true)), "the host's own"),
        (host("RestartPolicy", json!({"Name": "always"})), "the host's own"),
        // Hidden by case, by letters that some engines fold, by a second time.
        (host("RestartPolicy", json!({"Name": "no", "name": "always"})), "HostConfig.RestartPolicy.name"),
        (host("LogConfig", json!({"Type": "none", "type": "syslog"})), "HostConfig.LogConfig.type"),
        (host("Devices", json!([{"PathOnHost": "/dev/null", "pathonhost": "/dev/sda"}])), "Devices[0].pathonhost"),
        (
            host("Mounts", json!([{"Type": "tmpfs", "Target": "/t", "type": "bind", "source": "/"}])),
            "HostConfig.Mounts[].",
        ),
        (host("Mounts", json!([{"Type": "tmpfs", "Target": "/t", "tmpfsoptions": {}}])), "[].tmpfsoptions"),
        (host("Bind\u{17f}", json!(["/:/host"])), "allow_engine_keys"),
        (json!({"document": r#"{"HostConfig": {"Init": true}, "hostconfig": {"Privileged": true}}"#}), "given twice"),
        (json!({"document": r#"{"HostConfig": {"Init": true, "INIT": false}}"#}), "given twice"),
        (json!({"document": r#"{"HostConfig": {"AutoRemove": false, "AutoRemove": true}}"#}), "the host's own"),
        (json!({"document": "[]"}), "engine-options must be a JSON object"),
        (json!({"document": "{"}), "engine-options must be a JSON object"),
        // Docker reads keys of HostConfig at the top, too.
        (document(json!({"Privileged": true})), "engine option `Privileged` is not one this host can pass on"),
        (document(json!({"Binds": ["/:/host"]})), "engine option `Binds` is not one this host can pass on"),
        (document(json!({"Surprise": 1})), "engine option `Surprise` is not one this host can pass on"),
        (document(json!({"Init": "/evil"})), "allow_engine_keys"),
        // Networks of others.
        (json!({"network": beside}), "not found"),
        (json!({"network": format!("named:{beside}")}), "not the name of a network"),
        (json!({"network": "named:host"}), "is a network mode"),
        (json!({"network": "other:ns:/proc/1/ns/net"}), "not supported"),
        (document(json!({"NetworkingConfig": {"EndpointsConfig": {"other": {}}}})), "not the container's `network`"),
        (json!({"ports": [["0.0.0.0", 22]]}), "not one of the allocation's"),
        (json!({"mounts": [["npipe", "/x", "/y"]]}), "not supported"),
        (json!({"mounts": [["volume", "/etc", "/x"]]}), "not the name of a volume"),
        (json!({"mounts": [["bind", "/etc/../root", "/x"]]}), "`..`"),
    ];
    for (wish, words) in &table {
        stage.refused(&everything(), wish, &[words]).await;
    }
    assert_eq!(stage.given(), Vec::<String>::new());
    assert_eq!(run("docker", &["inspect", "--format", "{{.State.Status}}", victim]).ok().trim(), "created");
}

/// Nomad's sets: what the operator allows, what the task adds and drops, and what a shell of root then has.
#[tokio::test]
async fn capabilities_are_what_policy_and_task_leave() {
    let stage = Stage::new("hostile-caps");
    // Docker's own 14, by number: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
    // net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
    const ENGINES: u64 = 0xa804_25fb;
    const NET_RAW: u64 = 1 << 13;
    const NET_ADMIN: u64 = 1 << 12;
    const FOWNER_MKNOD: u64 = 1 << 3 | 1 << 27;
    let (usual, two, any) = (json!({}), json!({"allow_caps": ["fowner", "mknod"]}), json!({"allow_caps": ["all"]}));
    type Row<'a> = (&'a Value, &'a [&'a str], &'a [&'a str], Result<u64, &'a str>);
    let table: [Row; 11] = [
        (&usual, &[], &[], Ok(ENGINES & !NET_RAW)),
        (&usual, &["fowner", "mknod"], &["all"], Ok(FOWNER_MKNOD)),
        (&usual, &["CAP_FOWNER", "Mknod"], &["ALL"], Ok(FOWNER_MKNOD)),
        (&usual, &["net_admin"], &[], Err("driver does not allow the following capabilities: net_admin")),
        (&usual, &[], &["fowner", "mknod", "net_raw"], Ok(ENGINES & !NET_RAW & !FOWNER_MKNOD)),
        (&two, &[], &[], Ok(FOWNER_MKNOD)),
        (&two, &[], &["all"], Ok(0)),
        (&two, &["fowner", "mknod"], &[], Ok(FOWNER_MKNOD)),
        (&two, &["net_admin"], &[], Err("driver does not allow the following capabilities: net_admin")),
        (&any, &[], &[], Ok(ENGINES)),
        (&any, &["net_admin"], &[], Ok(ENGINES | NET_ADMIN)),
    ];
    for (allowed, add, drop, expected) in table {
        let options: Map<_, _> = [("CapAdd".into(), json!(add)), ("CapDrop".into(), json!(drop))].into_iter().collect();
        let command = json!(["sh", "-c", "busybox grep CapEff /proc/self/status"]);
        let wish = json!({"command": command, "network": "none", "document": {"HostConfig": options}});
        match (stage.ask(&policy(allowed), &wish).await, expected) {
            (Ok(id), Ok(mask)) => {
                let said = run("docker", &["start", "-a", &id]).ok();
                assert_eq!(said.trim(), format!("CapEff:\t{mask:016x}"), "{allowed} +{add:?} -{drop:?}");
                run("docker", &["rm", "-f", &id]).ok();
            }
            (Err(said), Err(words)) => assert!(said.contains(words), "{said}"),
            (made, expected) => panic!("{allowed} +{add:?} -{drop:?}: {made:?}, expected {expected:?}"),
        }
    }
}
