//! Jobs of WebAssembly components, and drivers written in other languages.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::harness::{Station, answers, eventually, fetch, lives, processes_with};

/// The HTTP component of the examples, built once.
fn hello() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/components/hello"));
        xtask::component::build_wasip2(example, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("hello")).unwrap()
    })
}

/// An agent whose wasm driver may run components from anywhere, and its hello job.
fn station() -> (Station, String) {
    let station = Station::with("driver \"wasm\" {\n  policy {\n    allow_host_binds = [\"*\"]\n  }\n}\n", &["--dev"]);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/jobs/hello.nomad.hcl");
    station.cli(&["job", "run", "--var", &format!("component={}", hello().display()), example]).ok();
    let alloc = station.allocation("hello");
    (station, alloc)
}

#[test]
fn a_component_answers_and_leaves_nothing() {
    let (station, alloc) = station();
    let address = station.address(&alloc, "http");
    assert!(!fetch(&address).is_empty());
    station.cli(&["job", "stop", "hello"]).ok();
    assert!(!answers(&address));
    assert_eq!(processes_with(&alloc), Vec::<u32>::new());
}

#[test]
fn a_killed_agent_loses_no_component_and_finds_it_again() {
    let (mut station, alloc) = station();
    let address = station.address(&alloc, "http");
    let page = fetch(&address);
    station.kill();
    assert_eq!(fetch(&address), page);
    station.launch();
    let state = station.until_task(&alloc, "hello", "it runs", |state| state["State"] == "running");
    assert_eq!(state["Restarts"], 0, "{state}");
    assert_eq!(fetch(&address), page);
    station.cli(&["job", "stop", "hello"]).ok();
    assert!(!answers(&address));
}

#[test]
fn what_is_no_component_fails_with_the_reason() {
    let station = Station::with("driver \"wasm\" {\n  policy {\n    allow_host_binds = [\"*\"]\n  }\n}\n", &["--dev"]);
    let text = "job \"no\" {\n  group \"g\" {\n    restart {\n      attempts = 0\n      mode = \"fail\"\n    }\n    \
                task \"t\" {\n      driver = \"wasm\"\n      config {\n        component = \"/etc/hostname\"\n        \
                kind = \"command\"\n      }\n    }\n  }\n}\n";
    station.cli(&["job", "run", "--detach", &station.job("no", text)]).ok();
    let alloc = station.allocation("no");
    station.until_task(&alloc, "t", "it failed", |state| state["State"] == "dead" && state["Failed"] == true);
    let said = station.cli(&["alloc", "logs", "--stderr", &alloc[..8]]).ok();
    assert!(said.contains("cannot load component /etc/hostname"), "{said}");
}

/// An agent with a driver from a file, a job that runs a script through it, and what the script said first: its pid.
fn scripting(name: &str, component: &Path, script: &str) -> (Station, String, u32) {
    let config =
        format!("driver \"{name}\" {{\n  path = \"{}\"\n  grants = [\"processes\"]\n}}\n", component.display());
    let station = Station::with(&config, &["--dev"]);
    let file = station.path("script");
    fs::write(&file, script).unwrap();
    let text = format!(
        "job \"script\" {{\n  group \"g\" {{\n    task \"t\" {{\n      driver = \"{name}\"\n      config {{\n        \
         script = \"{}\"\n      }}\n    }}\n  }}\n}}\n",
        file.display()
    );
    let alloc = station.run_job("script", &text);
    let logs = || station.cli(&["alloc", "logs", &alloc[..8]]).ok();
    let pid: u32 = eventually("the script says its pid", || logs().trim().parse().ok());
    assert!(lives(pid));
    (station, alloc, pid)
}

/// Starts and stops a real process through a driver in another language.
fn scripts_run(name: &str, component: &Path, script: &str) {
    let (station, alloc, pid) = scripting(name, component, script);
    station.cli(&["job", "stop", "script"]).ok();
    assert!(!lives(pid));
    assert_eq!(processes_with(&alloc), Vec::<u32>::new());
}

#[test]
fn a_driver_in_c_starts_and_stops_a_process() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-driver");
    let component = xtask::languages::c(&out).unwrap();
    scripts_run("shell_c", &component, "echo $$\nwhile :; do sleep 0.1; done\n");
}

#[test]
fn a_driver_in_python_starts_and_stops_a_process() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-driver");
    let component = xtask::languages::python(&out).unwrap();
    scripts_run("python", &component, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n");
}

/// The same component to its tasks, another to the host: a custom section `note` follows it.
fn next_version(component: &Path) -> PathBuf {
    let mut bytes = fs::read(component).unwrap();
    bytes.extend(b"\0\x05\x04note");
    let next = component.with_file_name("next.wasm");
    fs::write(&next, bytes).unwrap();
    next
}

#[test]
fn a_driver_is_replaced_under_a_running_task() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-driver-replaced");
    let component = xtask::languages::c(&out).unwrap();
    let script = "echo $$\nwhile :; do sleep 0.1; done\n";
    let (mut station, alloc, pid) = scripting("shell_c", &component, script);
    let digest = |station: &Station| station.get("/v1/drivers").to_string();
    let before = digest(&station);
    station.cli(&["driver", "replace", "shell_c", next_version(&component).to_str().unwrap()]).ok();
    let after = digest(&station);
    assert_ne!(before, after);
    let kept = station.path("data/drivers/shell_c.wasm");
    assert!(kept.exists() && station.cli(&["driver", "list"]).ok().contains(&format!("{} ", kept.display())));
    assert!(lives(pid));

    station.kill();
    station.launch();
    let state = station.until_task(&alloc, "t", "it runs", |state| state["State"] == "running");
    assert_eq!(state["Restarts"], 0, "{state}");
    assert!(lives(pid));
    station.cli(&["job", "stop", "script"]).ok();
    assert!(!lives(pid));
}

#[test]
fn a_driver_without_its_grant_is_refused_by_name() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-driver-ungranted");
    let component = xtask::languages::c(&out).unwrap();
    let station = Station::with("", &["--dev"]);
    let shown = station.cli(&["driver", "inspect", component.to_str().unwrap()]);
    let said = format!("{}{}", shown.out, shown.err);
    assert!(said.contains("processes"), "{said}");
    let replaced = station.cli(&["driver", "replace", "wasm", component.to_str().unwrap()]);
    let said = replaced.refused(2);
    assert!(said.contains("+ processes") && said.contains("grants"), "{said}");
}
