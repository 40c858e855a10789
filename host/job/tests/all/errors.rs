//! Every kind of error, as people see it.

use longshore_job::{ParseOptions, SourceMap, parse_str};

/// A name for the kind of mistake, and a job file that makes it.
const MISTAKES: &[(&str, &str)] = &[
    ("syntax", "job \"j\" {\n  group \"g\" {\n    count = \n  }\n}"),
    ("brace", "job \"j\" {\n  group \"g\" {\n"),
    ("no job", "locals {\n  a = 1\n}"),
    ("two jobs", "job \"a\" {}\njob \"b\" {}"),
    ("top level", "jobs \"j\" {}\nx = 1"),
    ("labels", "job {\n  group \"a\" \"b\" {\n  }\n}"),
    (
        "labels of blocks without",
        "variables \"a\" {\n}\nlocals \"b\" {\n}\njob \"j\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n      config \"c\" {\n      }\n      env \"d\" {\n      }\n    }\n  }\n}",
    ),
    (
        "labels of maps",
        "job \"j\" {\n  meta \"m\" {\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n      config \"c\" {\n      }\n      env \"d\" {\n      }\n    }\n  }\n}",
    ),
    ("unknown argument", "job \"j\" {\n  datacenter = [\"dc1\"]\n  frobnicate = 1\n  group = 1\n}"),
    ("unknown block", "job \"j\" {\n  gruop \"g\" {\n  }\n  datacenters {\n  }\n}"),
    (
        "types",
        "job \"j\" {\n  type = \"servce\"\n  datacenters = \"dc1\"\n  all_at_once = \"maybe\"\n  priority = 500\n}",
    ),
    (
        "duration",
        "job \"j\" {\n  group \"g\" {\n    shutdown_delay = \"5\"\n    task \"t\" {\n      driver = \"d\"\n      kill_timeout = \"1d\"\n    }\n  }\n}",
    ),
    (
        "structure",
        "job \"j\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n      leader = true\n    }\n    task \"t\" {\n      leader = true\n    }\n    task \"alloc\" {\n      driver = \"d\"\n    }\n  }\n  group \"g\" {\n  }\n}",
    ),
    (
        "only hooks",
        "job \"j\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n      lifecycle {\n        hook = \"prestart\"\n      }\n    }\n  }\n}",
    ),
    (
        "resources",
        "job \"j\" {\n  group \"g\" {\n    ephemeral_disk {\n      size = 50\n    }\n    task \"t\" {\n      driver = \"d\"\n      resources {\n        cpu    = 100\n        cores  = 1\n        memory = 5\n        disk   = 3\n      }\n      logs {\n        max_files = 0\n      }\n    }\n  }\n}",
    ),
    (
        "restart",
        "job \"j\" {\n  group \"g\" {\n    restart {\n      attempts = 10\n      interval = \"1m\"\n      delay    = \"10s\"\n      mode     = \"dealy\"\n    }\n    task \"t\" {\n      driver = \"d\"\n      restart {\n        interval = \"1s\"\n      }\n    }\n  }\n}",
    ),
    (
        "restart numbers",
        "job \"j\" {\n  group \"g\" {\n    restart {\n      attempts = 10\n      interval = \"1m\"\n      delay    = \"10s\"\n    }\n    task \"t\" {\n      driver = \"d\"\n      restart {\n        attempts = 0\n        mode     = \"delay\"\n      }\n    }\n  }\n}",
    ),
    (
        "constraint",
        "job \"j\" {\n  constraint {\n    attribute = \"a\"\n    operator  = \"regex\"\n    value     = \"b\"\n  }\n  constraint {\n    regexp = \"(\"\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n      constraint {\n        distinct_hosts = true\n      }\n    }\n  }\n}",
    ),
    (
        "update",
        "job \"j\" {\n  type = \"batch\"\n  update {\n    healthy_deadline = \"20m\"\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n    }\n  }\n}",
    ),
    (
        "system count",
        "job \"a b\" {\n  type = \"system\"\n  group \"g\" {\n    count = 2\n    task \"x/y\" {\n      driver = \"d\"\n    }\n  }\n}",
    ),
    (
        "wishes",
        "job \"j\" {\n  type = \"system\"\n  reschedule {\n    attempts = 1\n  }\n  ui {\n    description = \"${join(\"\", [for x in range(1001) : \"a\"])}\"\n  }\n  group \"g\" {\n    affinity {\n      attribute = \"a\"\n      value     = \"b\"\n    }\n    scaling {\n      min = 3\n      max = 1\n    }\n    service {\n      check {\n        type     = \"tcp\"\n        interval = \"1s\"\n        timeout  = \"1s\"\n      }\n    }\n    task \"t\" {\n      driver = \"d\"\n    }\n  }\n}",
    ),
    (
        "weight",
        "job \"j\" {\n  affinity {\n    attribute = \"a\"\n    value     = \"b\"\n    weight    = 0\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n    }\n  }\n}",
    ),
    (
        "blocks of a cluster",
        "job \"j\" {\n  group \"g\" {\n    network {\n      cni {\n        args = { \"a;b\" = \"c\" }\n      }\n    }\n    service {\n      name = \"s\"\n      connect {\n        sidecar_service {\n          proxy {\n            upstreams {\n              local_bind_port = 1\n            }\n          }\n        }\n      }\n    }\n    task \"t\" {\n      driver       = \"d\"\n      vault {\n        change_mode = \"signal\"\n        policies    = [\"root\"]\n      }\n      identity {\n        name        = \"n\"\n        change_mode = \"stop\"\n      }\n      secret \"x\" {}\n      csi_plugin {\n        type = \"disk\"\n      }\n    }\n  }\n}",
    ),
    (
        "schedules",
        "job \"j\" {\n  type = \"batch\"\n  periodic {\n    crons     = [\"* * *\", \"0 25 * * *\"]\n    time_zone = \"Mars//North\"\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n    }\n  }\n}",
    ),
    (
        "several expressions",
        "variable \"region\" {\n  default = 1\n}\njob \"j\" {\n  meta {\n    a = var.regoin\n    b = upper(\n      \"x\",\n      1)\n    c = [1][5]\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = local.nope\n    }\n  }\n}",
    ),
    (
        "sides of constraints",
        "job \"j\" {\n  constraint {\n    attribute = \"${node.unique_id}\"\n    value     = \"a\"\n  }\n  constraint {\n    attribute = \"$(attr.kernel.name)\"\n    value     = \"a\"\n  }\n  constraint {\n    attribute = \"$${attr.kernel.name\"\n    value     = \"a\"\n  }\n  constraint {\n    attribute = \"a\"\n  }\n  constraint {\n    attribute = \"a\"\n    version   = \"~> one\"\n  }\n  constraint {\n    attribute = \"a\"\n    semver    = \"~> 1.2.3\"\n  }\n  constraint {\n    distinct_property = \"a\"\n    value             = \"0\"\n  }\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n    }\n  }\n}",
    ),
    (
        "moves and volumes",
        "job \"j\" {\n  type = \"batch\"\n  group \"g\" {\n    reschedule {\n      attempts  = 1\n      unlimited = true\n    }\n    migrate {}\n    volume \"a\" {\n      type      = \"csi\"\n      source    = \"a\"\n      sticky    = true\n      per_alloc = true\n    }\n    task \"t\" {\n      driver = \"d\"\n    }\n  }\n}",
    ),
    (
        "dynamic",
        "job \"j\" {\n  dynamic \"gruop\" {\n    for_each = [1]\n    content {}\n  }\n  dynamic \"group\" {\n    for_each = node.list\n    content {}\n  }\n  dynamic \"group\" {\n    for_each = [1]\n  }\n}",
    ),
];

fn found(text: &str) -> longshore_job::Diagnostics {
    match parse_str("job.hcl", text, &ParseOptions::default()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(found) => found,
    }
}

#[test]
fn errors_in_one_line_each() {
    let mut out = String::new();
    for (name, text) in MISTAKES {
        out.push_str(&format!("## {name}\n{}\n", found(text).plain()));
    }
    insta::assert_snapshot!("plain", out);
}

#[test]
fn errors_drawn_for_people() {
    let mut out = String::new();
    for (name, text) in
        MISTAKES.iter().filter(|(name, _)| ["unknown argument", "several expressions", "refused"].contains(name))
    {
        out.push_str(&format!("## {name}\n{}\n", found(text).graphical(false)));
    }
    insta::assert_snapshot!("graphical", out);
}

#[test]
fn colour_is_only_added_when_asked_for() {
    let found = found("job \"j\" {\n  x = 1\n}");
    assert!(!found.graphical(false).contains('\u{1b}'));
    assert!(found.graphical(true).contains('\u{1b}'));
}

#[test]
fn errors_as_json_carry_place_and_path() {
    let found = found("job \"j\" {\n  group \"g\" {\n    task \"t\" {\n    }\n  }\n}");
    insta::assert_snapshot!("json", format!("{:#}", found.to_json()));
}

/// What a driver says of its configuration later still finds its line.
#[test]
fn places_in_config_are_found_again() {
    let text = "job \"j\" {\n  group \"g\" {\n    task \"t\" {\n      driver = \"d\"\n      config {\n        image = \"x\"\n        args  = [\n          \"a\",\n          { b = 1 },\n        ]\n        mount {\n          source = \"s\"\n        }\n      }\n    }\n  }\n}";
    let parsed = parse_str("job.hcl", text, &ParseOptions::default()).unwrap();
    for (within, expected) in [
        ("/image", "job.hcl:6,17-20"),
        ("/args/0", "job.hcl:8,11-14"),
        ("/args/1/b", "job.hcl:9,17-18"),
        ("/mount/0/source", "job.hcl:12,20-23"),
        ("/mount/0/type", "job.hcl:11,9-14"),
        ("/missing", "job.hcl:5,7-13"),
        ("", "job.hcl:5,7-13"),
    ] {
        let pointer = SourceMap::config_pointer(&parsed.job, "g", "t", within).unwrap();
        assert_eq!(parsed.map.find(&pointer).unwrap().to_string(), expected, "{within}");
    }
    assert_eq!(SourceMap::config_pointer(&parsed.job, "g", "other", ""), None);
}
