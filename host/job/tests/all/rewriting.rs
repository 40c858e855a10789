//! Files written anew: formatted, upgraded, imported.

use longshore_job::{ParseOptions, compose, format, parse_str, upgrade};

#[test]
fn formatting_keeps_everything_but_space() {
    let text = "job   \"j\"{\n\n\n# a comment\ngroup \"g\" {\ncount=2\n  long_name = 1 # why\n/* several\n   lines */\ntask \"t\" {\ndriver = \"docker\"\nconfig {\nargs = [\n\"a{\",\n  \"${x == \"}\" ? 1 : 2}\",\n]\n}\ntemplate {\ndata = <<EOF\n  {{ kept }}\n    as it is {\nEOF\n}\n}\n}\n}\n\n";
    let wrong = format("x", "job \"j\" {").unwrap_err().plain();
    assert!(wrong.contains("Invalid syntax"), "{wrong}");
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

const COMPOSE: &str = r#"
name: shop
x-defaults: &defaults
  restart: unless-stopped
services:
  web:
    <<: *defaults
    image: "nginx:${TAG:-1.27}"
    command: nginx -g "daemon off;"
    ports: ["8080:80", "443", "127.0.0.1:9000:9000/udp", "5000-5001:6000-6001", "1-9:1"]
    environment: [MODE=prod, EMPTY, "COST=5$$"]
    volumes: ["./html:/usr/share/nginx/html:ro", "cache:/var/cache", /tmp/x]
    depends_on: { db: { condition: service_healthy }, schema: { condition: service_completed_successfully } }
    healthcheck: { test: [CMD, curl, localhost] }
    networks: [front]
    shm_size: 64m
  schema:
    image: migrate:1
    deploy: { replicas: 1, resources: { limits: { memory: 64m, cpus: "0.5" } } }
  db:
    image: postgres:17
    environment:
      POSTGRES_PASSWORD: ${PASSWORD}
      POSTGRES_MAX: 5
    mem_limit: 512m
    stop_grace_period: 30s
    user: 1000
    build: .
"#;

#[test]
fn compose_files_become_jobs_and_say_what_is_left() {
    let imported = compose::import(COMPOSE, None, Some("folder")).unwrap();
    insta::assert_snapshot!("composed", format!("{}\n{}", imported.job, imported.notes.join("\n")));
    let options = ParseOptions { variables: vec![("PASSWORD".into(), "s".into())], ..Default::default() };
    let parsed = parse_str("shop", &imported.job, &options).unwrap_or_else(|found| panic!("{}", found.plain()));
    let tasks = &parsed.job.task_groups[0].tasks;
    assert_eq!(tasks[0].config["image"], "nginx:1.27");
    assert_eq!(tasks[0].env["COST"], "5$");
    assert_eq!(tasks[2].env["POSTGRES_PASSWORD"], "s");
    assert!(tasks[1].lifecycle.is_some() && tasks[1].resources.memory_mb == 64);
    for (text, expected) in [("a: 1", "has services"), ("services: {a: 1}", "must be a map"), ("[", "did not find")] {
        let said = compose::import(text, None, None).unwrap_err();
        assert!(said.contains(expected), "{text}: {said}");
    }
}
