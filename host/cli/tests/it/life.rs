//! How agents start and end.

use std::{fs, process::Stdio};

use crate::harness::{PROGRAM, Station, run, terminate};

/// A job that is over at once.
const TRUE: &str = r#"
job "web" {
  type = "batch"
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
    }
  }
}
"#;

#[test]
fn a_second_agent_on_the_same_directory_is_refused() {
    let station = Station::start();
    let output = station.agent_command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another agent listens on"), "{said}");
    station.cli(&["node", "status"]).ok();
}

#[test]
fn the_socket_of_a_dead_agent_is_replaced() {
    let mut station = Station::start();
    station.kill();
    assert!(station.path("data/api.sock").exists());
    station.launch();
    station.cli(&["node", "status"]).ok();
}

#[test]
fn something_else_at_the_sockets_place_is_left_alone() {
    let station = Station::prepare("", &[]);
    fs::create_dir_all(station.path("data")).unwrap();
    fs::write(station.path("data/api.sock"), "precious").unwrap();
    let output = station.agent_command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is no socket"));
    assert_eq!(fs::read_to_string(station.path("data/api.sock")).unwrap(), "precious");
}

#[test]
fn sigterm_ends_the_agent_well_even_while_somebody_waits() {
    let station = Station::prepare("", &[]);
    let mut agent = station.agent_command().stderr(Stdio::null()).spawn().unwrap();
    crate::harness::eventually("the agent serves", || station.curl("/v1/agent/self"));
    let mut waiting = station.command(&["node", "status"]);
    waiting.spawn().unwrap().wait().unwrap();
    let socket = station.path("data/api.sock");
    let mut blocked = std::process::Command::new("curl")
        .args(["-s", "--unix-socket", socket.to_str().unwrap(), "http://localhost/v1/jobs?index=1000000&wait=300s"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    terminate(&agent);
    assert_eq!(agent.wait().unwrap().code(), Some(0));
    assert!(blocked.wait().is_ok());
    assert!(!socket.exists());
}

#[test]
fn a_wrong_configuration_is_told_with_place_and_remedy() {
    let station = Station::prepare("driver \"docker\" {\n  polciy {\n  }\n}\n", &[]);
    let output = station.agent_command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("agent.hcl:2:3") && said.contains("\"policy\""), "{said}");
}

#[test]
fn what_the_agent_keeps_is_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let station = Station::start();
    for (path, expected) in [("data", 0o711), ("data/allocs", 0o711), ("data/journal.redb", 0o600)] {
        let mode = fs::metadata(station.path(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, expected, "{path} has mode {mode:o}");
    }
}

/// As a user without rights, whose home it can remove and no other.
#[test]
fn a_job_in_the_foreground_removes_its_own_directory_only() {
    let station = Station::prepare("", &[]);
    let home = station.path("home");
    fs::create_dir_all(home.join("longshore/run/other")).unwrap();
    let precious = [home.join("longshore/kept"), home.join("longshore/run/other/kept")];
    for path in &precious {
        fs::write(path, "precious").unwrap();
    }
    let program = station.path("longshore");
    fs::copy(PROGRAM, &program).unwrap();
    run("chown", &["-R", "65534:65534", station.path("").to_str().unwrap()]).ok();
    for id in ["..", ".", "web"] {
        let job = station.job("foreground", &TRUE.replace("web", id));
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).args(["run", &job]);
        let ran = command.env("XDG_DATA_HOME", &home).stdin(Stdio::null()).output().unwrap();
        let gone: Vec<_> = precious.iter().filter(|path| !path.exists()).collect();
        assert!(gone.is_empty(), "job {id:?} took {gone:?} with it");
        assert!(ran.status.success(), "{id}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(fs::read_dir(home.join("longshore/run")).unwrap().count(), 1, "{id}: its own directory is left");
    }
}

#[test]
fn the_agent_logs_json_when_asked() {
    let mut station = Station::with("", &["--log-format", "json"]);
    let log = station.log();
    let line = log.lines().next().unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert!(line["fields"]["message"].is_string(), "{line}");
    station.kill();
}

/// The main task ends at once, what follows its start a moment later; then the sidecars are told why they end.
#[test]
fn sidecars_end_when_the_work_is_done() {
    let station = Station::start();
    let task = |name: &str, script: &str, hook: &str| {
        format!(
            "task {name:?} {{\n driver = \"raw_exec\"\n config {{\n command = \"/bin/sh\"\n \
             args = [\"-c\", {script:?}]\n }}\n {hook}\n }}\n"
        )
    };
    let hook = |hook: &str, sidecar: bool| format!("lifecycle {{\n hook = {hook:?}\n sidecar = {sidecar}\n }}");
    let tasks = [
        task("proxy", "exec sleep 600", &hook("prestart", true)),
        task("work", "true", ""),
        task("tell", "sleep 1; echo told", &hook("poststart", false)),
        task("bye", "echo bye", &hook("poststop", false)),
    ];
    let text = format!("job \"work\" {{\n type = \"batch\"\n group \"g\" {{\n {} }}\n}}\n", tasks.concat());
    station.cli(&["job", "run", "--detach", &station.job("work", &text)]).ok();
    let alloc = station.allocation("work");
    let state = station.until_task(&alloc, "proxy", "it ends", |state| state["State"] == "dead");
    let events: Vec<_> =
        state["Events"].as_array().unwrap().iter().map(|event| event["Type"].as_str().unwrap()).collect();
    let end = events.iter().position(|event| *event == "Main Tasks Dead").unwrap_or_else(|| panic!("{events:?}"));
    assert_eq!(events[end + 1..].first(), Some(&"Killing"), "{events:?}");
    station.until_task(&alloc, "bye", "the last word", |state| state["State"] == "dead");
    assert_eq!(station.cli(&["alloc", "logs", &alloc[..8], "tell"]).ok(), "told\n");
    assert_eq!(station.get(&format!("/v1/allocation/{alloc}"))["ClientStatus"], "complete");
}
