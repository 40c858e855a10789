//! Job files without running them: printed, planned, formatted, imported.

use std::fs;

use serde_json::Value;

use crate::harness::{PROGRAM, Station, run};

fn job(count: u32, seconds: u32) -> String {
    format!(
        "job \"planned\" {{\n  group \"g\" {{\n    count = {count}\n    task \"t\" {{\n      driver = \"raw_exec\"\n      \
         config {{\n        command = \"/bin/sleep\"\n        args    = [\"{seconds}\"]\n      }}\n    }}\n  }}\n}}\n"
    )
}

#[test]
fn a_job_is_printed_without_an_agent_and_runs_again_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.nomad.hcl");
    let text = format!("variable \"n\" {{}}\n{}", job(1, 900).replace("[\"900\"]", "[var.n]"));
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let printed = run(PROGRAM, &["job", "run", "-output", "-var", "n=900", file]).ok();
    let document: Value = serde_json::from_str(&printed).unwrap();
    let task = &document["Job"]["TaskGroups"][0]["Tasks"][0];
    assert_eq!((task["Config"]["args"][0].as_str(), task["KillTimeout"].is_null()), (Some("900"), true), "{printed}");
    let said = run(PROGRAM, &["job", "run", "-output", file]).refused(2);
    assert!(said.contains("Unset variable"), "{said}");
    let unknown = ["job", "run", "-output", "-var", "n=900", "-var", "other=1"];
    let said = run(PROGRAM, &[&unknown[..], &[file]].concat()).refused(2);
    assert!(said.contains("Undefined -var variable"), "{said}");
    run(PROGRAM, &[&unknown[..], &["-hcl2-strict=false", file]].concat()).ok();
    let station = Station::start();
    fs::write(station.path("printed.json"), printed).unwrap();
    station.cli(&["job", "run", station.path("printed.json").to_str().unwrap()]).ok();
    assert_eq!(station.get("/v1/job/planned")["TaskGroups"][0]["Tasks"][0]["KillTimeout"], 5_000_000_000_i64);
}

#[test]
fn a_job_comes_through_a_pipe() {
    let station = Station::start();
    let text = format!("variable \"n\" {{}}\n{}", job(1, 900).replace("[\"900\"]", "[var.n]"));
    fs::write(station.path("values"), "n = \"900\"").unwrap();
    let printed = station.cli_with(&["job", "run", "-output", "-var-file", "values", "-"], &text).ok();
    assert!(printed.contains("\"900\""), "{printed}");
    let said = station.cli_with(&["job", "validate", "-"], "job \"planned\" {").refused(2);
    assert!(said.contains("<stdin>:1:"), "{said}");
    station.cli_with(&["job", "run", "-detach", "-var-file", "values", "-"], &text).ok();
    let submission = station.get("/v1/job/planned/submission?version=0");
    assert_eq!(
        (submission["Source"].as_str(), submission["Variables"].as_str()),
        (Some(text.as_str()), Some("n = \"900\"\n"))
    );
    let json = station.cli_with(&["job", "run", "-output", "-"], &job(1, 901)).ok();
    station.cli_with(&["job", "run", "-detach", "-"], &json).ok();
    let submission = station.get("/v1/job/planned/submission");
    assert_eq!((submission["Source"].as_str(), submission["Format"].as_str()), (Some(json.as_str()), Some("json")));
}

#[test]
fn a_file_and_its_drivers_are_complained_of_at_once() {
    let station = Station::start();
    let text = job(1, 1)
        .replace("count = 1", "count = \"many\"\n    vault {}")
        .replace("command", "comand")
        .replace("[\"1\"]", "[\"${nobody}\", \"${NOMAD_ALLOC_ID}\"]");
    let file = station.job("wrong", &text);
    for arguments in [&["job", "validate"][..], &["job", "run"]] {
        let said = station.cli(&[arguments, &[file.as_str()]].concat()).refused(2);
        for expected in [
            "Inappropriate value for attribute \"count\"",
            "\"vault\" cannot be used here",
            "unknown key \"comand\"; did you mean \"command\"?",
            "There is no variable named \"nobody\".",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
    let offline = station.cli(&["job", "validate", "--offline", &file]).refused(2);
    assert!(offline.contains("\"count\"") && !offline.contains("comand"), "{offline}");
    // An expression that could not be evaluated is one mistake, not also a key that is missing.
    let broken = station.job("broken", &job(1, 1).replace("\"/bin/sleep\"", "local.nope"));
    let said = station.cli(&["job", "validate", &broken]).refused(2);
    assert_eq!(said.matches('×').count(), 1, "{said}");
}

#[test]
fn a_plan_shows_what_changes_and_changes_nothing() {
    let station = Station::start();
    let file = station.job("planned", &job(1, 900));
    let plan = |file: &str| {
        let ran = station.cli(&["job", "plan", file]);
        (ran.code, ran.out)
    };
    let (code, out) = plan(&file);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("+ Job: \"planned\"") && out.contains("1 create"), "{out}");
    assert!(!["\"\"", "IOPS", "Env {"].iter().any(|nothing| out.contains(nothing)), "{out}");
    assert_eq!(station.get("/v1/jobs").as_array().unwrap().len(), 0);
    station.cli(&["job", "run", &file]).ok();
    let (code, out) = plan(&file);
    assert_eq!(code, 0, "{out}");
    let (code, out) = plan(&station.job("more", &job(2, 900)));
    assert_eq!(code, 1, "{out}");
    let expected = ["(1 create, 1 in-place update)", "\"1\" => \"2\" (forces create)"];
    assert!(expected.iter().all(|part| out.contains(part)), "{out}");
    let (code, out) = plan(&station.job("other", &job(1, 901)));
    assert_eq!(code, 1, "{out}");
    let expected = ["(1 create/destroy update)", "Task: \"t\" (forces create/destroy update)", "\"900\" => \"901\""];
    assert!(expected.iter().all(|part| out.contains(part)), "{out}");
    let patient = job(1, 900).replace("driver = ", "kill_timeout = \"9s\"\n driver = ");
    let (code, out) = plan(&station.job("patient", &patient));
    assert_eq!(code, 1, "{out}");
    let expected = ["(1 in-place update)", "Task: \"t\" (forces in-place update)", "\"5s\" => \"9s\""];
    assert!(expected.iter().all(|part| out.contains(part)), "{out}");
    let wrong = station.job("wrong", &job(1, 1).replace("command", "comand"));
    assert!(station.cli(&["job", "plan", &wrong]).refused(255).contains("comand"));
}

#[test]
fn what_changes_in_place_leaves_the_process_alone() {
    let station = Station::start();
    let alloc = station.run_job("planned", &job(1, 900));
    let state = || {
        let found = station.get(&format!("/v1/allocation/{alloc}"));
        (
            found["Job"]["Version"].as_u64(),
            found["TaskStates"]["t"]["StartedAt"].clone(),
            found["DesiredStatus"].clone(),
        )
    };
    let (version, started, _) = state();
    assert_eq!(version, Some(0));
    let patient = job(1, 900).replace("driver = ", "kill_timeout = \"9s\"\n driver = ");
    station.cli(&["job", "run", "--detach", &station.job("planned", &patient)]).ok();
    assert_eq!(state(), (Some(1), started, "run".into()));
    assert_eq!(station.get("/v1/job/planned/allocations").as_array().unwrap().len(), 1);
    assert_eq!(station.cli(&["job", "plan", &station.job("planned", &patient)]).code, 0);
}

#[test]
fn a_constraint_that_this_machine_does_not_meet_is_told_with_its_line() {
    let station = Station::start();
    let with = |value: &str| {
        let constraint =
            format!("constraint {{\nattribute = \"${{attr.kernel.name}}\"\nvalue = \"{value}\"\n}}\ncount =");
        job(1, 900).replace("count =", &constraint)
    };
    let said = station.cli(&["job", "run", &station.job("planned", &with("windows"))]);
    assert_ne!(said.code, 0);
    let expected = "Constraint \"${attr.kernel.name} = windows\" excludes this machine: attr.kernel.name is \"linux\"";
    assert!(said.err.contains(expected), "{}", said.err);
    station.run_job("planned", &with("linux"));
}

#[test]
fn warnings_are_json_for_programs() {
    let station = Station::start();
    let file =
        station.job("planned", &job(1, 900).replace("count = 1", "constraint {\ndistinct_hosts = true\n}\nupdate {}"));
    for (arguments, expected) in [(&["--offline"][..], 1), (&[], 2)] {
        let arguments = [&["job", "validate", "--json"], arguments, &[file.as_str()]].concat();
        let found: Value = serde_json::from_str(&station.cli(&arguments).ok()).unwrap();
        let problems = found["problems"].as_array().unwrap();
        assert_eq!((found["valid"].as_bool(), problems.len()), (Some(true), expected), "{found}");
        assert!(problems.iter().all(|problem| problem["severity"] == "warning"), "{found}");
    }
}

#[test]
fn what_is_not_acted_on_is_refused_by_name_with_and_without_an_agent() {
    let station = Station::start();
    let text = job(1, 1).replace("count = 1", "vault {}");
    let file = station.job("refused", &text);
    for arguments in [&["job", "validate", "--offline"][..], &["job", "validate"], &["job", "run"]] {
        let said = station.cli(&[arguments, &[file.as_str()]].concat()).refused(2);
        assert!(said.contains("\"vault\" cannot be used here"), "{arguments:?}: {said}");
    }
    station.cli(&["job", "run", "--output", &file]).ok();
}

#[test]
fn files_are_formatted_upgraded_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("a"), "job \"a\" {\ntask \"t\" {\ndriver=\"d\" # kept\n}\n}\n").unwrap();
    assert_eq!(run(PROGRAM, &["job", "fmt", "--check", &path("a")]).code, 1);
    run(PROGRAM, &["job", "fmt", &path("a")]).ok();
    assert_eq!(
        fs::read_to_string(path("a")).unwrap(),
        "job \"a\" {\n  task \"t\" {\n    driver = \"d\" # kept\n  }\n}\n"
    );
    run(PROGRAM, &["job", "fmt", "--check", &path("a")]).ok();
    let upgraded = run(PROGRAM, &["job", "fmt", "--upgrade", "--print", &path("a")]).ok();
    assert!(upgraded.contains("group \"t\" {"), "{upgraded}");
    fs::write(path("compose.yaml"), "services:\n  web:\n    image: a:1\n    ports: ['8080:80']\n").unwrap();
    let imported = run(PROGRAM, &["job", "import", "compose", "--name", "shop", &path("compose.yaml")]).ok();
    fs::write(path("shop"), imported).unwrap();
    run(PROGRAM, &["job", "validate", "--offline", &path("shop")]).ok();
}
