//! Wrong jobs: refused at submission, with place and remedy, and nothing started.

use std::{fs, net::TcpListener};

use crate::harness::Station;

fn job(task: &str) -> String {
    format!("job \"wrong\" {{\n  group \"g\" {{\n    task \"t\" {{\n{task}\n    }}\n  }}\n}}\n")
}

#[test]
fn wrong_jobs_are_refused_where_they_are_wrong() {
    let station = Station::start();
    let table: &[(&str, &[&str])] = &[
        ("      driver = \"raw_exce\"\n      config {}", &["raw_exce", "\"raw_exec\"", "wrong.nomad.hcl:4"]),
        (
            "      driver = \"raw_exec\"\n      config {\n        comand = \"/bin/true\"\n      }",
            &["comand", "\"command\"", "wrong.nomad.hcl:6"],
        ),
        (
            "      driver = \"raw_exec\"\n      config {\n        command = [\"/bin/true\"]\n      }",
            &["command", "string", "wrong.nomad.hcl:6"],
        ),
        ("      drvier = \"raw_exec\"", &["drvier", "\"driver\"", "wrong.nomad.hcl:4"]),
        ("      driver = \"raw_exec\"\n      config {", &["wrong.nomad.hcl"]),
    ];
    for (task, expected) in table {
        let file = station.job("wrong", &job(task));
        for command in ["run", "validate"] {
            let said = station.cli(&["job", command, &file]).refused(2);
            for part in *expected {
                assert!(said.contains(part), "{command}: {task}:\n{said}\nlacks {part:?}");
            }
        }
    }
    assert_eq!(station.get("/v1/jobs").as_array().unwrap().len(), 0);
    assert!(station.directories().is_empty());
}

#[test]
fn problems_are_json_for_programs() {
    let station = Station::start();
    let file =
        station.job("wrong", &job("      driver = \"raw_exec\"\n      config {\n        comand = \"x\"\n      }"));
    let ran = station.cli(&["job", "validate", "--json", &file]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["valid"], false);
    assert_eq!(found["problems"][0]["line"], 6, "{found}");
}

#[test]
fn a_job_file_that_cannot_be_read_is_told() {
    let station = Station::start();
    let directory = station.path("directory");
    fs::create_dir(&directory).unwrap();
    fs::write(station.path("bytes"), [0xff, 0xfe, 0x00]).unwrap();
    fs::write(station.path("empty"), "").unwrap();
    let table = [("none", "No such file"), ("directory", "is a directory"), ("bytes", "UTF-8"), ("empty", "is empty")];
    for (name, expected) in table {
        let said = station.cli(&["job", "run", station.path(name).to_str().unwrap()]).refused(2);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_taken_port_is_refused_with_the_process_that_has_it() {
    let station = Station::start();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!(
        "job \"wrong\" {{\n  group \"g\" {{\n    network {{\n      port \"http\" {{\n        static = {port}\n      }}\n    }}\n    \
         task \"t\" {{\n      driver = \"raw_exec\"\n      config {{\n        command = \"/bin/true\"\n      }}\n    }}\n  }}\n}}\n"
    );
    let said = station.cli(&["job", "run", &station.job("wrong", &text)]).refused(2);
    let pid = std::process::id().to_string();
    assert!(said.contains(&port.to_string()) && said.contains(&pid), "{said}");
    assert_eq!(station.get("/v1/jobs").as_array().unwrap().len(), 0);
}

#[test]
fn raw_exec_is_there_only_when_asked_for() {
    let station = Station::with("", &[]);
    let file = station
        .job("wrong", &job("      driver = \"raw_exec\"\n      config {\n        command = \"/bin/true\"\n      }"));
    let said = station.cli(&["job", "run", &file]).refused(2);
    assert!(said.contains("raw_exec"), "{said}");
    let asked = Station::with("driver \"raw_exec\" {\n  enabled = true\n}\n", &[]);
    assert!(asked.cli(&["driver", "list"]).ok().contains("raw_exec"));
}

#[test]
fn ids_that_name_nothing_or_several_things_are_told() {
    let station = Station::start();
    let table: &[(&[&str], i32, &str)] = &[
        (&["job", "status", "none"], 1, "no job with prefix or id \"none\" found"),
        (&["job", "stop", "none"], 1, "no job with prefix or id \"none\" found"),
        (&["alloc", "status", "ffff"], 1, "no allocation with prefix or id \"ffff\" found"),
        (&["alloc", "status", "f"], 2, "at least two characters"),
        (&["alloc", "logs", "ffff"], 1, "no allocation"),
    ];
    for (command, code, expected) in table {
        let said = station.cli(command).refused(*code);
        assert!(said.contains(expected), "{said}");
    }
}
