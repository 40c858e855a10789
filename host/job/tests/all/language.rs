//! Blocks and what they become.

use std::time::Duration;

use longshore_job::model::{JobKind, LifecycleHook, RestartMode};
use longshore_job::{ParseOptions, parse_str};
use serde_json::json;

use crate::{errors, job, task, task_text};

#[test]
fn an_almost_empty_job_has_every_default() {
    let job = job("job \"j\" {\n group \"g\" {\n task \"t\" {\n driver = \"d\"\n}\n}\n}");
    assert_eq!((job.id.as_str(), job.name.as_str(), job.kind), ("j", "j", JobKind::Service));
    assert_eq!(job.datacenters, ["*"]);
    let group = &job.task_groups[0];
    assert_eq!((group.count, group.restart_policy.attempts), (1, 2));
    assert_eq!(group.restart_policy.interval, Duration::from_secs(1800));
    let task = &group.tasks[0];
    assert_eq!((task.resources.cpu, task.resources.memory_mb), (100, 300));
    assert_eq!(task.kill_timeout, Duration::from_secs(5));
    assert_eq!((task.logs.max_files, task.logs.max_file_size_mb), (10, 10));
    assert_eq!(task.config, json!({}));
}

#[test]
fn a_task_keeps_what_is_written() {
    let task = task(&task_text(
        r#"
        user = "nobody"
        leader = true
        kill_timeout = "1m30s"
        kill_signal = "SIGTERM"
        shutdown_delay = 1000000000
        meta { a = 1 }
        resources {
          cores = 2
          memory = "64"
          memory_max = -1
        }
        logs { disabled = true }
        restart { mode = "delay" }
        "#,
    ));
    assert_eq!((task.user.as_str(), task.leader, task.kill_signal.as_str()), ("nobody", true, "SIGTERM"));
    assert_eq!(task.kill_timeout, Duration::from_secs(90));
    assert_eq!(task.shutdown_delay, Duration::from_secs(1));
    assert_eq!(task.meta["a"], "1");
    assert_eq!((task.resources.cpu, task.resources.cores), (0, 2));
    assert_eq!((task.resources.memory_mb, task.resources.memory_max_mb), (64, -1));
    assert!(task.logs.disabled);
    assert_eq!((task.restart_policy.mode, task.restart_policy.attempts), (RestartMode::Delay, 2));
}

#[test]
fn restart_is_merged_from_kind_over_group_to_task() {
    let job = job(r#"job "j" {
        type = "batch"
        group "g" {
          restart { attempts = 7 }
          task "t" {
            driver = "d"
            restart { delay = "1s" }
          }
        }
      }"#);
    let group = &job.task_groups[0];
    let policy = &group.tasks[0].restart_policy;
    assert_eq!(group.restart_policy.interval, Duration::from_secs(24 * 3600));
    assert_eq!((policy.attempts, policy.delay), (7, Duration::from_secs(1)));
    assert_eq!(policy.interval, Duration::from_secs(24 * 3600));
}

/// Bodies of `config` and the JSON they become.
#[test]
fn config_takes_blocks_as_lists_of_maps() {
    for (inside, expected) in [
        ("labels {\n a = \"b\"\n}", json!({"labels": [{"a": "b"}]})),
        ("labels = { a = \"b\" }", json!({"labels": [{"a": "b"}]})),
        ("labels = merge({ a = { b = 1 } })", json!({"labels": {"a": {"b": 1}}})),
        ("list = [{ a = 1 }]", json!({"list": [{"a": 1}]})),
        ("mount {\n a = 1\n}\nmount {\n a = 2\n}", json!({"mount": [{"a": 1}, {"a": 2}]})),
        ("port_map {\n http = 80\n}", json!({"port_map": [{"http": 80}]})),
        ("auth {\n inner {\n x = [1.5, null]\n}\n}", json!({"auth": [{"inner": [{"x": [1.5, null]}]}]})),
        ("device \"a\" {\n x = 1\n}", json!({"device": [{"a": [{"x": 1}]}]})),
        ("a = null\nb = 1.0", json!({"b": 1})),
        (
            "dynamic \"mount\" {\n for_each = [\"x\", \"y\"]\n content {\n source = mount.value\n}\n}",
            json!({"mount": [{"source": "x"}, {"source": "y"}]}),
        ),
    ] {
        let task = task(&task_text(&format!("config {{\n{inside}\n}}")));
        assert_eq!(task.config, expected, "{inside}");
    }
}

#[test]
fn env_and_meta_are_blocks_or_attributes() {
    for inside in ["env {\n A = \"b\"\n P = 80\n T = true\n}", "env = { A = \"b\", \"P\" = 80, T = true }"] {
        let task = task(&task_text(inside));
        let env: Vec<_> = task.env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(env, [("A", "b"), ("P", "80"), ("T", "true")], "{inside}");
    }
    let task = task(&task_text("env = { \"FOO.BAR\" = 1 }\nmeta = { \"a.b\" = \"c\" }"));
    assert_eq!((task.env["FOO.BAR"].as_str(), task.meta["a.b"].as_str()), ("1", "c"));
}

#[test]
fn env_twice_or_of_lists_is_wrong() {
    for (inside, expected) in [
        ("env {\n A = 1\n}\nenv = { B = 2 }", "Duplicate env block"),
        ("env {\n A = 1\n}\nenv {\n B = 2\n}", "Duplicate env block"),
        ("env = [1]", "map of string required"),
        ("env {\n A = []\n}", "Inappropriate value for attribute \"A\": string required."),
        ("env {\n b {}\n}", "Unsupported block type"),
    ] {
        let said = errors(&task_text(inside)).plain();
        assert!(said.contains(expected), "{inside}: {said}");
    }
}

/// Each shorthand and the long form it means.
#[test]
fn constraint_shorthands_equal_the_long_form() {
    for (short, left, operator, right) in [
        ("attribute = \"a\"\nvalue = \"b\"", "a", "=", "b"),
        ("attribute = \"a\"\noperator = \"!=\"\nvalue = \"b\"", "a", "!=", "b"),
        ("attribute = \"a\"\nregexp = \"[0-9]\"", "a", "regexp", "[0-9]"),
        ("attribute = \"a\"\nversion = \">= 1\"", "a", "version", ">= 1"),
        ("attribute = \"a\"\nsemver = \">= 1\"", "a", "semver", ">= 1"),
        ("attribute = \"a\"\nset_contains = \"b,c\"", "a", "set_contains", "b,c"),
        ("attribute = \"a\"\nset_contains_any = \"b\"", "a", "set_contains_any", "b"),
        ("attribute = \"a\"\nset_contains_all = \"b\"", "a", "set_contains_all", "b"),
        ("attribute = \"a\"\nis_set = true", "a", "is_set", ""),
        ("attribute = \"a\"\nis_not_set = true", "a", "is_not_set", ""),
        ("distinct_hosts = true", "", "distinct_hosts", "true"),
        ("distinct_property = \"a\"", "a", "distinct_property", ""),
    ] {
        let text = format!(
            "job \"j\" {{\nconstraint {{\n{short}\n}}\ngroup \"g\" {{\ntask \"t\" {{\ndriver = \"d\"\n}}\n}}\n}}"
        );
        let constraint = &job(&text).constraints[0];
        let long = (constraint.left.as_str(), constraint.operator.as_str(), constraint.right.as_str());
        assert_eq!(long, (left, operator, right), "{short}");
    }
}

#[test]
fn a_task_in_the_job_is_a_group_of_its_own() {
    let job = job(r#"job "j" {
        group "later" {
          task "b" { driver = "d" }
        }
        task "alone" {
          driver = "d"
          config { x = 1 }
        }
      }"#);
    let names: Vec<_> = job.task_groups.iter().map(|g| (g.name.as_str(), g.tasks[0].name.as_str())).collect();
    assert_eq!(names, [("alone", "alone"), ("later", "b")]);
}

#[test]
fn lifecycle_and_update_are_kept() {
    let job = job(r#"job "j" {
        update { max_parallel = 2 }
        group "g" {
          update { canary = 1 }
          task "before" {
            driver = "d"
            lifecycle {
              hook = "prestart"
              sidecar = true
            }
          }
          task "main" { driver = "d" }
        }
      }"#);
    let group = &job.task_groups[0];
    let lifecycle = group.tasks[0].lifecycle.unwrap();
    assert_eq!((lifecycle.hook, lifecycle.sidecar), (LifecycleHook::Prestart, true));
    let update = group.update.as_ref().unwrap();
    assert_eq!((update.max_parallel, update.canary), (2, 1));
}

#[test]
fn dynamic_blocks_become_ordinary_ones() {
    let job = job(r#"
      locals { ports = { http = 8080, admin = 0 } }
      job "j" {
        dynamic "group" {
          for_each = ["a", "b"]
          iterator = it
          labels   = ["g-${it.value}"]
          content {
            network {
              dynamic "port" {
                for_each = local.ports
                labels   = [port.key]
                content { static = port.value + it.key }
              }
            }
            task "t" {
              driver = "d"
              config { name = it.value }
            }
          }
        }
      }"#);
    let groups: Vec<_> = job
        .task_groups
        .iter()
        .map(|group| {
            let ports: Vec<_> = group.networks[0].ports().map(|p| (p.label.as_str(), p.value)).collect();
            (group.name.as_str(), group.tasks[0].config["name"].clone(), ports)
        })
        .collect();
    assert_eq!(
        groups,
        [
            ("g-a", json!("a"), vec![("http", 8080), ("admin", 0)]),
            ("g-b", json!("b"), vec![("admin", 1), ("http", 8081)]),
        ]
    );
}

#[test]
fn locals_may_stand_in_any_order() {
    let task = task(&format!(
        "locals {{\n c = \"${{local.b}}c\"\n a = \"a\"\n}}\nlocals {{\n b = \"${{local.a}}b\"\n \
         all = [for x in [local.c] : x]\n}}\n{}",
        task_text("config {\n x = local.c\n y = local.all\n}")
    ));
    assert_eq!(task.config, json!({"x": "abc", "y": ["abc"]}));
}

#[test]
fn dynamic_blocks_have_a_json_form() {
    let hcl = r#"
variables {
  ports = { http = 80 }
}
job "j" {
  dynamic "group" {
    for_each = ["a", "b"]
    labels   = ["g-${group.value}"]
    content {
      network {
        dynamic "port" {
          for_each = var.ports
          iterator = p
          labels   = [p.key]
          content {
            to = p.value
          }
        }
      }
      task "t" {
        driver = "d"
        dynamic "env" {
          for_each = [1]
          content {
            A = "x"
          }
        }
      }
    }
  }
}
"#;
    let json = r#"{
  "variables": {"ports": {"http": 80}},
  "job": {"j": {"dynamic": {"group": {"for_each": ["a", "b"], "labels": ["g-${group.value}"], "content": {
    "network": {"dynamic": [{"port": [{"//": "why", "for_each": "${var.ports}", "iterator": "p", "labels": ["${p.key}"],
      "content": {"to": "${p.value}"}}]}]},
    "task": {"t": {"driver": "d", "dynamic": {"env": {"for_each": [1], "content": [{"A": "x"}]}}}}
  }}}}}
}"#;
    assert_eq!(job(hcl), job(json));
    let wrong = json.replace("\"group\": {\"for_each\"", "\"gruop\": {\"for_each\"");
    assert!(errors(&wrong).plain().contains("Did you mean \"group\"?"));
}

#[test]
fn hcl_in_json_form_means_the_same() {
    let hcl = job(r#"
      variable "n" {
        type    = number
        default = 3
      }
      job "j" {
        type = "batch"
        group "g" {
          count = var.n
          network {
            port "http" { to = 80 }
          }
          task "t" {
            driver = "d"
            env { A = "x \"${NOMAD_PORT_http}\" ${env["B"]}\n" }
            config {
              args = ["${upper("a")}", "$${x}"]
              n    = var.n
            }
          }
        }
      }"#);
    let json = job(r#"{
      "variable": {"n": {"type": "number", "default": 3}},
      "job": {"j": {
        "type": "batch",
        "group": {"g": [{
          "count": "${var.n}",
          "network": [{"port": {"http": {"to": 80}}}],
          "task": {"t": {
            "driver": "d",
            "env": {"A": "x \"${NOMAD_PORT_http}\" ${env[\"B\"]}\n"},
            "config": {"args": ["${upper(\"a\")}", "$${x}"], "n": "${var.n}"}
          }}
        }]}
      }}
    }"#);
    assert_eq!(hcl, json);
}

/// The zero of a value is as good as none, as it is for Nomad's agent.
#[test]
fn zeros_mean_the_default() {
    let job = job("job \"j\" {\n priority = 0\n datacenters = []\n group \"g\" {\n task \"t\" {\n driver = \"d\"\n \
                   template {\n data = \"x\"\n destination = \"local/x\"\n change_mode = \"signal\"\n}\n}\n}\n}");
    assert_eq!((job.priority, job.datacenters.as_slice()), (50, &["*".to_owned()][..]));
    assert_eq!(job.task_groups[0].tasks[0].templates[0].change_signal, "SIGHUP");
}

#[test]
fn blocks_without_effect_are_warned_of() {
    let text = "job \"j\" {\npriority = 70\nspread {\n attribute = \"x\"\n}\ngroup \"g\" {\nreschedule {\n \
                attempts = 1\n}\ntask \"t\" {\ndriver = \"d\"\n}\n}\n}";
    let parsed = parse_str("test.hcl", text, &ParseOptions::default()).unwrap();
    let warnings = parsed.warnings.plain();
    let expected = "warning: test.hcl:2,1-9: \"priority\" has no effect on a single machine\n\
                    warning: test.hcl:3,1-7: \"spread\" has no effect on a single machine\n\
                    warning: test.hcl:7,1-11: \"reschedule\" has no effect on a single machine\n";
    assert_eq!(warnings, expected);
}

#[test]
fn null_is_nothing_where_nothing_can_be_told_from_zero() {
    let nothing =
        "resources {\n cpu = null\n}\n constraint {\n attribute = \"a\"\n operator = \"is_set\"\n value = null\n}";
    assert_eq!(task(&task_text(nothing)).resources.cpu, 100);
    for (inside, name) in [
        ("user = null", "user"),
        ("kill_timeout = null", "kill_timeout"),
        ("env {\n A = null\n}", "A"),
        ("env = { A = null }", "A"),
        ("meta {\n A = null\n}", "A"),
    ] {
        let told = errors(&task_text(inside)).plain();
        assert!(told.contains(&format!("Unsuitable value for {name:?}: null value is not allowed.")), "{told}");
    }
}

#[test]
fn one_and_zero_as_text_are_true_and_false() {
    assert!(task(&task_text("leader = \"1\"")).leader);
    assert!(!task(&task_text("leader = \"0\"")).leader);
    assert!(errors(&task_text("leader = 1")).plain().contains("bool required"));
}

#[test]
fn of_two_volumes_of_one_name_the_last_counts() {
    let volume = |source: &str| format!("volume \"v\" {{\n type = \"host\"\n source = {source:?}\n}}\n");
    let group = format!("group \"g\" {{\n{}{}task \"t\" {{\n driver = \"d\"\n}}\n}}", volume("a"), volume("b"));
    let parsed = parse_str("test.hcl", &format!("job \"j\" {{\n{group}\n}}\n"), &ParseOptions::default()).unwrap();
    assert_eq!(parsed.job.task_groups[0].volumes["v"].source, "b");
    let warned = parsed.warnings.plain();
    assert!(warned.contains("test.hcl:7,1-11: there is another volume block named \"v\""), "{warned}");
}

#[test]
fn a_group_is_as_large_as_its_scaling_needs() {
    let text = task_text("").replace("group \"g\" {", "group \"g\" {\n scaling {\n min = 2\n max = 3\n}\n");
    assert_eq!(job(&text).task_groups[0].count, 2);
    let with_count = text.replace("scaling {", "count = 3\n scaling {");
    assert_eq!(job(&with_count).task_groups[0].count, 3);
}

#[test]
fn a_gateway_needs_no_task() {
    let gateway = "service {\n name = \"s\"\n connect {\n gateway {\n mesh {}\n}\n}\n}";
    let text = format!("job \"j\" {{\n group \"g\" {{\n{gateway}\n}}\n}}\n");
    assert!(job(&text).task_groups[0].tasks.is_empty());
}

#[test]
fn what_nomad_does_not_refuse_in_a_task_is_a_warning() {
    let policy = "restart {\n attempts = 20\n interval = \"2m\"\n delay = \"30s\"\n}";
    let parsed = parse_str("test.hcl", &task_text(policy), &ParseOptions::default()).unwrap();
    assert!(parsed.warnings.plain().contains("can't restart the TaskGroup 20 times"));
    let group = task_text("").replace("group \"g\" {", &format!("group \"g\" {{\n{policy}\n"));
    assert!(errors(&group).plain().contains("can't restart the TaskGroup 20 times"));
}
