//! Processes kept apart from the machine, looked at from inside and from outside.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, process::Command};

use longshore_core::{
    error::HostError,
    exec::ExecRequest,
    policy::Policy,
    process::{Isolation, ProcessSpec, Processes},
    workload::{ExitStatus, Mount, MountKind},
};

use crate::{
    exec::{attach, finish, request},
    support::{Scene, alive, is_root, shell, until},
};

/// The number of a system call, which `perl` makes for a script.
const KEYCTL: u32 = if cfg!(target_arch = "aarch64") { 219 } else { 250 };

/// What a shell needs of the host.
const SHOWN: [&str; 5] = ["/bin", "/lib", "/lib64", "/usr", "/etc"];

/// A task of a driver that may show it those directories.
fn scene() -> Scene {
    assert!(is_root(), "this test makes namespaces: run it as root");
    let mut scene = Scene::new();
    for dir in [&scene.dir, &scene.scope().dirs.task] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let policy = Policy {
        allow_host_binds: SHOWN.map(String::from).into(),
        allow_users: ["nobody".to_owned()].into(),
        ..Policy::default()
    };
    scene.policies = BTreeMap::from([(scene.caller.driver.clone(), policy)]);
    scene
}

fn bind(source: &str, target: &str) -> Mount {
    let kind = MountKind::Other("bind:optional".into());
    Mount { source: source.into(), target: target.into(), kind, read_only: true, propagation: None }
}

/// A shell script in a root of its own, which is the task's directory.
fn apart(scene: &Scene, capabilities: &[&str], script: &str) -> ProcessSpec {
    let mut mounts: Vec<_> = SHOWN.iter().chain(&["/no/such/directory"]).map(|path| bind(path, path)).collect();
    mounts.push(Mount { kind: MountKind::Tmpfs, read_only: false, ..bind("", "/tmp") });
    let isolation = Isolation {
        namespaces: ["pid", "ipc", "mount"].map(String::from).into(),
        root_directory: Some(scene.scope().dirs.task.display().to_string()),
        mounts,
        capabilities: Some(capabilities.iter().map(ToString::to_string).collect()),
    };
    ProcessSpec { isolation: Some(isolation), command: "sh".into(), ..shell(script) }
}

/// Runs it to its end; its output.
async fn run(scene: &Scene, spec: &ProcessSpec) -> (String, ExitStatus) {
    let supervisor = scene.supervisor();
    let id = supervisor.spawn(&scene.caller, spec).await.unwrap();
    let status = supervisor.wait(&scene.caller, &id).await.unwrap();
    supervisor.remove(&scene.caller, &id).await.unwrap();
    let out = scene.log("stdout");
    (0..100).for_each(|number| drop(fs::remove_file(scene.scope().dirs.logs.join(format!("web.stdout.{number}")))));
    (out, status)
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn sees_its_own_processes_and_its_own_root() {
    let scene = scene();
    let supervisor = scene.supervisor();
    fs::write(scene.dir.join("precious"), "of the host").unwrap();
    let script = "echo $$ > local/pid; echo $(ls /); echo /proc/[0-9]*; pwd; exec sleep 600";
    let id = supervisor.spawn(&scene.caller, &apart(&scene, &[], script)).await.unwrap();
    until("it has written", || scene.log("stdout").lines().count() == 3);
    let log = scene.log("stdout");
    let lines: Vec<_> = log.lines().collect();
    // `ls` and `tr` had ended: only the shell, the first of its namespace, was there.
    assert_eq!(lines[1..], ["/proc/1", "/"], "{log}");
    let mut root: Vec<_> = lines[0].split_whitespace().collect();
    root.retain(|name| !["lib64"].contains(name));
    assert_eq!(root, ["bin", "dev", "etc", "lib", "local", "proc", "secrets", "sys", "tmp", "usr"]);
    assert_eq!(fs::read_to_string(scene.scope().dirs.local.join("pid")).unwrap(), "1\n");

    // From outside.
    let pid = supervisor.inspect(&scene.caller, &id).await.unwrap().pid;
    for (name, own) in [("pid", true), ("ipc", true), ("mnt", true), ("net", false), ("user", false)] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_eq!(of(&pid.to_string()) != of("self"), own, "{name}");
    }
    let target = pid.to_string();
    let listed = said("nsenter", &["-t", &target, "-m", "-p", "ls", "/"]);
    assert!(!listed.contains("home") && !listed.contains("var"), "{listed}");
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    for line in mounts.lines() {
        let field: Vec<_> = line.split(' ').collect();
        let (target, options) = (field[4], field[5]);
        let device = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts"];
        // What is hidden is hidden by `/dev/null`.
        assert!(options.contains("nodev") || device.contains(&target) || field[3] == "/null", "{line}");
        if SHOWN.contains(&target) || ["/sys", "/proc/sys"].contains(&target) {
            assert!(options.starts_with("ro"), "{line}");
        }
    }
    supervisor.remove(&scene.caller, &id).await.unwrap();
    assert!(!alive(pid));
}

#[tokio::test]
async fn reaches_nothing_of_the_host() {
    let scene = scene();
    let precious = scene.dir.join("precious");
    fs::write(&precious, "of the host").unwrap();
    let own = std::process::id();
    let script = format!(
        "try() {{ if \"$@\" > /tmp/said 2>&1; then echo \"did $*\"; fi; }}
        try cat {precious}
        try cat /proc/1/root{precious}
        try cat /local/../..{precious}
        try touch /usr/evil
        try touch /etc/evil
        try umount /etc
        try mount -t tmpfs none /mnt
        try sh -c 'echo 0 > /proc/sys/kernel/randomize_va_space'
        try sh -c 'echo h > /proc/sysrq-trigger'
        try cat /proc/keys
        test -s /tmp/said && echo keys
        try perl -e 'exit(syscall({KEYCTL}, 0, -4, 1) < 0)'
        try kill -0 {own}
        try nsenter -t 1 -m ls /home
        try mknod /local/memory c 1 1
        try setpriv --reuid=0 --inh-caps=+all true
        echo over",
        precious = precious.display(),
    );
    for (user, capabilities) in [(Some("nobody"), &[][..]), (None, &[]), (None, &["setuid", "setpcap", "kill"])] {
        let mut spec = apart(&scene, capabilities, &script);
        spec.user = user.map(String::from);
        let (out, status) = run(&scene, &spec).await;
        // Nothing can be read of keys: the file is there, and empty.
        assert_eq!((out.as_str(), status.exit_code), ("did cat /proc/keys\nover\n", 0), "{user:?} {capabilities:?}");
    }
    assert!(!fs::exists("/usr/evil").unwrap() && !fs::exists("/etc/evil").unwrap());
}

#[tokio::test]
async fn device_files_it_makes_open_no_device() {
    let scene = scene();
    let script = "mknod /local/zero c 1 5 && mknod /tmp/zero c 1 5 || exit 9
        for file in /local/zero /tmp/zero; do head -c 1 $file && echo read; done
        head -c 2 /dev/zero | wc -c";
    let (out, status) = run(&scene, &apart(&scene, &["mknod"], script)).await;
    assert_eq!((out.as_str(), status.exit_code), ("2\n", 0));
}

#[tokio::test]
async fn has_the_capabilities_it_was_left_and_no_more() {
    let scene = scene();
    let supervisor = scene.supervisor();
    for (user, capabilities, mask) in [
        (Some("nobody"), &["net_bind_service", "CAP_KILL"][..], "0000000000000420"),
        (Some("nobody"), &[], "0000000000000000"),
        (None, &["chown"], "0000000000000001"),
    ] {
        let mut spec = apart(&scene, capabilities, "exec sleep 600");
        spec.user = user.map(String::from);
        let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
        let pid = supervisor.inspect(&scene.caller, &id).await.unwrap().pid;
        until("it sleeps", || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n"));
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            assert_eq!(field(set), mask, "{set} {user:?} {capabilities:?}");
        }
        assert_eq!(
            (field("CapAmb:") == mask, field("NoNewPrivs:").as_str()),
            (user.is_some() || mask.ends_with("00"), "1")
        );
        let expected = if user.is_some() { "65534" } else { "0" };
        assert_eq!(field("Uid:").split_whitespace().collect::<Vec<_>>(), [expected; 4]);
        // A second tool's words for the same number.
        let decoded = said("capsh", &[&format!("--decode={}", field("CapEff:"))]);
        assert_eq!(decoded.matches("cap_").count(), capabilities.len(), "{decoded}");
        supervisor.remove(&scene.caller, &id).await.unwrap();
    }
}

#[tokio::test]
async fn commands_beside_it_are_kept_apart_with_it() {
    let scene = scene();
    let supervisor = scene.supervisor();
    let mut spec = apart(&scene, &["kill"], "exec sleep 600");
    spec.user = Some("nobody".into());
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    let script = "id -u; cat /proc/1/comm; ls -d /home /var; grep CapEff /proc/self/status; exit 5";
    let (out, err, status) = finish(&mut attach(&scene, &supervisor, &id, &request(script, false)).await).await;
    assert_eq!(out, "65534\nsleep\nCapEff:\t0000000000000020\n", "{err}");
    assert!(err.contains("/home") && err.contains("/var"), "{err}");
    assert_eq!(status.exit_code, 5);

    // A terminal is the command's own: what runs there is in the foreground.
    let on_terminal = request("test -t 0 && ps -o stat= -p $$; kill -9 $$", true);
    let (out, _, status) = finish(&mut attach(&scene, &supervisor, &id, &on_terminal).await).await;
    assert!(out.trim().ends_with("s+"), "{out}");
    assert_eq!(status.exit_code, 137);
    let absent = ExecRequest { command: vec!["nope".into()], ..ExecRequest::default() };
    let (_, _, status) = finish(&mut attach(&scene, &supervisor, &id, &absent).await).await;
    assert_eq!(status.exit_code, 127);

    let mut stream = attach(&scene, &supervisor, &id, &request("echo up; exec sleep 601", false)).await;
    stream.output.next().await.unwrap();
    supervisor.stop(&scene.caller, &id, Some("KILL"), 10_000).await.unwrap();
    assert_eq!(finish(&mut stream).await.2.exit_code, 137);
    assert!(!said("ps", &["-eo", "args"]).contains("sleep 601"));
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn links_lead_nowhere_else() {
    let scene = scene();
    let supervisor = scene.supervisor();
    let victim = scene.dir.join("victim");
    fs::create_dir(&victim).unwrap();
    let task = &scene.scope().dirs.task;
    std::os::unix::fs::symlink(&victim, task.join("etc")).unwrap();
    let refused = supervisor.spawn(&scene.caller, &apart(&scene, &[], "true")).await.unwrap_err();
    assert!(refused.to_string().contains("mounting \"/etc\" in the task's root directory"), "{refused}");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    fs::remove_file(task.join("etc")).unwrap();

    std::os::unix::fs::symlink(&victim, task.join("local/out")).unwrap();
    let mut spec = apart(&scene, &[], "true");
    let inside = task.join("local/out").display().to_string();
    spec.isolation.as_mut().unwrap().mounts.push(bind(&inside, "/out"));
    let refused = supervisor.spawn(&scene.caller, &spec).await.unwrap_err();
    assert!(matches!(&refused, HostError::Denied(said) if said.contains("leads through a link")), "{refused}");
    assert_eq!(supervisor.list(&scene.caller).await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_is_told() {
    let scene = scene();
    let supervisor = scene.supervisor();
    let with = |change: &dyn Fn(&mut Isolation)| {
        let mut spec = apart(&scene, &[], "true");
        change(spec.isolation.as_mut().unwrap());
        spec
    };
    let command = |command: &str| ProcessSpec { command: command.into(), ..apart(&scene, &[], "true") };
    let shared = Mount { propagation: Some("rshared".into()), ..bind("/usr", "/x") };
    let required = Mount { kind: MountKind::Bind, ..bind("/usr/no/such/file", "/x") };
    let volume = Mount { kind: MountKind::Volume, ..bind("data", "/x") };
    for (spec, expected) in [
        (command("nope"), "command \"nope\", or the interpreter or loader it names, is not in the task's root"),
        (command("/home/x"), "is not in the task's root"),
        (with(&|i| i.namespaces.push("time".into())), "no namespace \"time\" is offered"),
        (with(&|i| i.namespaces.retain(|name| name != "mount")), "need the namespace \"mount\""),
        (with(&|i| i.root_directory = None), "mounts need a root directory"),
        (with(&|i| i.capabilities = Some(vec!["fly".into()])), "\"fly\" is no Linux capability"),
        (with(&|i| i.mounts.push(bind("/usr", "x"))), "is not an absolute path"),
        (with(&|i| i.mounts.push(shared.clone())), "rprivate or rslave"),
        (with(&|i| i.mounts.push(required.clone())), "cannot mount host path"),
        (with(&|i| i.mounts.push(volume.clone())), "bind and tmpfs only"),
    ] {
        let error = supervisor.spawn(&scene.caller, &spec).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert_eq!(supervisor.list(&scene.caller).await.unwrap(), [], "{expected}");
    }
}

#[tokio::test]
async fn its_user_may_enter_its_secrets_and_nobody_else() {
    let scene = scene();
    let secrets = &scene.scope().dirs.secrets;
    fs::set_permissions(secrets, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(secrets.join("key"), "hush").unwrap();
    let spec = ProcessSpec { user: Some("nobody".into()), ..apart(&scene, &[], "cat /secrets/key") };
    assert_eq!(run(&scene, &spec).await.0, "hush");
    let other = Command::new("setpriv").args(["--reuid=65533", "--clear-groups", "ls"]).arg(secrets).output().unwrap();
    assert!(!other.status.success());
}
