use serde_json::{Map, Value, json};

use super::*;
use crate::{
    caller::{AllocId, TaskDirs, TaskId},
    component::ComponentKind,
    container::{ContainerNetwork, PortBinding},
    port::{Port, Protocol},
    process::Isolation,
    workload::{Limits, LogLimits},
};

fn scope() -> TaskScope {
    let port = |label: &str, ip: &str, number, protocol| Port {
        label: label.into(),
        host_ip: ip.into(),
        host_port: number,
        task_port: 80,
        protocol,
        is_named: false,
    };
    TaskScope {
        id: TaskId { alloc: AllocId("a1".into()), task: "web".into() },
        dirs: TaskDirs {
            task: "/var/ls/a1/web".into(),
            alloc: "/var/ls/a1/alloc".into(),
            local: "/var/ls/a1/web/local".into(),
            secrets: "/var/ls/a1/web/secrets".into(),
            logs: "/var/ls/a1/alloc/logs".into(),
        },
        ports: vec![
            port("http", "192.0.2.7", 8080, Protocol::Both),
            port("dns", "0.0.0.0", 5353, Protocol::Udp),
            port("six", "2001:db8::1", 6000, Protocol::Both),
        ],
        logs: LogLimits::default(),
        network_namespace: None,
    }
}

fn spec() -> ContainerSpec {
    ContainerSpec {
        name: "web-a1".into(),
        image: "web:1".into(),
        entrypoint: vec![],
        command: vec![],
        env: vec![],
        working_dir: None,
        user: None,
        hostname: None,
        labels: vec![],
        mounts: vec![],
        network: ContainerNetwork::Default,
        ports: vec![],
        limits: Limits::default(),
        engine_options: None,
    }
}

/// `{"allow_…": …}` laid over the defaults.
fn policy(settings: Value) -> Policy {
    serde_json::from_value(settings).unwrap()
}

/// Asserts that a check passes (`""`) or is refused with all of some words.
#[track_caller]
fn expect(result: Result<()>, words: &str, about: &dyn std::fmt::Debug) {
    match result {
        Ok(()) => assert!(words.is_empty(), "{about:?} passed; expected {words:?}"),
        Err(error) => {
            let said = error.to_string();
            assert!(
                !words.is_empty() && words.split('&').all(|word| said.contains(word)),
                "{about:?}: {said}; expected {words:?}"
            );
            assert!(!said.contains('\n'), "{said:?}");
        }
    }
}

#[test]
fn engine_options_meet_policy() {
    let host = |key: &str, value: Value| json!({"HostConfig": {key: value}});
    let none = || json!({});
    let table: Vec<(Value, Value, &str)> = vec![
        (none(), json!({}), ""),
        (none(), json!({"Tty": true, "OpenStdin": true, "StopSignal": "SIGQUIT"}), ""),
        (none(), json!({"tTy": true}), ""),
        (none(), json!({"Tty": true, "tty": false}), "invalid&twice"),
        (none(), json!({"HostConfig": {"Init": true}, "hostconfig": {"Privileged": true}}), "invalid&twice"),
        (none(), json!({"HostConfig": {"Init": true, "INIT": true}}), "invalid&twice"),
        (none(), json!({"hostCONFIG": {"pRIVILEGED": true}}), "allow_privileged"),
        (none(), json!({"HostConfig": "x"}), "invalid&must be an object"),
        (none(), json!({"HostConfig": null}), ""),
        (none(), json!({"Image": "other"}), "denied&use the field `image`"),
        (none(), json!({"env": []}), "use the field `env`"),
        (none(), json!({"Labels": {"longshore.driver": "x"}}), "use the field `labels`"),
        // Docker also reads keys of HostConfig at the top level.
        (none(), json!({"Privileged": true}), "allow_engine_keys"),
        (none(), json!({"Binds": ["/:/host"]}), "allow_engine_keys"),
        (none(), json!({"Surprise": 1}), "denied&\"Surprise\"&allow_engine_keys"),
        (json!({"allow_engine_keys": ["surprise"]}), json!({"Surprise": 1}), ""),
        // A letter that folds to `s` in some engines is not `s` here.
        (none(), host("Bind\u{17f}", json!(["/:/host"])), "allow_engine_keys"),
        (
            none(),
            host("Privileged", json!(true)),
            "denied&privileged containers are not allowed&`allow_privileged = true`",
        ),
        (none(), host("Privileged", json!("true")), "allow_privileged"),
        (none(), host("Privileged", json!(false)), ""),
        (json!({"allow_privileged": true}), host("Privileged", json!(true)), ""),
        (none(), host("Binds", json!(["/etc:/etc"])), "use the field `mounts`"),
        (json!({"allow_engine_keys": ["HostConfig.Binds"]}), host("Binds", json!([])), "use the field `mounts`"),
        (none(), host("Mounts", json!([])), ""),
        (none(), host("NetworkMode", json!("host")), "use the field `network`"),
        (none(), host("VolumesFrom", json!(["other"])), "allow_engine_keys"),
        (none(), host("CgroupParent", json!("/")), "\"HostConfig.CgroupParent\" to `allow_engine_keys`"),
        (none(), host("MaskedPaths", json!([])), "allow_engine_keys"),
        (none(), host("ReadonlyPaths", json!([])), "allow_engine_keys"),
        (none(), host("OomKillDisable", json!(true)), "allow_engine_keys"),
        (none(), host("Links", json!(["other"])), "allow_engine_keys"),
        (none(), host("AutoRemove", json!(true)), "the host's own"),
        (none(), host("AutoRemove", json!(false)), ""),
        (none(), host("RestartPolicy", json!({"Name": "always"})), "`restart` block"),
        (none(), host("RestartPolicy", json!({"Name": "no"})), ""),
        (none(), host("PublishAllPorts", json!(true)), "the host's own"),
        (none(), host("MemorySwap", json!(-1)), "no swap"),
        (
            none(),
            host("CapAdd", json!(["CAP_NET_ADMIN"])),
            "driver does not allow the following capabilities: net_admin",
        ),
        (none(), host("CapAdd", json!(["fowner", "MKNOD"])), ""),
        (none(), host("CapAdd", json!(["ALL"])), "capabilities: all"),
        (
            json!({"allow_caps": ["fowner", "mknod"]}),
            host("CapAdd", json!(["net_admin", "chown"])),
            "capabilities: net_admin, chown",
        ),
        (json!({"allow_caps": ["All"]}), host("CapAdd", json!(["ALL", "net_admin"])), ""),
        (none(), host("CapAdd", json!("net_admin")), "invalid&list of strings"),
        (none(), host("CapDrop", json!(["ALL"])), ""),
        (none(), host("SecurityOpt", json!(["no-new-privileges"])), ""),
        (none(), host("SecurityOpt", json!(["seccomp=unconfined"])), "\"seccomp\" to `allow_security_opts`"),
        (none(), host("SecurityOpt", json!(["no-new-privileges:false"])), "allow_security_opts"),
        (json!({"allow_security_opts": ["seccomp"]}), host("SecurityOpt", json!(["seccomp={}"])), ""),
        (
            json!({"allow_security_opts": ["apparmor=x"]}),
            host("SecurityOpt", json!(["apparmor=unconfined"])),
            "apparmor",
        ),
        (none(), host("Runtime", json!("runc")), ""),
        (none(), host("Runtime", json!("evil")), "requested runtime \"evil\" is not allowed&allow_runtimes"),
        (none(), host("PidMode", json!("host")), "\"pid\" to `allow_host_namespaces`"),
        (json!({"allow_host_namespaces": ["pid"]}), host("PidMode", json!("host")), ""),
        (json!({"allow_host_namespaces": ["pid"]}), host("IpcMode", json!("host")), "ipc"),
        (json!({"allow_host_namespaces": ["pid"]}), host("PidMode", json!("container:other")), "denied"),
        (json!({"allow_host_namespaces": ["pid:container:*"]}), host("PidMode", json!("container:other")), ""),
        (json!({"allow_host_namespaces": ["pid:container:*"]}), host("PidMode", json!("host")), "denied"),
        (json!({"allow_host_namespaces": ["pid:*"]}), host("IpcMode", json!("host")), "denied"),
        (json!({"allow_host_namespaces": ["ipc:*"]}), host("IpcMode", json!("host")), ""),
        (none(), host("IpcMode", json!("private")), ""),
        (none(), host("IpcMode", json!("container:other")), "denied"),
        (none(), host("UTSMode", json!("host")), "allow_host_namespaces"),
        (none(), host("UsernsMode", json!("host")), "allow_host_namespaces"),
        (none(), host("CgroupnsMode", json!("host")), "allow_host_namespaces"),
        (none(), host("CgroupnsMode", json!("private")), ""),
        (none(), host("Devices", json!([{"PathOnHost": "/dev/fuse"}])), "\"/dev/fuse\" to `allow_devices`"),
        (json!({"allow_devices": ["/dev/fuse"]}), host("Devices", json!([{"PathOnHost": "/dev//fuse"}])), ""),
        (json!({"allow_devices": ["/dev/fuse"]}), host("Devices", json!([{"PathOnHost": "/dev/x/../sda"}])), "invalid"),
        (json!({"allow_devices": ["/dev/fuse"]}), host("Devices", json!([{"pathonhost": "/dev/sda"}])), "invalid"),
        (none(), host("DeviceCgroupRules", json!(["a *:* rwm"])), "allow_devices"),
        (none(), host("DeviceRequests", json!([{"Count": -1}])), "allow_devices"),
        (json!({"allow_devices": ["*"]}), host("DeviceRequests", json!([{"Count": -1}])), ""),
        (none(), host("OomScoreAdj", json!(100)), ""),
        (none(), host("OomScoreAdj", json!(-1000)), "allow_engine_keys"),
        (none(), host("OomScoreAdj", json!(-0.5)), "invalid"),
        (none(), host("LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1m"}})), ""),
        (none(), host("LogConfig", json!({"Type": "syslog"})), "HostConfig.LogConfig"),
        (none(), host("Sysctls", json!({"net.core.somaxconn": "16", "kernel.shm_rmid_forced": "1"})), ""),
        (none(), host("Sysctls", json!({"kernel.core_pattern": "|/x"})), "sysctl \"kernel.core_pattern\""),
        (none(), host("Sysctls", json!({"kernel/core_pattern": "|/x"})), "would change the host"),
        (
            json!({"allow_host_namespaces": ["ipc:*"]}),
            json!({"hostconfig": {"ipcmode": "host", "Sysctls": {"kernel.shmmax": "1"}}}),
            "sysctl \"kernel.shmmax\" would change the host",
        ),
        (json!({"allow_host_namespaces": ["ipc:*"]}), host("Sysctls", json!({"kernel.shmmax": "1"})), ""),
        (none(), host("Tmpfs", json!({"/t": "", "/u": "size=1m,mode=0700,noexec"})), ""),
        (none(), host("Tmpfs", json!({"/t": "rw", "/u": "size=1m,bind"})), "\"bind\"&\"HostConfig.Tmpfs\""),
        (none(), host("Tmpfs", json!({"/t": "remount,rw"})), "\"remount\""),
        (none(), host("Tmpfs", json!({"/t": ["bind"]})), "invalid"),
        (none(), host("Tmpfs", json!(["/t"])), "invalid"),
        (none(), host("VolumeDriver", json!("nfs")), "allow_volumes"),
        (none(), json!({"Volumes": {"/data": {}}}), "allow_volumes"),
        (none(), host("Ulimits", json!([{"Name": "nofile", "Soft": 1, "Hard": 1}])), ""),
        (none(), json!({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["x"]}}}}), ""),
        (none(), json!({"NetworkingConfig": {"EndpointsConfig": {"host": {}}}}), "not the container's"),
        (
            none(),
            json!({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Links": ["x"]}}}}),
            "EndpointsConfig.Links",
        ),
        (none(), json!({"NetworkingConfig": {"Other": {}}}), "NetworkingConfig.Other"),
    ];
    for (settings, options, words) in table {
        let Value::Object(options) = options else { panic!("not an object") };
        let wanted = ContainerSpec { engine_options: Some(options.clone()), ..spec() };
        expect(policy(settings).check_container(&wanted, &scope()), words, &options);
    }
}

#[test]
fn mounts_of_the_engines_own_document_show_no_path_of_the_host() {
    let volume = |options: Value| json!({"Type": "volume", "Source": "data", "Target": "/d", "VolumeOptions": options});
    let local = |options: Value| volume(json!({"DriverConfig": {"Name": "local", "Options": options}}));
    let (none, volumes) = (json!({}), json!({"allow_volumes": true}));
    let everything = json!({"allow_volumes": true, "allow_host_binds": ["*"]});
    let bind = json!({"type": "none", "o": "bind", "device": "/etc"});
    let table = [
        (&none, json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1}}), ""),
        (
            &none,
            json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"Options": [["bind"]]}}),
            "TmpfsOptions.Options",
        ),
        (&none, volume(json!({})), "volumes are not enabled; cannot mount volume: \"data\"&allow_volumes"),
        (&volumes, volume(json!({"NoCopy": true, "Labels": {"a": "b"}})), ""),
        (&volumes, volume(json!({"DriverConfig": {"Name": "pxd", "Options": {"size": "1"}}})), ""),
        (&volumes, json!({"Type": "volume", "Source": "/etc", "Target": "/d"}), "not the name of a volume"),
        (&everything, json!({"Type": "bind", "Source": "/etc", "Target": "/d"}), "use the field `mounts`"),
        (&everything, json!({"Source": "/etc", "Target": "/d"}), "use the field `mounts`"),
        (&everything, json!({"Type": "npipe", "Target": "/d"}), "use the field `mounts`"),
        // The engine reads keys without regard to case.
        (&volumes, json!({"Type": "volume", "type": "bind", "Source": "data", "Target": "/d"}), "[].type"),
        (&volumes, json!({"Type": "volume", "BindOptions": {}, "Target": "/d"}), "[].BindOptions"),
        (&volumes, volume(json!({"driverconfig": {"Options": bind}})), "VolumeOptions.driverconfig"),
        (&volumes, volume(json!({"DriverConfig": {"options": bind}})), "DriverConfig.options"),
        (&volumes, local(bind.clone()), "any path of the host&allow_host_binds"),
        (&volumes, volume(json!({"DriverConfig": {"Options": bind}})), "any path of the host"),
        (&volumes, local(json!({"type": "overlay", "o": "lowerdir=/,upperdir=/u"})), "any path of the host"),
        (&volumes, local(json!({"type": "NONE", "o": "bind"})), "any path of the host"),
        // The kernel ignores the type of a bind.
        (&volumes, local(json!({"type": "tmpfs", "o": "bind", "device": "/etc"})), "\"bind\"&tmpfs&allow_host_binds"),
        (&volumes, local(json!({"type": "tmpfs", "o": "size=1m,rbind", "device": "/etc"})), "\"rbind\""),
        (&volumes, local(json!({"type": "nfs", "o": "addr=192.0.2.1,bind", "device": "/etc"})), "\"bind\""),
        (&volumes, local(json!({"type": "nfs4", "o": "remount", "device": "/etc"})), "\"remount\""),
        (&volumes, local(json!({"type": "cifs", "o": "bind,ro", "device": "/etc"})), "\"bind\""),
        (&volumes, local(json!({"type": "cifs", "o": "credentials=/etc/shadow"})), "credentials"),
        (&volumes, local(json!({"type": "tmpfs", "o": "BIND"})), "\"BIND\""),
        (&volumes, local(json!({"type": "tmpfs", "o": ["bind"], "device": "/etc"})), "`o` is a string"),
        (&volumes, local(json!({"type": "tmpfs", "O": "bind", "device": "/etc"})), "Options.O"),
        (&volumes, local(json!({"size": "1g"})), "any path of the host"),
        (&volumes, local(json!({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,,uid=1000,mode=0700,noexec"})), ""),
        (&volumes, local(json!({"type": "nfs", "o": "addr=192.0.2.1,rw,nfsvers=4", "device": ":/x"})), ""),
        (&volumes, local(json!({"type": "cifs", "o": "username=u,password=a=b", "device": "//host/x"})), ""),
        (&volumes, local(json!({})), ""),
        (&everything, local(bind), ""),
        (&none, json!("x"), "must be a list of objects"),
    ];
    for (settings, mount, words) in table {
        let options = json!({"HostConfig": {"Mounts": [mount]}});
        let wanted = ContainerSpec { engine_options: options.as_object().cloned(), ..spec() };
        expect(policy(settings.clone()).check_container(&wanted, &scope()), words, &options);
    }
    let labelled = |source: &str| Mount {
        source: source.into(),
        target: "/d".into(),
        kind: MountKind::Other("bind:z".into()),
        read_only: false,
        propagation: None,
    };
    let with = |mount| ContainerSpec { mounts: vec![mount], ..spec() };
    expect(Policy::default().check_container(&with(labelled("/etc")), &scope()), "allow_host_binds", &"labelled");
    expect(Policy::default().check_container(&with(labelled("/var/ls/a1/web/x")), &scope()), "", &"labelled inside");
}

#[test]
fn sysctls_of_the_network_need_one_of_their_own() {
    let options = json!({"HostConfig": {"Sysctls": {"net.core.somaxconn": "16"}}});
    let wanted =
        ContainerSpec { network: ContainerNetwork::Host, engine_options: options.as_object().cloned(), ..spec() };
    expect(Policy::default().check_container(&wanted, &scope()), "would change the host", &"net sysctl");
}

#[test]
fn no_unlisted_key_passes_by_default() {
    // Every key of the Engine API's HostConfig that no rule names must be refused.
    for key in
        ["Cgroup", "ContainerIDFile", "CpuCount", "CpuRealtimePeriod", "Isolation", "Annotations", "IOMaximumBandwidth"]
    {
        let options: Map<String, Value> = [("HostConfig".to_owned(), json!({key: 1}))].into_iter().collect();
        expect(
            Policy::default().check_container(&ContainerSpec { engine_options: Some(options), ..spec() }, &scope()),
            key,
            &key,
        );
    }
}

#[test]
fn known_keys_take_the_engines_spelling() {
    let options = json!({"tty": true, "hostconfig": {"INIT": true, "custom": 1}, "Else": null});
    let canonical = canonical_options(options.as_object().unwrap()).unwrap();
    assert_eq!(Value::Object(canonical), json!({"Tty": true, "HostConfig": {"Init": true, "custom": 1}, "Else": null}));
}

#[test]
fn host_paths_meet_policy() {
    let table: &[(&[&str], &str, &str)] = &[
        (&[], "/var/ls/a1/web/local/x", ""),
        (&[], "/var/ls/a1/alloc", ""),
        (&[], "/var/ls/a1/alloc/./data//x/", ""),
        (&[], "/var/ls/a1", "denied&allow_host_binds"),
        (&[], "/var/ls/a1/other/secrets", "denied"),
        (&[], "/var/ls/a1/web2", "denied"),
        (&[], "/var/ls/a1/web/../other", "invalid&`..`"),
        (&[], "/var/run/docker.sock", "\"/var/run/docker.sock\" to `allow_host_binds`"),
        (&[], "/", "denied"),
        (&[], "relative", "invalid&not absolute"),
        (&[], "", "invalid"),
        (&[], "/var/ls/a1/web/\0", "invalid&NUL"),
        (&["/srv"], "/srv/data", ""),
        (&["/srv/"], "/srv", ""),
        (&["/srv"], "/srv2", "denied"),
        (&["srv", ""], "/srv", "denied"),
        (&["*"], "/etc", ""),
        (&["*"], "/etc/../x", "invalid"),
    ];
    for (allowed, path, words) in table {
        let policy = policy(json!({"allow_host_binds": allowed}));
        expect(policy.check_host_path(Path::new(path), &scope()), words, path);
        let mount = Mount {
            source: (*path).into(),
            target: "/x".into(),
            kind: MountKind::Bind,
            read_only: true,
            propagation: None,
        };
        expect(policy.check_container(&ContainerSpec { mounts: vec![mount], ..spec() }, &scope()), words, path);
    }
    let empty = TaskDirs { task: "".into(), alloc: "".into(), local: "".into(), secrets: "".into(), logs: "".into() };
    assert!(!empty.contains(Path::new("/etc")), "an empty directory must not contain everything");
}

#[test]
fn typed_fields_meet_policy() {
    let mount =
        |kind| vec![Mount { source: "v".into(), target: "/v".into(), kind, read_only: false, propagation: None }];
    let network = |network| ContainerSpec { network, ..spec() };
    let table: Vec<(Value, ContainerSpec, &str)> = vec![
        (json!({}), spec(), ""),
        (json!({}), ContainerSpec { labels: vec![("team".into(), "x".into())], ..spec() }, ""),
        (
            json!({}),
            ContainerSpec { labels: vec![("longshore.agent".into(), "x".into())], ..spec() },
            "denied&the host's own",
        ),
        (json!({}), ContainerSpec { mounts: mount(MountKind::Volume), ..spec() }, "allow_volumes"),
        (json!({"allow_volumes": true}), ContainerSpec { mounts: mount(MountKind::Volume), ..spec() }, ""),
        (json!({}), ContainerSpec { mounts: mount(MountKind::Tmpfs), ..spec() }, ""),
        (json!({}), ContainerSpec { mounts: mount(MountKind::Other("bind".into())), ..spec() }, "denied"),
        (json!({}), network(ContainerNetwork::Host), ""),
        (json!({"allow_host_network": false}), network(ContainerNetwork::Host), "allow_host_network"),
        (json!({}), network(ContainerNetwork::None), ""),
        (json!({}), network(ContainerNetwork::Named("mine".into())), ""),
        (json!({}), network(ContainerNetwork::Named("HOST".into())), "invalid"),
        (json!({}), network(ContainerNetwork::Named("container:x".into())), "invalid"),
        (json!({}), network(ContainerNetwork::Other("ns:/proc/1/ns/net".into())), "denied"),
    ];
    for (settings, wanted, words) in table {
        expect(policy(settings).check_container(&wanted, &scope()), words, &wanted);
    }
}

#[test]
fn published_ports_are_the_allocations() {
    let table: &[(&str, u16, Protocol, &str)] = &[
        ("192.0.2.7", 8080, Protocol::Both, ""),
        ("192.0.2.7", 8080, Protocol::Tcp, ""),
        ("", 8080, Protocol::Tcp, "denied&8080 on all addresses&http (192.0.2.7:8080)"),
        ("0.0.0.0", 8080, Protocol::Tcp, "denied"),
        ("192.0.2.8", 8080, Protocol::Tcp, "denied"),
        ("", 5353, Protocol::Udp, ""),
        ("127.0.0.1", 5353, Protocol::Udp, ""),
        ("::1", 5353, Protocol::Udp, ""),
        ("", 5353, Protocol::Both, "denied"),
        ("not-an-ip", 5353, Protocol::Udp, "denied"),
        ("2001:db8:0::1", 6000, Protocol::Tcp, ""),
        ("192.0.2.7", 0, Protocol::Tcp, "denied"),
        ("192.0.2.7", 22, Protocol::Tcp, "denied&`port` block"),
    ];
    for (ip, number, protocol, words) in table {
        let binding =
            PortBinding { host_ip: (*ip).into(), host_port: *number, container_port: 80, protocol: protocol.clone() };
        expect(
            Policy::default().check_container(&ContainerSpec { ports: vec![binding], ..spec() }, &scope()),
            words,
            &(ip, number),
        );
    }
}

#[test]
fn default_capabilities_outside_the_policy_are_dropped() {
    assert_eq!(Policy::default().implied_cap_drop(), ["net_raw"]);
    assert!(policy(json!({"allow_caps": ["ALL"]})).implied_cap_drop().is_empty());
    assert_eq!(policy(json!({"allow_caps": ["CAP_CHOWN"]})).implied_cap_drop().len(), 13);
}

#[test]
fn processes_meet_policy() {
    let caps = |names: &[&str]| Isolation {
        capabilities: Some(names.iter().map(|n| (*n).into()).collect()),
        ..Isolation::default()
    };
    let root = |path: &str| Isolation { root_directory: Some(path.into()), ..Isolation::default() };
    let table: Vec<(Value, Option<&str>, Option<Isolation>, &str)> = vec![
        (json!({}), None, None, ""),
        (json!({}), Some(""), None, ""),
        (json!({}), Some("root"), None, "\"root\" to `allow_users`"),
        (json!({"allow_users": ["www"]}), Some("www"), None, ""),
        (json!({"allow_users": ["*"]}), Some("root"), None, ""),
        (json!({}), None, Some(caps(&["chown"])), ""),
        (json!({}), None, Some(caps(&["sys_admin"])), "capabilities: sys_admin"),
        (json!({}), None, Some(root("/var/ls/a1/web")), ""),
        (json!({}), None, Some(root("/")), "allow_host_binds"),
    ];
    for (settings, user, isolation, words) in table {
        let wanted = ProcessSpec {
            command: "/bin/true".into(),
            user: user.map(Into::into),
            isolation,
            ..ProcessSpec::default()
        };
        expect(policy(settings).check_process(&wanted, &scope()), words, &wanted);
    }
}

#[test]
fn components_meet_policy() {
    let (host, own) = (None, Some("/run/netns/a1"));
    let (inside, app) = ("/var/ls/a1/web/local/app.wasm", "/usr/lib/app.wasm");
    let table: &[(Option<&str>, &str, Option<&str>, &str)] = &[
        (host, inside, None, ""),
        (host, app, None, "allow_host_binds"),
        (host, inside, Some("web:80"), "invalid"),
        (host, inside, Some("0.0.0.0:22"), "denied&22"),
        // Reserved on another address, or for another protocol, or only the number inside.
        (host, inside, Some("0.0.0.0:8080"), "denied&8080"),
        (host, inside, Some("192.0.2.8:8080"), "denied&8080"),
        (host, inside, Some("0.0.0.0:5353"), "denied&5353"),
        (host, inside, Some("192.0.2.7:80"), "denied&80"),
        (host, inside, Some("192.0.2.7:8080"), ""),
        (host, inside, Some("[2001:db8::1]:6000"), ""),
        (own, inside, Some("0.0.0.0:8080"), "denied&8080&`to = 8080`&http (80)"),
        (own, inside, Some("0.0.0.0:80"), ""),
        (own, inside, Some("[::]:80"), ""),
    ];
    for (namespace, path, listen, words) in table {
        let scope = TaskScope { network_namespace: namespace.map(Into::into), ..scope() };
        let wanted = ComponentSpec {
            name: "app".into(),
            path: (*path).into(),
            kind: ComponentKind::Command,
            args: vec![],
            env: vec![],
            mounts: vec![],
            listen_address: listen.map(Into::into),
            allow_outbound: false,
            limits: Limits::default(),
        };
        expect(Policy::default().check_component(&wanted, &scope), words, &(namespace, path, listen));
    }
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, expected) in [
        ("*", "dc1", true),
        ("*", "", true),
        ("dc1", "dc1", true),
        ("dc*", "dc1", true),
        ("*-1", "eu-1", true),
        ("eu*1", "eu-west-1", true),
        ("a*b*c", "a-b-b-c", true),
        ("**é*", "café", true),
        ("ü*", "über", true),
        ("aba*ba", "aba", false),
        ("a*c*b", "a-b-c", false),
        ("dc1", "dc12", false),
        ("us*", "eu", false),
        ("", "dc1", false),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
}
