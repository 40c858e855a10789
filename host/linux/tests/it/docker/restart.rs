//! Engines that are away or go away: a private `dockerd` on a socket of its own.

use longshore_core::{
    caller::{Caller, DriverName},
    container::Containers,
    error::HostError,
    policy::Policy,
    workload::OutputPosition,
};
use serde_json::json;

use super::{Scene, backend, daemon::Daemon, read_output};

#[tokio::test(flavor = "multi_thread")]
async fn waits_and_logs_outlive_the_engine() {
    let mut daemon = Daemon::new(&[]);
    tokio::task::block_in_place(|| daemon.start());
    let scene = Scene::at(&daemon.endpoint(), Policy::default());
    let mut spec = scene.shell("trap 'echo bye; exit 8' TERM; echo hello; while :; do sleep 0.05; done");
    spec.engine_options = json!({"StopTimeout": 20}).as_object().cloned();
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    scene.docker.start(&scene.caller, &id).await.unwrap();
    let mut output = scene.docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
    let (said, _) = read_output(&mut output, |said| said.contains('\n')).await;
    assert_eq!(said, "hello\n");
    let (waited, rest, ()) =
        tokio::join!(scene.docker.wait(&scene.caller, &id), read_output(&mut output, |_| false), async {
            tokio::task::block_in_place(|| daemon.stop());
            let away = scene.docker.inspect(&scene.caller, &id).await.unwrap_err();
            assert!(matches!(away, HostError::Unavailable(_)), "{away}");
            tokio::task::block_in_place(|| daemon.start());
        });
    assert_eq!(waited.unwrap().exit_code, 8);
    assert_eq!(rest.0, "bye\n", "each line once");
    // The same backend goes on with the new engine.
    let again = scene.docker.create(&scene.caller, &scene.shell("exit 0")).await.unwrap();
    scene.docker.start(&scene.caller, &again).await.unwrap();
    assert!(scene.docker.wait(&scene.caller, &again).await.unwrap().success());
    drop(scene);
}

fn driver() -> Caller {
    Caller::driver(&DriverName("docker".into()))
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("docker.sock");
    let docker = backend(socket.to_str().unwrap(), "nobody", Policy::default());
    let check = async |why: &str| {
        let said = docker.engine(&driver()).await.unwrap_err();
        let HostError::Unavailable(text) = &said else { panic!("{why}: {said:?}") };
        let expected = format!("Docker Engine at {} does not answer: ", socket.display());
        assert!(text.starts_with(&expected) && text.ends_with("; start it or set docker.endpoint"), "{why}: {text}");
    };
    check("no socket").await;
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    check("a socket nobody listens on").await;
    let tls = backend("https://127.0.0.1:2376", "nobody", Policy::default());
    let said = tls.engine(&driver()).await.unwrap_err();
    assert!(matches!(&said, HostError::Invalid(text) if text.contains("docker.tls.ca")), "{said}");
}

#[tokio::test]
async fn the_engine_tells_of_itself() {
    let scene = Scene::new();
    let engine = scene.docker.engine(&driver()).await.unwrap();
    let said: serde_json::Value =
        serde_json::from_str(&scene.cli(&["version", "--format", "{{json .Server}}"])).unwrap();
    assert_eq!((engine.name.as_str(), engine.version.as_str()), ("docker", said["Version"].as_str().unwrap()));
    assert_eq!((engine.os.as_str(), engine.api_version.as_str()), ("linux", said["ApiVersion"].as_str().unwrap()));
    assert!(engine.runtimes.contains(&"runc".to_owned()), "{:?}", engine.runtimes);
    assert!(engine.bridge_ip.is_some());
}
