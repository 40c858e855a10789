//! Every option of the docker driver, from the job file to what `docker inspect` says.

use serde_json::{Value, json};

use crate::{
    docker::{Image, containers, gone},
    harness::{Station, eventually, run},
};

/// Everything is allowed, and nothing else is set.
const PERMISSIVE: &str = r#"
driver "docker" {
  policy {
    allow_privileged      = true
    allow_host_binds      = ["*"]
    allow_volumes         = true
    allow_host_namespaces = ["pid", "ipc", "uts", "user", "cgroup"]
    allow_devices         = ["*"]
    allow_caps            = ["all"]
    allow_security_opts   = ["*"]
    allow_engine_keys     = ["HostConfig.Sysctls"]
  }
}
"#;

/// A job whose only task sleeps in a container, with some lines in its `config` and in its group.
pub fn job(image: &str, config: &str, group: &str) -> String {
    format!(
        r#"
job "options" {{
  group "g" {{
    {group}
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    task "t" {{
      driver = "docker"
      config {{
        image   = "{image}"
        command = "sh"
        args    = ["-c", "while :; do busybox sleep 1; done"]
        {config}
      }}
      resources {{
        cpu        = 100
        memory     = 32
        memory_max = 64
      }}
    }}
  }}
}}
"#
    )
}

/// Runs a job and compares what `docker inspect` says with a table of paths.
pub fn expect(station: &Station, text: &str, table: &[(&str, Value)]) {
    let alloc = station.run_job("options", text);
    let container = containers(&alloc).pop().expect("it has a container");
    let said: Value = serde_json::from_str(&run("docker", &["inspect", &container]).ok()).unwrap();
    for (path, expected) in table {
        assert_eq!(said[0].pointer(path).unwrap_or(&Value::Null), expected, "{path}");
    }
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

#[test]
fn options_of_the_container_itself() {
    let image = Image::make("options-self");
    let station = Station::with(PERMISSIVE, &["--dev"]);
    let config = r#"
        work_dir        = "/tmp"
        hostname        = "web1"
        tty             = true
        interactive     = true
        init            = true
        readonly_rootfs = true
        privileged      = false
        cap_add         = ["cap_net_admin"]
        cap_drop        = ["chown"]
        security_opt    = ["no-new-privileges"]
        group_add       = ["7"]
        oom_score_adj   = 50
        pids_limit      = 77
        shm_size        = 1048576
        cpu_hard_limit  = true
        cpu_cfs_period  = 50000
        ipc_mode        = "private"
        pid_mode        = "host"
        uts_mode        = ""
        cgroupns        = "private"
        runtime         = "runc"
        labels { team = "x" }
        sysctl = { "net.core.somaxconn" = "16" }
        ulimit { nofile = "2048:4096" }
        healthchecks { disable = true }
        logging {
          type = "json-file"
          config { max-size = "1m" }
        }
        dns_servers        = ["192.0.2.53"]
        dns_search_domains = ["example.test"]
        dns_options        = ["ndots:2"]
        extra_hosts        = ["db:192.0.2.7"]
        devices {
          host_path      = "/dev/null"
          container_path = "/dev/void"
        }
    "#;
    let table = [
        ("/Config/WorkingDir", json!("/tmp")),
        ("/Config/Hostname", json!("web1")),
        ("/Config/Tty", json!(true)),
        ("/Config/OpenStdin", json!(true)),
        ("/Config/Labels/team", json!("x")),
        ("/Config/Healthcheck/Test", json!(["NONE"])),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/CapAdd", json!(["NET_ADMIN"])),
        ("/HostConfig/CapDrop", json!(["CHOWN"])),
        // The engine adds the label for the host's processes.
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges", "label=disable"])),
        ("/HostConfig/GroupAdd", json!(["7"])),
        ("/HostConfig/OomScoreAdj", json!(50)),
        ("/HostConfig/PidsLimit", json!(77)),
        ("/HostConfig/ShmSize", json!(1_048_576)),
        ("/HostConfig/CpuShares", json!(100)),
        ("/HostConfig/CpuPeriod", json!(50_000)),
        ("/HostConfig/IpcMode", json!("private")),
        ("/HostConfig/PidMode", json!("host")),
        ("/HostConfig/CgroupnsMode", json!("private")),
        ("/HostConfig/Runtime", json!("runc")),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/MemoryReservation", json!(32 << 20)),
        ("/HostConfig/MemorySwap", json!(64 << 20)),
        ("/HostConfig/Sysctls", json!({"net.core.somaxconn": "16"})),
        ("/HostConfig/Ulimits", json!([{"Name": "nofile", "Hard": 4096, "Soft": 2048}])),
        ("/HostConfig/LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1m"}})),
        ("/HostConfig/Dns", json!(["192.0.2.53"])),
        ("/HostConfig/DnsSearch", json!(["example.test"])),
        ("/HostConfig/DnsOptions", json!(["ndots:2"])),
        ("/HostConfig/ExtraHosts", json!(["db:192.0.2.7"])),
        ("/HostConfig/Devices/0/PathInContainer", json!("/dev/void")),
        ("/HostConfig/Devices/0/CgroupPermissions", json!("rwm")),
    ];
    expect(&station, &job(&image.0, config, ""), &table);
}

/// Those that exclude some of the above.
#[test]
fn options_that_give_the_host_away() {
    let image = Image::make("options-host");
    let volume = Volume::new("longshore-it-named");
    let station = Station::with(PERMISSIVE, &["--dev"]);
    let config = format!(
        r#"
        entrypoint    = ["busybox", "env", "INSIDE=1"]
        ipc_mode      = "shareable"
        uts_mode      = "host"
        userns_mode   = "host"
        cgroupns      = "host"
        volume_driver = "local"
        volumes       = ["{}:/data"]
        "#,
        volume.0
    );
    let table = [
        ("/Config/Entrypoint", json!(["busybox", "env", "INSIDE=1"])),
        ("/Config/Cmd", json!(["sh", "-c", "while :; do busybox sleep 1; done"])),
        ("/HostConfig/IpcMode", json!("shareable")),
        ("/HostConfig/UTSMode", json!("host")),
        ("/HostConfig/UsernsMode", json!("host")),
        ("/HostConfig/CgroupnsMode", json!("host")),
        ("/HostConfig/VolumeDriver", json!("local")),
        ("/HostConfig/Mounts/0/Source", json!(volume.0)),
        ("/HostConfig/Mounts/0/Type", json!("volume")),
        ("/HostConfig/Mounts/0/VolumeOptions/DriverConfig/Name", json!("local")),
    ];
    expect(&station, &job(&image.0, &config, ""), &table);

    // What this engine's storage cannot do it says itself: it was asked.
    let asked = job(&image.0, "storage_opt = { size = \"1G\" }", "");
    let said = station.cli(&["job", "run", &station.job("options", &asked)]).refused(1);
    assert!(said.contains("--storage-opt is supported only for"), "{said}");
}

#[test]
fn mounts_and_volumes() {
    let image = Image::make("options-mounts");
    let volume = Volume::new("longshore-it-volume");
    let station = Station::with(PERMISSIVE, &["--dev"]);
    let config = format!(
        r#"
        volumes = ["/usr/share:/share:ro,rprivate", "local:/mine:z"]
        mount {{
          type   = "tmpfs"
          target = "/scratch"
          tmpfs_options {{
            size = 65536
            mode = 448
          }}
        }}
        mount {{
          type   = "volume"
          source = "{0}"
          target = "/data"
          volume_options {{
            no_copy = true
            labels {{ team = "x" }}
            driver_config {{
              name = "local"
              options {{
                type   = "tmpfs"
                device = "tmpfs"
              }}
            }}
          }}
        }}
        "#,
        volume.0
    );
    let table = [
        ("/HostConfig/Mounts/0/TmpfsOptions", json!({"SizeBytes": 65536, "Mode": 448})),
        ("/HostConfig/Mounts/1/Source", json!(volume.0)),
        (
            "/HostConfig/Mounts/1/VolumeOptions",
            json!({"NoCopy": true, "Labels": {"team": "x"},
                   "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}}}),
        ),
        ("/HostConfig/Mounts/2/Target", json!("/alloc")),
        ("/HostConfig/Mounts/3/Target", json!("/alloc/logs")),
        ("/HostConfig/Mounts/3/ReadOnly", json!(true)),
        ("/HostConfig/Mounts/4/Target", json!("/local")),
        ("/HostConfig/Mounts/5/Target", json!("/secrets")),
        ("/HostConfig/Mounts/6/Source", json!("/usr/share")),
        ("/HostConfig/Mounts/6/ReadOnly", json!(true)),
        ("/HostConfig/Mounts/6/BindOptions/Propagation", json!("rprivate")),
    ];
    expect(&station, &job(&image.0, &config, ""), &table);
}

/// Options of a volume can make the kernel bind a path of the host, whatever its type says.
#[test]
fn a_local_volume_shows_no_path_of_the_host() {
    let image = Image::make("options-volume");
    let station = Station::with("driver \"docker\" {\n policy {\n allow_volumes = true\n }\n}\n", &["--dev"]);
    let mount = |kind: &str, options: &str, device: &str| {
        format!(
            r#"
            mount {{
              type   = "volume"
              target = "/d"
              volume_options {{
                driver_config {{
                  name = "local"
                  options {{
                    type   = "{kind}"
                    o      = "{options}"
                    device = "{device}"
                  }}
                }}
              }}
            }}
            "#
        )
    };
    for (kind, options) in [("tmpfs", "bind"), ("nfs", "ro,rbind"), ("cifs", "bind")] {
        let text = job(&image.0, &mount(kind, options, "/etc"), "");
        let said = station.cli(&["job", "run", &station.job("options", &text)]).refused(2);
        assert!(said.contains("bind\" is not known to be harmless") && said.contains("allow_host_binds"), "{said}");
    }
    let alloc = station.run_job("options", &job(&image.0, &mount("tmpfs", "size=3m,mode=0700", "tmpfs"), ""));
    let size = station.cli(&["alloc", "exec", &alloc[..8], "busybox", "df", "-m", "/d"]).ok();
    assert_eq!(size.lines().last().unwrap().split_whitespace().nth(1), Some("3"), "{size}");
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

#[test]
fn the_operators_defaults_reach_every_container() {
    let image = Image::make("options-operator");
    let settings = r#"
plugin "docker" {
  config {
    extra_labels  = ["job_*", "task_name"]
    pids_limit    = 99
    oom_score_adj = 11
    logging {
      type = "local"
    }
    allow_privileged = true
  }
}
"#;
    let station = Station::with(settings, &["--dev"]);
    let table = [
        ("/Config/Labels/com.hashicorp.nomad.job_id", json!("options")),
        ("/Config/Labels/com.hashicorp.nomad.job_name", json!("options")),
        ("/Config/Labels/com.hashicorp.nomad.task_name", json!("t")),
        ("/HostConfig/PidsLimit", json!(99)),
        ("/HostConfig/OomScoreAdj", json!(11)),
        ("/HostConfig/LogConfig/Type", json!("local")),
        ("/HostConfig/PidMode", json!("host")),
    ];
    expect(&station, &job(&image.0, "pid_mode = \"host\"", ""), &table);
    let node = station.get("/v1/nodes")[0]["ID"].as_str().unwrap().to_owned();
    let attributes = station.get(&format!("/v1/node/{node}"))["Attributes"].clone();
    assert_eq!(attributes["driver.docker.privileged.enabled"], "true", "{attributes}");
    assert_eq!(attributes["driver.docker.pids.limit"], "99");
    let text = job(&image.0, "pids_limit = 100", "");
    let said = station.cli(&["job", "run", &station.job("options", &text)]).refused(1);
    assert!(said.contains("pids_limit cannot be greater than nomad plugin config pids_limit: 99"), "{said}");
}

#[test]
fn wrong_keys_and_types_are_found_at_submit() {
    let station = Station::start();
    let table = [
        ("bad_key = 1", "bad_key"),
        ("pids_limit = \"many\"", "pids_limit"),
        ("pids_limit = -2", "pids_limit"),
        ("tty = \"perhaps\"", "tty"),
        ("ports = \"http\"", "ports"),
        ("cpu_cfs_period = 2000000", "cpu_cfs_period"),
        ("isolation = \"hyperv\"", "isolation"),
        ("mount {\n type = \"nfs\"\n target = \"/a\"\n }", "type"),
        ("mount {\n type = \"bind\"\n source = \"/a\"\n }", "target"),
        ("mount {\n target = \"/a\"\n volume_options {\n nocopy = true\n }\n }", "nocopy"),
        ("devices {\n container_path = \"/a\"\n }", "host_path"),
        ("logging {\n kind = \"x\"\n }", "kind"),
        ("auth {\n user = \"x\"\n }", "user"),
    ];
    for (line, key) in table {
        let said = station.cli(&["job", "run", &station.job("options", &job("any:1", line, ""))]).refused(2);
        assert!(said.contains(key) && said.contains("options.nomad.hcl"), "{line}: {said}");
    }
}

#[test]
fn output_that_the_engine_does_not_keep_is_told_once() {
    let image = Image::make("options-unread");
    let mut station = Station::start();
    let alloc = station.run_job("options", &job(&image.0, "logging {\n type = \"none\"\n }", ""));
    let told = |state: &Value| state["Events"].to_string().matches("not collected: configured logging driver").count();
    let is_told = |station: &Station| station.until_task(&alloc, "t", "it is told", |state| told(state) > 0);
    is_told(&station);
    station.kill();
    station.launch();
    // It is running again, and its output was asked for, once the new agent has found it.
    station.cli(&["alloc", "exec", "-t=false", &alloc[..8], "sh", "-c", "true"]).ok();
    let events = is_told(&station)["Events"].to_string();
    assert_eq!(told(&is_told(&station)), 2, "once as a message, once as its detail: {events}");
    station.cli(&["job", "stop", "options"]).ok();
    gone(&alloc);
}

/// Nomad's table of memory limits, a task for each row, and what the task, the engine and the kernel say to it.
#[test]
fn memory_and_cpu_are_those_of_nomads_table() {
    // (memory_hard_limit, memory, memory_max, Memory, MemoryReservation), MiB
    let table =
        [(0, 10, 0, 10, 0), (20, 10, 0, 20, 10), (0, 10, 20, 20, 10), (30, 10, 20, 30, 10), (20, 10, 30, 30, 10)];
    let image = Image::make("options-memory");
    let station = Station::start();
    let tasks = table.iter().enumerate().map(|(row, (driver, soft, most, ..))| {
        let hard = if *driver > 0 { format!("memory_hard_limit = {driver}") } else { String::new() };
        let most = if *most > 0 { format!("memory_max = {most}") } else { String::new() };
        let script =
            "busybox echo $NOMAD_CPU_LIMIT $NOMAD_MEMORY_LIMIT $NOMAD_MEMORY_MAX_LIMIT; exec busybox sleep 600";
        format!(
            r#"task "t{row}" {{
                driver = "docker"
                config {{
                    image   = "{}"
                    command = "sh"
                    args    = ["-c", "{script}"]
                    {hard}
                }}
                kill_signal = "SIGKILL"
                resources {{
                    cpu = {}
                    memory = {soft}
                    {most}
                }}
            }}
"#,
            image.0,
            100 + row
        )
    });
    let text = format!("job \"options\" {{\n group \"g\" {{\n {} }}\n}}\n", tasks.collect::<String>());
    let alloc = station.run_job("options", &text);
    for (row, (_, soft, most, limit, reservation)) in table.into_iter().enumerate() {
        let name = format!("t{row}-{alloc}");
        let said: Value = serde_json::from_str(&run("docker", &["inspect", &name]).ok()).unwrap();
        let host = &said[0]["HostConfig"];
        assert_eq!(host["Memory"], limit << 20, "row {row}");
        assert_eq!(host["MemoryReservation"], reservation << 20, "row {row}");
        assert_eq!(host["MemorySwap"], limit << 20, "row {row}: no swap");
        assert_eq!(host["CpuShares"], 100 + row, "row {row}");
        let told = if most > 0 { format!("{} {soft} {most}", 100 + row) } else { format!("{} {soft}", 100 + row) };
        eventually("it has spoken", || {
            let said = station.cli(&["alloc", "logs", &alloc[..8], &format!("t{row}")]).out;
            (said.trim() == told).then_some(())
        });
        let pid = said[0]["State"]["Pid"].to_string();
        assert_eq!(kernel(&pid, "memory.limit_in_bytes", "memory.max"), (limit << 20).to_string(), "row {row}");
        assert_eq!(kernel(&pid, "cpu.shares", "cpu.weight"), cpu_of(100 + row as u64), "row {row}");
    }
    station.cli(&["job", "stop", "options"]).ok();
    gone(&alloc);
}

/// A file of the control group that a process is in, by its name in version 1 and 2.
fn kernel(pid: &str, v1: &str, v2: &str) -> String {
    let controller = v1.split('.').next().unwrap();
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of = |wanted: &str| {
        groups.lines().find_map(|line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == wanted).then(|| group.to_owned())
        })
    };
    let file = match of(controller) {
        Some(group) => format!("/sys/fs/cgroup/{controller}{group}/{v1}"),
        None => format!("/sys/fs/cgroup{}/{v2}", of("").unwrap()),
    };
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}")).trim().to_owned()
}

/// Shares as the kernel has them: as they are in version 1, a weight in version 2.
fn cpu_of(shares: u64) -> String {
    let is_unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if is_unified { 1 + (shares - 2) * 9999 / 262_142 } else { shares }.to_string()
}

#[test]
fn too_much_memory_is_told_as_such() {
    let image = Image::make("options-oom");
    let station = Station::start();
    let hungry = "x=12345678; while :; do x=$x$x; done";
    let text = job(&image.0, "", "").replace("while :; do busybox sleep 1; done", hungry);
    station.cli(&["job", "run", "--detach", &station.job("options", &text)]).ok();
    let alloc = station.allocation("options");
    let state = station.until_task(&alloc, "t", "it ends", |state| state["State"] == "dead");
    let told = state["Events"].to_string();
    assert!(told.contains("OOM Killed"), "{told}");
}

/// A volume that goes with the test.
struct Volume(String);

impl Volume {
    fn new(name: &str) -> Self {
        Self(format!("{name}-{}", std::process::id()))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        run("docker", &["volume", "rm", "-f", &self.0]);
    }
}

#[test]
fn a_compose_file_runs_and_is_checked_by_the_engine() {
    let image = Image::make("compose");
    let station = Station::start();
    let command = r#"["sh", "-c", "while :; do busybox sleep 1; done"]"#;
    let text = format!(
        "services:\n  web:\n    image: {0}\n    command: {command}\n    depends_on: [db]\n  db:\n    image: {0}\n    \
         command: {command}\n    healthcheck: {{ test: busybox true, interval: 1s, timeout: 2s, retries: 5 }}\n",
        image.0
    );
    std::fs::write(station.path("compose.yaml"), text).unwrap();
    let compose = station.path("compose.yaml");
    let imported = station.cli(&["job", "import", "compose", "--name", "shop", compose.to_str().unwrap()]).ok();
    let alloc = station.run_job("shop", &imported);
    let of = |task: &str| {
        let named = format!("name={task}-{alloc}");
        let id = run("docker", &["ps", "-q", "--no-trunc", "--filter", &named]).ok();
        let said: Value = serde_json::from_str(&run("docker", &["inspect", id.trim()]).ok()).unwrap();
        said[0].clone()
    };
    let check = &of("db")["Config"]["Healthcheck"];
    assert_eq!((&check["Test"], &check["Interval"]), (&json!(["CMD-SHELL", "busybox true"]), &json!(1_000_000_000)));
    eventually("the engine finds it healthy", || (of("db")["State"]["Health"]["Status"] == "healthy").then_some(()));
    let started = |task: &str| of(task)["State"]["StartedAt"].as_str().unwrap_or_default().to_owned();
    assert!(started("db") < started("web"), "{} {}", started("db"), started("web"));
    station.cli(&["job", "stop", "--purge", "shop"]).ok();
    gone(&alloc);
}

#[test]
fn ports_of_old_jobs_are_published_with_and_without_a_map() {
    let image = Image::make("old-ports");
    let station = Station::start();
    let network = "network {\n dynamic_ports = [6379, \"web\"]\n}";
    for (map, inside) in [("", None), ("port_map {\n web = 80\n nobody = 81\n}", Some("80"))] {
        let text = job(&image.0, map, "").replace("cpu        = 100", network);
        let alloc = station.run_job("options", &text);
        let container = containers(&alloc).pop().expect("it has a container");
        let said: Value = serde_json::from_str(&run("docker", &["inspect", &container]).ok()).unwrap();
        let bindings = said[0]["HostConfig"]["PortBindings"].as_object().unwrap();
        let web = station.address(&alloc, "web");
        let (_, web) = web.rsplit_once(':').unwrap();
        let web = format!("{}/tcp", inside.unwrap_or(web));
        assert!(bindings.contains_key("6379/tcp") && bindings.contains_key(&web), "{map}: {bindings:?}");
        assert_eq!(bindings.len(), 4, "{map}: {bindings:?}");
        station.cli(&["job", "stop", "--purge", "options"]).ok();
        gone(&alloc);
    }
}
