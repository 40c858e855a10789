use std::os::unix::fs::symlink;

use longshore_core::{
    container::{ContainerNetwork, Containers},
    error::HostError,
    policy::Policy,
    workload::{Limits, Mount, MountKind},
};
use longshore_linux::engine::docker::{Dangling, Docker, DockerConfig};
use serde_json::json;

use super::{Scene, cli};

#[tokio::test]
async fn the_document_is_what_was_asked_for() {
    let scene = Scene::new();
    let mut spec = scene.shell("sleep 60");
    spec.env = vec![("A".into(), "1=2".into())];
    spec.labels = vec![("team".into(), "x".into())];
    spec.hostname = Some("web1".into());
    spec.user = Some("1000:1000".into());
    spec.working_dir = Some("/bin".into());
    spec.mounts = vec![mount(scene.scope().dirs.local.to_str().unwrap(), MountKind::Bind), mount("", MountKind::Tmpfs)];
    spec.limits = Limits {
        cpu_mhz: 1,
        cpu_hard_millicores: 500,
        cpu_cores: vec![0, 1],
        memory_mib: 64,
        memory_reservation_mib: 32,
        pids: 50,
    };
    let options = json!({"tty": true, "HostConfig": {"Init": true, "CapDrop": ["CHOWN"], "ShmSize": 1048576}});
    spec.engine_options = options.as_object().cloned();
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    let local = scene.scope().dirs.local.canonicalize().unwrap();
    let expected = [
        ("/Config/Env/0", json!("A=1=2")),
        ("/Config/Tty", json!(true)),
        ("/Config/User", json!("1000:1000")),
        ("/Config/Hostname", json!("web1")),
        ("/Config/WorkingDir", json!("/bin")),
        ("/Config/Labels/team", json!("x")),
        ("/Config/Labels/longshore.agent", json!(scene.agent)),
        ("/Config/Labels/longshore.driver", json!("docker")),
        ("/Config/Labels/longshore.alloc_id", json!(scene.agent)),
        ("/Config/Labels/longshore.task", json!("web")),
        ("/HostConfig/CpuShares", json!(2)),
        ("/HostConfig/CpuQuota", json!(50_000)),
        ("/HostConfig/CpusetCpus", json!("0,1")),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/MemorySwap", json!(64 << 20)),
        ("/HostConfig/MemoryReservation", json!(32 << 20)),
        ("/HostConfig/PidsLimit", json!(50)),
        ("/HostConfig/NetworkMode", json!("none")),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/ShmSize", json!(1 << 20)),
        ("/HostConfig/CapDrop", json!(["CHOWN", "NET_RAW"])),
        ("/HostConfig/LogConfig", json!({"Type": "json-file", "Config": {"max-file": "2", "max-size": "2m"}})),
        ("/HostConfig/Mounts/0/Source", json!(local)),
    ];
    for (path, value) in expected {
        assert_eq!(scene.inspect(&id, path), value, "{path}");
    }
}

fn mount(source: &str, kind: MountKind) -> Mount {
    let target = if kind == MountKind::Tmpfs { "/scratch" } else { "/local" };
    Mount { source: source.into(), target: target.into(), kind, read_only: false, propagation: None }
}

#[tokio::test]
async fn an_option_that_would_be_lost_is_named() {
    let scene = Scene::new();
    for (options, path) in [
        (json!({"HostConfig": {"Ulimits": [{"name": "nofile", "Soft": 1, "Hard": 1}]}}), "HostConfig.Ulimits[0].name"),
        (json!({"Healthcheck": {"test": ["NONE"]}}), "Healthcheck.test"),
        (json!({"Tty": "yes"}), "engine options"),
    ] {
        let mut spec = scene.shell("true");
        spec.engine_options = options.as_object().cloned();
        let error = scene.docker.create(&scene.caller, &spec).await.unwrap_err();
        assert!(matches!(&error, HostError::Invalid(said) if said.contains(path)), "{error}");
    }
}

#[tokio::test]
async fn creating_again_finds_the_first_try() {
    let scene = Scene::new();
    let spec = scene.shell("sleep 60");
    let first = scene.docker.create(&scene.caller, &spec).await.unwrap();
    let second = scene.restarted().create(&scene.caller, &spec).await.unwrap();
    assert_ne!(first, second, "one that never ran is replaced");
    assert!(!scene.exists(&first));
    scene.docker.start(&scene.caller, &second).await.unwrap();
    scene.docker.start(&scene.caller, &second).await.expect("running already is success");
    let third = scene.restarted().create(&scene.caller, &spec).await.unwrap();
    assert_eq!(second, third, "a running one is answered as it is");
    scene.docker.stop(&scene.caller, &third, Some("KILL"), 0).await.unwrap();
    let fourth = scene.docker.create(&scene.caller, &spec).await.unwrap();
    assert_ne!(third, fourth, "one that has ended is replaced");
}

#[tokio::test]
async fn a_name_of_somebody_else_is_a_conflict() {
    let scene = Scene::new();
    let spec = scene.shell("sleep 60");
    let foreign = cli(&scene.endpoint, &["create", "--name", &spec.name, &scene.image, "sleep", "60"]);
    let error = scene.docker.create(&scene.caller, &spec).await.unwrap_err();
    let other = scene.docker.create(&scene.other_task("other", "web"), &spec).await.unwrap_err();
    let there = scene.exists(&foreign);
    cli(&scene.endpoint, &["rm", "-f", &foreign]);
    assert!(matches!(&error, HostError::Conflict(said) if said.contains(&foreign[..12])), "{error}");
    assert!(matches!(other, HostError::Conflict(_)), "{other}");
    assert!(there, "a foreign container must stay");
}

#[tokio::test]
async fn what_cannot_be_created_is_told_in_one_line() {
    let scene = Scene::new();
    let mut unknown = scene.shell("true");
    unknown.image = "longshore-test/missing:1".into();
    let error = scene.docker.create(&scene.caller, &unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "not found: No such image: longshore-test/missing:1");
    let mut program = scene.shell("true");
    program.command = vec!["/no/such/program".into()];
    let id = scene.docker.create(&scene.caller, &program).await.unwrap();
    let error = scene.docker.start(&scene.caller, &id).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("Failed to start container") && said.contains("/no/such/program"), "{said}");
    assert!(!said.contains('\n'), "{said}");
    let mut name = scene.shell("true");
    name.name = "a/../b".into();
    assert!(matches!(scene.docker.create(&scene.caller, &name).await, Err(HostError::Invalid(_))));
}

#[tokio::test]
async fn no_link_leads_a_mount_out() {
    let scene = Scene::new();
    let local = scene.scope().dirs.local.clone();
    symlink("/etc", local.join("etc")).unwrap();
    symlink("/var/run/docker.sock", local.join("sock")).unwrap();
    std::fs::create_dir(local.join("real")).unwrap();
    symlink("real", local.join("inside")).unwrap();
    let try_mount = async |path: &str| {
        let mut spec = scene.shell("sleep 60");
        spec.mounts = vec![mount(local.join(path).to_str().unwrap(), MountKind::Bind)];
        scene.docker.create(&scene.caller, &spec).await
    };
    for path in ["etc", "etc/ssl", "sock"] {
        let error = try_mount(path).await.unwrap_err();
        assert!(matches!(&error, HostError::Denied(said) if said.contains("allow_host_binds")), "{path}: {error}");
    }
    assert!(matches!(try_mount("missing").await, Err(HostError::Invalid(_))));
    let id = try_mount("inside").await.unwrap();
    // Swapped for a link between creation and start.
    std::fs::remove_dir(local.join("real")).unwrap();
    symlink("/etc", local.join("real")).unwrap();
    let error = scene.docker.start(&scene.caller, &id).await.unwrap_err();
    assert!(matches!(error, HostError::Denied(_)), "{error}");
    assert_eq!(scene.inspect(&id, "/State/Status"), "created");
    // A container that has the task's directory mounted can swap what is below it before its next start.
    std::fs::remove_dir_all(&local).unwrap();
    for victim in ["/etc", "/"] {
        symlink(victim, &local).unwrap();
        for path in ["", "etc"] {
            let error = try_mount(path).await.unwrap_err();
            assert!(matches!(error, HostError::Denied(_) | HostError::Invalid(_)), "{victim} {path}: {error}");
        }
        std::fs::remove_file(&local).unwrap();
    }
}

#[tokio::test]
async fn what_the_allocation_lacks_is_made_and_nothing_elsewhere() {
    let outside = tempfile::tempdir().unwrap();
    let policy = Policy { allow_host_binds: vec![outside.path().to_str().unwrap().into()], ..Policy::default() };
    let scene = Scene::with_policy(policy);
    let local = scene.scope().dirs.local.clone();
    symlink(outside.path(), local.join("link")).unwrap();
    let try_mount = async |path: std::path::PathBuf, kind: &str| {
        let mut spec = scene.shell("true");
        spec.mounts = vec![mount(path.to_str().unwrap(), MountKind::Other(kind.into()))];
        scene.docker.create(&scene.caller, &spec).await
    };
    for (path, kind) in [("made/deep", "bind:made"), ("labelled", "bind:z")] {
        try_mount(local.join(path), kind).await.unwrap();
        assert!(local.join(path).is_dir());
    }
    for path in [local.join("link/made"), outside.path().join("made")] {
        let error = try_mount(path.clone(), "bind:made").await.unwrap_err();
        assert!(matches!(error, HostError::Invalid(_)), "{}: {error}", path.display());
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn secrets_are_for_any_user_of_the_container_and_for_nobody_else() {
    let scene = Scene::new();
    let (task, secrets) = (&scene.scope().dirs.task, &scene.scope().dirs.secrets);
    let mut spec = scene.shell("echo hush > /local/key");
    spec.user = Some("1234:1234".into());
    spec.mounts = vec![mount(secrets.to_str().unwrap(), MountKind::Bind)];
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    scene.docker.start(&scene.caller, &id).await.unwrap();
    assert_eq!(scene.docker.wait(&scene.caller, &id).await.unwrap().exit_code, 0);
    assert_eq!(std::fs::read_to_string(secrets.join("key")).unwrap(), "hush\n");
    for dir in [scene.scratch.path(), task.parent().unwrap()] {
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    }
    let cat = std::process::Command::new("setpriv")
        .args(["--reuid=1234", "--clear-groups", "cat"])
        .arg(secrets.join("key"))
        .output();
    assert!(!cat.unwrap().status.success(), "others of the machine read it");

    // What a task has put in their place is left as it is.
    let victim = tempfile::tempdir().unwrap();
    std::fs::remove_dir_all(secrets).unwrap();
    symlink(victim.path(), secrets).unwrap();
    let mode = || std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(victim.path()).unwrap());
    let before = mode();
    let error = scene.docker.create(&scene.caller, &spec).await.unwrap_err();
    assert!(matches!(error, HostError::Denied(_)), "{error}");
    assert_eq!(mode(), before);
}

#[tokio::test]
async fn an_allowed_path_may_be_a_link_itself() {
    let outside = tempfile::tempdir().unwrap();
    let link = outside.path().join("link");
    std::fs::create_dir(outside.path().join("data")).unwrap();
    symlink(outside.path().join("data"), &link).unwrap();
    let policy = Policy { allow_host_binds: vec![link.to_str().unwrap().into()], ..Policy::default() };
    let scene = Scene::with_policy(policy);
    let mut spec = scene.shell("true");
    spec.mounts = vec![mount(link.to_str().unwrap(), MountKind::Bind)];
    scene.docker.create(&scene.caller, &spec).await.unwrap();
}

#[tokio::test]
async fn a_network_is_joined_within_the_allocation_only() {
    let scene = Scene::new();
    let holder = scene.run("sleep 60").await;
    let mut spec = scene.shell("sleep 60");
    spec.name = format!("side-{}", scene.agent);
    spec.network = ContainerNetwork::Container(holder.clone());
    let sibling = scene.other_task(&scene.agent, "side");
    let id = scene.docker.create(&sibling, &spec).await.unwrap();
    scene.docker.start(&sibling, &id).await.unwrap();
    assert_eq!(scene.inspect(&id, "/HostConfig/NetworkMode"), format!("container:{holder}"));
    let stranger = scene.other_task("other", "side");
    spec.name = format!("stranger-{}", scene.agent);
    let error = scene.docker.create(&stranger, &spec).await.unwrap_err();
    assert!(matches!(error, HostError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn a_seccomp_profile_is_read_from_the_host() {
    let scene = Scene::new();
    let profile = scene.scratch.path().join("profile.json");
    std::fs::write(&profile, "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n").unwrap();
    let create = async |path: &str| {
        let mut spec = scene.shell("true");
        spec.engine_options = json!({"HostConfig": {"SecurityOpt": [format!("seccomp={path}")]}}).as_object().cloned();
        scene.docker.create(&scene.caller, &spec).await
    };
    let id = create(profile.to_str().unwrap()).await.unwrap();
    let expected = json!(["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]);
    assert_eq!(scene.inspect(&id, "/HostConfig/SecurityOpt"), expected);
    create("unconfined").await.expect("a word of the engine's is passed on");
    for wrong in ["/nonexistent/profile.json", "/etc/hostname"] {
        let error = create(wrong).await.unwrap_err();
        assert!(matches!(&error, HostError::Invalid(said) if said.contains(wrong)), "{error}");
    }
}

#[tokio::test]
async fn a_labelled_mount_is_asked_for_in_the_old_spelling() {
    let scene = Scene::new();
    let local = scene.scope().dirs.local.canonicalize().unwrap();
    let mut spec = scene.shell("true");
    let mut labelled = mount(local.to_str().unwrap(), MountKind::Other("bind:Z".into()));
    (labelled.read_only, labelled.propagation) = (true, Some("rslave".into()));
    spec.mounts = vec![labelled.clone()];
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    assert_eq!(scene.inspect(&id, "/HostConfig/Binds"), json!([format!("{}:/local:ro,Z,rslave", local.display())]));
    labelled.target = "/a:/b".into();
    spec.mounts = vec![labelled];
    assert!(matches!(scene.docker.create(&scene.caller, &spec).await, Err(HostError::Invalid(_))));
}

#[tokio::test]
async fn containers_of_nobody_are_swept() {
    let scene = Scene::new();
    let id = scene.run("sleep 60").await;
    let sweep = async |dangling: Dangling, known: bool| {
        let settings = super::config(&scene.endpoint, &scene.agent, Policy::default());
        let docker = Docker::new(DockerConfig { dangling, ..settings });
        docker.sweep(&|task| known && *task == scene.scope().id).await.unwrap().len()
    };
    let now = Dangling { creation_grace: std::time::Duration::ZERO, ..Dangling::default() };
    let table = [
        ("known", now.clone(), true, 0),
        ("young", Dangling::default(), false, 0),
        ("off", Dangling { enabled: false, ..now.clone() }, false, 0),
        ("dry run", Dangling { dry_run: true, ..now.clone() }, false, 1),
    ];
    for (case, dangling, known, expected) in table {
        assert_eq!(sweep(dangling, known).await, expected, "{case}");
        assert!(scene.exists(&id), "{case}");
    }
    assert_eq!(sweep(now.clone(), false).await, 1);
    assert!(!scene.exists(&id));

    // What was kept when it ended stays; what was never started is left of a crash.
    let ended = scene.run("true").await;
    scene.docker.wait(&scene.caller, &ended).await.unwrap();
    assert_eq!(sweep(now.clone(), false).await, 0);
    assert!(scene.exists(&ended));
    scene.docker.remove(&scene.caller, &ended).await.unwrap();
    let created = scene.docker.create(&scene.caller, &scene.shell("true")).await.unwrap();
    assert_eq!(sweep(now, false).await, 1);
    assert!(!scene.exists(&created));
}
