//! Components as tasks, with a program of ours in place of the runtime.

use std::{fs, io::Write, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use longshore_core::{
    component::{ComponentKind, ComponentSpec, Components},
    error::HostError,
    workload::{Limits, RunState},
};
use longshore_linux::{cgroup::Cgroups, components::ComponentRunner};

use crate::support::{PART, Scene, alive, part};

const NAME: &str = "components::a_proxy_answers_when_run_returns";

fn spec(kind: ComponentKind, listen_address: Option<String>) -> ComponentSpec {
    ComponentSpec {
        name: "main".into(),
        path: "/nowhere/app.wasm".into(),
        kind,
        args: vec!["app".into()],
        env: vec![("SECRET".into(), "s".into())],
        mounts: Vec::new(),
        listen_address,
        allow_outbound: false,
        limits: Limits { memory_mib: 64, ..Limits::default() },
    }
}

/// A program that plays the runtime: `script` has the spec's path in `$4`.
fn runner(scene: &Scene, script: &str) -> ComponentRunner {
    let program = scene.dir.join("runtime");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    ComponentRunner::open(&scene.dir.join("components"), Arc::new(Cgroups::detect()), Some(program)).unwrap()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_proxy_answers_when_run_returns() {
    if let Some(file) = part() {
        return serve(&file);
    }
    let scene = Scene::new();
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "[ \"$1 $2\" = \"component-task --cache\" ] && {PART}=\"$4\" exec {} --exact {NAME} --nocapture",
        test.display()
    );
    let runner = runner(&scene, &script);
    let address = free_address();
    let spec = spec(ComponentKind::HttpProxy, Some(address.clone()));
    let id = runner.run(&scene.caller, &spec).await.unwrap();
    std::net::TcpStream::connect(&address).unwrap();
    assert_eq!(runner.run(&scene.caller, &spec).await.unwrap(), id, "idempotent by name");
    let process = runner.inspect(&scene.caller, &id).await.unwrap();
    assert_eq!(process.state, RunState::Running);
    assert_eq!(runner.list(&scene.caller).await.unwrap(), std::slice::from_ref(&process));
    assert!(runner.usage(&scene.caller, &id).await.unwrap().memory_bytes > 0.0);
    runner.stop(&scene.caller, &id, 5000).await.unwrap();
    assert_eq!(runner.wait(&scene.caller, &id).await.unwrap().signal, 2);
    runner.remove(&scene.caller, &id).await.unwrap();
    assert!(!alive(process.pid));
    assert_eq!(fs::read_dir(scene.dir.join("components/specs")).unwrap().count(), 0, "a spec was left");
}

/// Plays the runtime: listens where the spec says, after a while.
fn serve(file: &Path) {
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "the spec holds secrets");
    let spec: ComponentSpec = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let listener = TcpListener::bind(spec.listen_address.unwrap()).unwrap();
    for stream in listener.incoming() {
        let _ = stream.unwrap().write_all(b"hello");
    }
}

#[tokio::test]
async fn a_proxy_that_ends_first_says_its_last_words() {
    let scene = Scene::new();
    let runner = runner(&scene, "echo loading >&2; echo 'no such component' >&2; exit 3");
    let spec = spec(ComponentKind::HttpProxy, Some(free_address()));
    let error = runner.run(&scene.caller, &spec).await.unwrap_err().to_string();
    for expected in ["ended (code 3)", "loading | no such component"] {
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    }
    assert_eq!(runner.list(&scene.caller).await.unwrap(), []);
}

#[tokio::test]
async fn commands_run_and_bad_addresses_are_refused() {
    let scene = Scene::new();
    let runner = runner(&scene, "exit 11");
    let id = runner.run(&scene.caller, &spec(ComponentKind::Command, None)).await.unwrap();
    assert_eq!(runner.wait(&scene.caller, &id).await.unwrap().exit_code, 11);
    runner.remove(&scene.caller, &id).await.unwrap();
    for address in [None, Some("8080"), Some("localhost:80"), Some("127.0.0.1")] {
        let spec = spec(ComponentKind::HttpProxy, address.map(String::from));
        let error = runner.run(&scene.caller, &spec).await.unwrap_err();
        assert!(matches!(error, HostError::Invalid(_)), "{address:?}: {error}");
    }
}

#[tokio::test]
async fn no_spec_stays_without_its_component() {
    let scene = Scene::new();
    let specs = scene.dir.join("components/specs");
    let left = || fs::read_dir(&specs).unwrap().count();
    let open = |program: &str| {
        let cgroups = Arc::new(Cgroups::detect());
        ComponentRunner::open(&scene.dir.join("components"), cgroups, Some(scene.dir.join(program))).unwrap()
    };
    let refused = open("none").run(&scene.caller, &spec(ComponentKind::Command, None)).await.unwrap_err();
    assert!(refused.to_string().contains("none"), "{refused}");
    assert_eq!(left(), 0, "it was not started");

    let runner = runner(&scene, "exec sleep 600");
    let id = runner.run(&scene.caller, &spec(ComponentKind::Command, None)).await.unwrap();
    assert_eq!(left(), 1);
    // What an agent leaves that dies before it starts a component, or while it writes.
    for name in ["0a1b2c3d-web-00.json", "0a1b2c3d-web-01.new"] {
        fs::write(specs.join(name), "secret").unwrap();
    }
    let next = open("runtime");
    assert_eq!(left(), 1, "that of the running one");
    next.remove(&scene.caller, &id).await.unwrap();
    assert_eq!(left(), 0);
}
