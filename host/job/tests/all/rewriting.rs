//! Files written anew: formatted, upgraded, imported.

use longshore_job::{ParseOptions, compose, format, parse_str, upgrade};

#[test]
fn formatting_keeps_everything_but_space() {
    let text = "job   \"j\"{\n\n\n# a comment\ngroup \"g\" {\ncount=2\n  long_name = 1 # why\n/* several\n   lines */\ntask \"t\" {\ndriver = \"docker\"\nconfig {\nargs = [\n\"a{\",\n  \"${x == \"}\" ? 1 : 2}\",\n]\n}\ntemplate {\ndata = <<EOF\n  {{ kept }}\n    as it is {\nEOF\n}\n}\n}\n}\n\n";
    let wrong = format("x", "job \"j\" {").unwrap_err().plain();
    assert!(wrong.contains("Unclosed configuration block"), "{wrong}");
    let once = format("x", text).unwrap();
    insta::assert_snapshot!("formatted", once);
    assert_eq!(format("x", &once).unwrap(), once);
}

#[test]
fn examples_are_formatted_and_mean_the_same_afterwards() {
    for example in crate::examples::ALL {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/jobs").join(example);
        let text = std::fs::read_to_string(path).unwrap();
        let squeezed: String = text.lines().map(|line| line.trim_start().to_owned() + "\n").collect();
        let read = |text: &str| parse_str(example, text, &ParseOptions::default()).unwrap().job;
        assert_eq!(read(&format(example, &text).unwrap()), read(&text), "{example}");
        if !text.contains("<<-") {
            assert_eq!(format(example, &squeezed).unwrap(), format(example, &text).unwrap(), "{example}");
        }
    }
}

const OLD: &str = r#"# The oldest form there is.
job "redis" {
  datacenters = ["dc1"]
  constraint {
    attribute = "$attr.kernel.name"
    value     = "linux"
  }
  group "cache" {
    # One task.
    task "redis" {
      driver = "docker"
      config {
        image = "redis:3"
        port_map {
          db = 6379
        }
      }
      resources {
        cpu    = 500
        memory = "256"
        network {
          mbits          = 10
          reserved_ports = [8080]
          dynamic_ports  = ["http", "6379"]
          port "db" {}
        }
      }
    }
  }
  task "alone" {
    driver = "raw_exec"
    config {
      command = "/bin/true"
    }
  }
}
"#;

#[test]
fn old_files_run_as_they_are_and_are_written_anew() {
    let (new, notes) = upgrade("old", OLD).unwrap();
    insta::assert_snapshot!("upgraded", format!("{new}\n{}", notes.join("\n")));
    assert_eq!(upgrade("new", &new).unwrap(), (new.clone(), Vec::new()));
    let read = |text: &str| match parse_str("x", text, &ParseOptions::default()) {
        Ok(parsed) => parsed.job,
        Err(found) => panic!("{}\n{text}", found.plain()),
    };
    let (old, new) = (read(OLD), read(&new));
    assert_eq!(old.constraints, new.constraints);
    assert_eq!(old.constraints[0].left, "${attr.kernel.name}");
    let cache = |job: &longshore_job::Job| job.task_groups.iter().find(|group| group.name == "cache").unwrap().clone();
    assert_eq!(cache(&old).tasks[0].resources.networks[0].ports().count(), 4);
    assert_eq!(cache(&new).networks[0].ports().count(), 4);
    assert_eq!(cache(&new).tasks[0].resources.networks, []);
}

#[test]
fn the_networks_of_several_tasks_become_the_groups() {
    let task = |name: &str, config: &str, network: &str| {
        let network =
            if network.is_empty() { String::new() } else { format!("resources {{\nnetwork {{\n{network}\n}}\n}}\n") };
        format!("task \"{name}\" {{\ndriver = \"docker\"\nconfig {{\nimage = \"a:1\"\n{config}}}\n{network}}}\n")
    };
    let group = |own: &str, tasks: &[String]| format!("job \"j\" {{\ngroup \"g\" {{\n{own}{}}}\n}}\n", tasks.concat());
    let a =
        task("a", "port_map {\nhttp = 80\n}\n", "# the front\nport \"http\" {}\n# kept\nport \"x\" {\nstatic = 9\n}");
    let b = task("b", "", "mbits = 1\nport \"db\" {}");
    let plain = task("c", "", "");
    let text = group("", &[a.clone(), plain.clone(), b.clone()]);
    let (new, _) = upgrade("several", &text).unwrap();
    insta::assert_snapshot!("several", new);
    let own = group("network {\nport \"own\" {}\n}\n", &[a.clone(), b.clone()]);
    for (text, ports) in [(&text, 3), (&own, 4)] {
        let (new, notes) = upgrade("several", text).unwrap();
        assert!(!notes.is_empty());
        let job =
            parse_str("new", &new, &ParseOptions::default()).unwrap_or_else(|found| panic!("{}", found.plain())).job;
        let group = &job.task_groups[0];
        assert_eq!((group.networks.len(), group.networks[0].ports().count()), (1, ports), "{new}");
        assert!(group.tasks.iter().all(|task| task.resources.networks.is_empty()));
        assert_eq!(group.tasks[0].config["ports"], serde_json::json!(["http", "x"]));
        assert_eq!(upgrade("new", &new).unwrap(), (new, Vec::new()));
    }
    for map in ["port_map = { x = 81 }", "port_map = [{ \"x\" = 81 }]"] {
        // In front of all else in `config`, where what is added would go.
        let text = group("", &[task("d", "", "port \"x\" {}").replace("image =", &format!("{map}\nimage ="))]);
        let (new, _) = upgrade("maps", &text).unwrap();
        assert!(new.contains("to = 81") && !new.contains("port_map"), "{new}");
        assert!(new.contains("ports = [\"x\"]"), "{new}");
    }
    let dynamic = task("d", "", "dynamic \"port\" {\nfor_each = [1]\nlabels = [\"p\"]\ncontent {}\n}");
    for (tasks, expected) in [
        ([a, task("b", "", "port \"http\" {}")], "several ports are called \"http\""),
        ([b, dynamic], "ports of a dynamic block"),
    ] {
        let text = group("", &tasks);
        let (new, notes) = upgrade("left", &text).unwrap();
        assert_eq!(new, format("left", &text).unwrap());
        assert!(notes[0].contains(expected), "{notes:?}");
    }
}

const COMPOSE: &str = r#"
name: shop
x-defaults: &defaults
  restart: unless-stopped
services:
  web:
    <<: *defaults
    image: "nginx:${TAG:-1.27}"
    command: nginx -g "daemon off;"
    ports: ["8080:80", "443", "127.0.0.1:9000:9000/udp", "5000-5001:6000-6001", "8100-8109:81", "1-9:1-2"]
    environment: [MODE=prod, EMPTY=, FROM_SHELL, "COST=5$$"]
    env_file: .env
    volumes: ["./html:/usr/share/nginx/html:ro", "../shared:/s", "cache:/var/cache", /tmp/x, "~/y:/y"]
    tmpfs: ["/run:size=64m", /scratch]
    depends_on: { db: { condition: service_healthy }, schema: { condition: service_completed_successfully } }
    healthcheck: { test: [CMD, curl, -f, "http://localhost/health"], interval: 10s, retries: 3, start_period: 5s }
    networks: { front: { aliases: [www] }, back: { ipv4_address: 10.0.0.2 } }
    links: ["db:database"]
    extra_hosts: ["outside:10.1.2.3"]
    dns: 9.9.9.9
    shm_size: 64m
    read_only: true
    stdin_open: true
    security_opt: ["no-new-privileges:true"]
    sysctls: { net.core.somaxconn: 1024 }
    ulimits: { nproc: 65535, nofile: { soft: 1024, hard: 2048 } }
    devices: ["/dev/fuse:/dev/fuse:rwm", /dev/null]
    logging: { driver: json-file, options: { max-size: 10m } }
    pid: host
    ipc: "service:db"
    deploy:
      replicas: 3
      placement: { constraints: [node.role == manager] }
      restart_policy: { condition: on-failure, delay: 3s, max_attempts: 4, window: 2m }
      resources: { limits: { memory: 256m, cpus: "0.5" }, reservations: { memory: 128m } }
  schema:
    image: migrate:1
    healthcheck: { disable: true }
    restart: on-failure:5
    deploy: { replicas: 1, resources: { limits: { memory: 64m } } }
  db:
    image: postgres:17
    container_name: shop-db
    hostname: postgres
    environment:
      POSTGRES_PASSWORD: ${PASSWORD}
      POSTGRES_MAX: 5
    ports: ["53:53", "53:53/udp", { target: 80, published: "8081", protocol: tcp, host_ip: 127.0.0.1 }]
    healthcheck: { test: "pg_isready -U postgres || exit 1" }
    mem_limit: 512m
    stop_grace_period: 30s
    stop_signal: SIGINT
    user: 1000
    pull_policy: always
    network_mode: host
    profiles: [full]
  built:
    build: .
    restart: sometimes
volumes:
  cache: { driver: nfs }
  other: {}
secrets: {}
"#;

#[test]
fn compose_files_become_jobs_and_say_what_is_left() {
    let imported = compose::import(COMPOSE, None, Some(std::path::Path::new("/srv/shop"))).unwrap();
    insta::assert_snapshot!("composed", format!("{}\n{}", imported.job, imported.notes.join("\n")));
    let options = ParseOptions { variables: vec![("PASSWORD".into(), "s".into())], ..Default::default() };
    let parsed = parse_str("shop", &imported.job, &options).unwrap_or_else(|found| panic!("{}", found.plain()));
    let tasks = &parsed.job.task_groups[0].tasks;
    assert_eq!(tasks[0].config["image"], "nginx:1.27");
    assert_eq!(tasks[0].env["COST"], "5$");
    assert_eq!(tasks[2].env["POSTGRES_PASSWORD"], "s");
    assert!(tasks[1].lifecycle.is_some() && tasks[1].resources.memory_mb == 64);
    assert_eq!((tasks[0].resources.memory_mb, tasks[0].resources.memory_max_mb), (128, 256));
    assert_eq!(parsed.job.task_groups[0].networks[0].ports().filter(|port| port.protocol == "udp").count(), 1);
    for (text, expected) in [("a: 1", "has services"), ("services: {a: 1}", "must be a map"), ("[", "did not find")] {
        let said = compose::import(text, None, None).unwrap_err();
        assert!(said.contains(expected), "{text}: {said}");
    }
}
