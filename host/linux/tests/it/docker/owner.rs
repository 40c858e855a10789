use std::time::Duration;

use longshore_core::{
    caller::{Caller, DriverName},
    container::Containers,
    error::{HostError, Result},
    exec::ExecRequest,
    workload::OutputPosition,
};

use super::{Scene, cli};

/// Every call but `create`, on a container that must not be seen.
async fn assert_invisible(scene: &Scene, caller: &Caller, id: &str) {
    let docker = &scene.docker;
    let request = ExecRequest { command: vec!["/bin/true".into()], ..ExecRequest::default() };
    let answers: Vec<(&str, Result<()>)> = vec![
        ("start", docker.start(caller, id).await),
        ("stop", docker.stop(caller, id, None, 0).await),
        ("stop by signal", docker.stop(caller, id, Some("KILL"), 0).await),
        ("signal", docker.signal(caller, id, "KILL").await),
        ("inspect", docker.inspect(caller, id).await.map(drop)),
        ("usage", docker.usage(caller, id).await.map(drop)),
        ("prepare_exec", docker.prepare_exec(caller, id, &request).await.map(drop)),
        ("wait", tokio::time::timeout(Duration::from_secs(30), docker.wait(caller, id)).await.unwrap().map(drop)),
        ("follow_output", docker.follow_output(caller, id, OutputPosition::default()).await.map(drop)),
    ];
    for (call, answer) in answers {
        assert!(matches!(answer, Err(HostError::NotFound(_))), "{call} of {id}: {answer:?}");
    }
    docker.remove(caller, id).await.expect("what cannot be seen is gone already");
    assert!(docker.list(caller).await.unwrap().iter().all(|seen| seen.id != id && seen.name != id));
}

#[tokio::test]
async fn a_container_is_seen_by_its_owner_only() {
    let scene = Scene::new();
    let id = scene.run("sleep 60").await;
    let name = format!("web-{}", scene.agent);
    let driver_only = Caller::driver(&scene.caller.driver);
    for caller in [&scene.caller, &driver_only] {
        let seen = scene.docker.list(caller).await.unwrap();
        assert_eq!(seen.iter().map(|seen| seen.id.as_str()).collect::<Vec<_>>(), [&id]);
        scene.docker.inspect(caller, &id).await.unwrap();
        scene.docker.inspect(caller, &name).await.unwrap();
    }
    let other_driver = Caller { driver: DriverName("podman".into()), ..scene.caller.clone() };
    let strangers = [
        scene.other_task("other", "web"),
        scene.other_task(&scene.agent, "side"),
        other_driver.clone(),
        Caller::driver(&other_driver.driver),
    ];
    for stranger in &strangers {
        for by in [&id, &name, &id[..12].to_owned()] {
            assert_invisible(&scene, stranger, by).await;
        }
    }
    // Another agent on the same engine, and a container of nobody.
    let neighbour = Scene::new();
    assert_invisible(&neighbour, &scene.caller, &id).await;
    assert_invisible(&neighbour, &driver_only, &id).await;
    let foreign = cli(&scene.endpoint, &["run", "-d", "--network", "none", &scene.image, "sleep", "60"]);
    assert_invisible(&scene, &scene.caller, &foreign).await;
    let foreign_runs = scene.inspect(&foreign, "/State/Running");
    cli(&scene.endpoint, &["rm", "-f", &foreign]);
    assert_eq!((scene.inspect(&id, "/State/Running"), foreign_runs), (true.into(), true.into()));
}

#[tokio::test]
async fn what_is_no_id_never_reaches_the_engine() {
    let scene = Scene::new();
    for id in ["", "../images/json", "x?force=1", "x/../../info", "x#y", "%2e%2e"] {
        let answer = scene.docker.inspect(&scene.caller, id).await;
        assert!(matches!(answer, Err(HostError::NotFound(_))), "{id:?}: {answer:?}");
        assert!(scene.docker.remove(&scene.caller, id).await.is_err(), "{id:?}");
    }
}
