use longshore_core::{
    container::ContainerNetwork,
    container::{Containers, PortBinding},
    error::HostError,
    port::{Port, Protocol},
    workload::{OutputPosition, RunState},
};

use super::Scene;

#[tokio::test]
async fn a_container_runs_and_its_end_is_told() {
    let scene = Scene::new();
    let table = [("exit 0", 0, None), ("exit 3", 3, Some("Docker container exited with non-zero exit code: 3"))];
    for (script, code, message) in table {
        let id = scene.run(script).await;
        let status = scene.docker.wait(&scene.caller, &id).await.unwrap();
        assert_eq!(
            (status.exit_code, status.message.as_deref(), status.oom_killed),
            (code, message, false),
            "{script}"
        );
        let seen = scene.docker.inspect(&scene.caller, &id).await.unwrap();
        assert_eq!(seen.state, RunState::Exited(status));
        assert_eq!(
            (seen.name, seen.image, seen.task),
            (format!("web-{}", scene.agent), scene.image.clone(), scene.scope().id.clone())
        );
        scene.docker.remove(&scene.caller, &id).await.unwrap();
        scene.docker.remove(&scene.caller, &id).await.unwrap();
        assert!(!scene.exists(&id));
        assert!(matches!(scene.docker.wait(&scene.caller, &id).await, Err(HostError::NotFound(_))));
    }
}

#[tokio::test]
async fn stopping_sends_the_signal_then_kills() {
    let scene = Scene::new();
    // (script, signal, grace, exit code)
    let table = [
        ("trap 'exit 5' HUP; echo up; while :; do sleep 0.05; done", Some("HUP"), 20_000, 5),
        ("trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done", None, 20_000, 6),
        ("trap '' HUP; echo up; while :; do sleep 0.05; done", Some("sighup"), 200, 137),
        ("trap '' TERM; echo up; while :; do sleep 0.05; done", None, 0, 137),
    ];
    for (script, signal, grace, code) in table {
        let id = scene.run(script).await;
        up(&scene, &id).await;
        scene.docker.stop(&scene.caller, &id, signal, grace).await.unwrap();
        assert_eq!(scene.inspect(&id, "/State/Running"), false);
        assert_eq!(scene.docker.wait(&scene.caller, &id).await.unwrap().exit_code, code, "{script}");
        scene.docker.stop(&scene.caller, &id, signal, grace).await.expect("stopping what has ended is success");
        scene.docker.remove(&scene.caller, &id).await.unwrap();
    }
}

#[tokio::test]
async fn a_signal_arrives() {
    let scene = Scene::new();
    let id = scene.run("trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done").await;
    up(&scene, &id).await;
    let wrong = scene.docker.signal(&scene.caller, &id, "no such").await;
    assert!(matches!(wrong, Err(HostError::Invalid(_))), "{wrong:?}");
    scene.docker.signal(&scene.caller, &id, "USR1").await.unwrap();
    assert_eq!(scene.docker.wait(&scene.caller, &id).await.unwrap().exit_code, 9);
}

/// Waits until the script has said that its trap is set.
async fn up(scene: &Scene, id: &str) {
    let mut output = scene.docker.follow_output(&scene.caller, id, OutputPosition::default()).await.unwrap();
    super::read_output(&mut output, |said| said.contains("up")).await;
}

#[tokio::test]
async fn waiting_for_one_not_started_waits() {
    let scene = Scene::new();
    let id = scene.docker.create(&scene.caller, &scene.shell("exit 4")).await.unwrap();
    let (waited, ()) = tokio::join!(scene.docker.wait(&scene.caller, &id), async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        scene.docker.start(&scene.caller, &id).await.unwrap();
    });
    assert_eq!(waited.unwrap().exit_code, 4);
}

#[tokio::test]
async fn a_published_port_answers() {
    let mut scene = Scene::new();
    let number = free_port();
    let port = Port {
        label: "http".into(),
        host_ip: "127.0.0.1".into(),
        host_port: number,
        task_port: 80,
        protocol: Protocol::Both,
        is_named: false,
    };
    scene.caller.task.as_mut().unwrap().ports.push(port);
    let mut spec = scene.shell("mkdir /www && echo hello > /www/index.html && exec httpd -f -p 80 -h /www");
    spec.network = ContainerNetwork::Default;
    spec.ports = vec![PortBinding {
        host_ip: "127.0.0.1".into(),
        host_port: number,
        container_port: 80,
        protocol: Protocol::Both,
    }];
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    scene.docker.start(&scene.caller, &id).await.unwrap();
    let url = format!("http://127.0.0.1:{number}/");
    let fetch = || {
        std::process::Command::new("curl").args(["-s", "--noproxy", "*", &url]).output().expect("curl is needed").stdout
    };
    super::until("the port answers", || fetch() == b"hello\n").await;
    assert_eq!(scene.inspect(&id, "/HostConfig/PortBindings/80~1udp/0/HostPort"), number.to_string());
    let seen = scene.docker.inspect(&scene.caller, &id).await.unwrap();
    assert_eq!((seen.network_name.as_deref(), seen.state), (Some("bridge"), RunState::Running));
    assert_eq!(seen.address.unwrap(), scene.inspect(&id, "/NetworkSettings/IPAddress").as_str().unwrap());
    assert!(seen.namespace_path.is_some());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn usage_is_sampled() {
    let scene = Scene::new();
    let id = scene.run("echo up; while :; do :; done").await;
    up(&scene, &id).await;
    let first = scene.docker.usage(&scene.caller, &id).await.unwrap();
    assert_eq!(first.cpu_percent, 0.0, "nothing to compare with yet");
    assert!(first.memory_bytes > 0.0 && first.pids >= 1, "{first:?}");
    let mut second = first.clone();
    while second.cpu_percent == 0.0 {
        second = scene.docker.usage(&scene.caller, &id).await.unwrap();
    }
    assert!(second.cpu_ms >= first.cpu_ms);
}
