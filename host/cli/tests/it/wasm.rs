//! Jobs of WebAssembly components, and drivers written in other languages.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
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

/// A driver that asks one named engine over HTTP, and reaches nothing else.
#[test]
fn a_driver_asks_the_engine_it_was_granted() {
    let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/drivers/remote"));
    let driver =
        xtask::component::build_wasip2(example, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("remote")).unwrap();
    let settings = |grant: &str| format!("driver \"remote\" {{\n path = {driver:?}\n grants = [{grant}]\n}}\n");
    let refused = Station::prepare(&settings("\"http:jobs\""), &[]).agent_command().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("http_engine \"jobs\""), "{said}");

    let service = Service::start();
    let engine = format!("http_engine \"jobs\" {{\n tcp = \"{}\"\n}}\n", service.address);
    let ungranted = Station::with(&(engine.clone() + &settings("")), &[]);
    assert!(ungranted.log().contains("without the grant `http:<engine>`"), "{}", ungranted.log());
    assert_eq!(service.heard(), Vec::<String>::new());
    drop(ungranted);

    let station = Station::with(&(engine + &settings("\"http:jobs\"")), &[]);
    let text = "job \"far\" {\n group \"g\" {\n task \"t\" {\n driver = \"remote\"\n config {\n line = \"sleep 9\"\n }\n \
                }\n }\n}\n";
    let alloc = station.run_job("far", text);
    let path = format!("/tasks/{alloc}-t");
    assert!(service.heard().contains(&format!("PUT {path} sleep 9")), "{:?}", service.heard());
    service.tell("exited 3");
    let state = station.until_task(&alloc, "t", "its end is seen", |state| state["Restarts"] == 1);
    assert!(state["Events"].to_string().contains("Exit Code: 3"), "{state}");
    service.tell("running");
    station.cli(&["job", "stop", "--purge", "far"]).ok();
    assert!(service.heard().contains(&format!("DELETE {path} ")), "{:?}", service.heard());
}

/// A service that notes what it is asked, and tells of every task the same.
struct Service {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
    said: Arc<Mutex<&'static str>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self {
            address: listener.local_addr().unwrap().to_string(),
            heard: Arc::default(),
            said: Arc::new(Mutex::new("running")),
        };
        let (heard, said) = (service.heard.clone(), service.said.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &heard, &said);
            }
        });
        service
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn tell(&self, said: &'static str) {
        *self.said.lock().unwrap() = said;
    }
}

/// One exchange.
fn answer(mut stream: TcpStream, heard: &Mutex<Vec<String>>, said: &Mutex<&'static str>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut chunked) = (String::new(), false);
    reader.read_line(&mut first)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        chunked |= header.to_ascii_lowercase().starts_with("transfer-encoding: chunked");
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = String::new();
    while chunked {
        let (mut size, mut piece) = (String::new(), String::new());
        reader.read_line(&mut size)?;
        reader.read_line(&mut piece)?;
        body.push_str(piece.trim());
        chunked = size.trim() != "0";
    }
    let (method, path) = first.rsplit_once(' ').and_then(|(asked, _)| asked.split_once(' ')).unwrap_or_default();
    heard.lock().unwrap().push(format!("{method} {path} {body}"));
    let said = *said.lock().unwrap();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}", said.len())
}
