//! Processes: what they are given, how they end, what is left.

use std::{fs, os::unix::fs::PermissionsExt};

use longshore_core::{
    caller::{Caller, DriverName},
    error::HostError,
    exec::ExecRequest,
    process::{ProcessSpec, Processes},
    workload::{Limits, LogLimits, RunState},
};
use longshore_linux::cgroup::Cgroups;

use crate::support::{Scene, alive, is_root, number_in, other_part, part, scope, shell, until};

#[tokio::test]
async fn tells_how_it_ended() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    for (script, code, signal) in [
        ("exit 0", 0, 0),
        ("exit 3", 3, 0),
        ("exit 255", 255, 0),
        ("kill -KILL $$", 137, 9),
        ("kill -TERM $$", 143, 15),
    ] {
        let status = scene.run(&supervisor, script).await;
        assert_eq!((status.exit_code, status.signal, status.oom_killed), (code, signal, false), "{script}");
    }
    assert_eq!(fs::read_dir(scene.dir.join("state")).unwrap().count(), 0, "remove left something");
}

#[tokio::test]
async fn gives_exactly_what_was_asked() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let spec = ProcessSpec {
        name: "main".into(),
        command: "env".into(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "b=c\nd".into()), ("EMPTY".into(), "".into())],
        ..ProcessSpec::default()
    };
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    assert!(supervisor.wait(&scene.caller, &id).await.unwrap().success());
    assert_eq!(scene.log("stdout"), "PATH=/usr/bin:/bin\nA=b=c\nd\nEMPTY=\n");

    let script = "pwd; umask; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l; echo oops >&2; \
        grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f 2";
    scene.run(&supervisor, script).await;
    let log = scene.log("stdout");
    let lines: Vec<_> = log.lines().skip(4).collect();
    let cwd = scene.scope().dirs.task.canonicalize().unwrap();
    // Four descriptors: the three streams, and the one `ls` reads the directory with.
    let expected = [cwd.to_str().unwrap(), "0022", "/dev/null", "4", "0000000000000000", "0000000000000000"];
    assert_eq!(lines, expected);
    assert_eq!(scene.log("stderr"), "oops\n");
}

#[tokio::test]
async fn leads_a_session_of_its_own() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let id = supervisor.spawn(&scene.caller, &shell("exec sleep 600")).await.unwrap();
    let process = supervisor.inspect(&scene.caller, &id).await.unwrap();
    assert_eq!(process.state, RunState::Running);
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let (group, session) = (fields[2], fields[3]);
    assert_eq!((group, session), (process.pid.to_string().as_str(), process.pid.to_string().as_str()));

    let usage = supervisor.usage(&scene.caller, &id).await.unwrap();
    assert!(usage.memory_bytes > 0.0 && usage.pids == 1, "{usage:?}");
    supervisor.remove(&scene.caller, &id).await.unwrap();
    assert!(!alive(process.pid));
    let gone = supervisor.inspect(&scene.caller, &id).await.unwrap_err();
    assert!(matches!(gone, HostError::NotFound(_)), "{gone}");
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why_and_leaves_nothing() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let file = scene.dir.join("plain");
    fs::write(&file, "no program").unwrap();
    let lost = scene.dir.join("lost");
    fs::write(&lost, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&lost, fs::Permissions::from_mode(0o755)).unwrap();
    let with = |change: &dyn Fn(&mut ProcessSpec)| {
        let mut spec = shell("true");
        change(&mut spec);
        spec
    };
    let option = ("nice".to_string(), "1".to_string());
    let cases = [
        (with(&|s| s.command = "/nope".into()), "invalid: command \"/nope\" not found"),
        (with(&|s| s.command = "nope".into()), "invalid: command \"nope\" not found in /usr/local/bin:/usr/bin:/bin"),
        (with(&|s| s.command = file.display().to_string()), "is not executable"),
        (with(&|s| s.command = lost.display().to_string()), "the interpreter it names"),
        (with(&|s| s.command = "/tmp".into()), "is not executable"),
        (with(&|s| s.command = "".into()), "invalid: the command is empty"),
        (with(&|s| s.working_dir = Some("/nope".into())), "working directory \"/nope\": no such file or directory"),
        (with(&|s| s.user = Some("nobody-here".into())), "unknown user \"nobody-here\""),
        (with(&|s| s.args.push("a\0b".into())), "holds a NUL character"),
        (with(&|s| s.env.push(("A=B".into(), "".into()))), "cannot name an environment variable"),
        (with(&|s| s.options.extend([option.clone()])), "unknown option \"nice\""),
    ];
    for (spec, expected) in cases {
        let error = supervisor.spawn(&scene.caller, &spec).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert_eq!(supervisor.list(&scene.caller).await.unwrap(), [], "{expected}");
    }
    let no_task = Caller::driver(&scene.caller.driver);
    assert!(supervisor.spawn(&no_task, &shell("true")).await.is_err());
}

#[tokio::test]
async fn starting_again_finds_the_running_one_and_replaces_the_ended_one() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let first = supervisor.spawn(&scene.caller, &shell("read x < /proc/self/stat; exec sleep 600")).await.unwrap();
    let (a, b) = (shell("exit 1"), shell("exit 2"));
    let again = tokio::join!(supervisor.spawn(&scene.caller, &a), supervisor.spawn(&scene.caller, &b));
    assert_eq!((again.0.unwrap(), again.1.unwrap()), (first.clone(), first.clone()));
    assert_eq!(supervisor.list(&scene.caller).await.unwrap().len(), 1);

    supervisor.stop(&scene.caller, &first, Some("TERM"), 10_000).await.unwrap();
    supervisor.stop(&scene.caller, &first, Some("TERM"), 10_000).await.unwrap();
    let second = supervisor.spawn(&scene.caller, &shell("exit 5")).await.unwrap();
    assert_ne!(second, first);
    assert!(supervisor.inspect(&scene.caller, &first).await.is_err());
    assert_eq!(supervisor.wait(&scene.caller, &second).await.unwrap().exit_code, 5);
    supervisor.remove(&scene.caller, &first).await.unwrap();
    assert!(supervisor.inspect(&scene.caller, &second).await.is_ok(), "an old id removed the new process");
    supervisor.remove(&scene.caller, &second).await.unwrap();
}

#[tokio::test]
async fn nobody_sees_anothers_processes() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let id = supervisor.spawn(&scene.caller, &shell("exec sleep 600")).await.unwrap();
    let other_driver = Caller { driver: DriverName("exec".into()), task: scene.caller.task.clone() };
    let other_task = Caller {
        driver: scene.caller.driver.clone(),
        task: Some(scope(&scene.dir, "0f0f0f0f-1111-4222-8333-444455556666", "other")),
    };
    for foreign in [&other_driver, &other_task] {
        let errors = [
            supervisor.stop(foreign, &id, None, 0).await.unwrap_err(),
            supervisor.signal(foreign, &id, "KILL").await.unwrap_err(),
            supervisor.inspect(foreign, &id).await.unwrap_err(),
            supervisor.usage(foreign, &id).await.unwrap_err(),
            supervisor.wait(foreign, &id).await.unwrap_err(),
            supervisor.prepare_exec(foreign, &id, &ExecRequest::default()).await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| matches!(error, HostError::NotFound(_))), "{errors:?}");
        supervisor.remove(foreign, &id).await.unwrap();
        assert_eq!(supervisor.list(foreign).await.unwrap(), []);
    }
    for odd in ["", "..", "../state.1", "x.y", "a/b.c"] {
        assert!(matches!(supervisor.inspect(&scene.caller, odd).await, Err(HostError::NotFound(_))), "{odd}");
    }
    let own = supervisor.list(&Caller::driver(&scene.caller.driver)).await.unwrap();
    assert_eq!(own.iter().map(|process| &process.id).collect::<Vec<_>>(), [&id]);
    assert!(alive(own[0].pid));
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn stop_asks_then_kills_everything() {
    for cgroups in [Cgroups::detect as fn() -> Cgroups, Cgroups::none] {
        let scene = Scene::new();
        let supervisor = scene.supervisor_with(cgroups());
        let script = "trap 'exit 7' HUP; echo ready > ready; while :; do sleep 0.05; done";
        let id = supervisor.spawn(&scene.caller, &shell(script)).await.unwrap();
        until("the trap is set", || scene.scope().dirs.task.join("ready").exists());
        supervisor.stop(&scene.caller, &id, Some("SIGHUP"), 20_000).await.unwrap();
        assert_eq!(supervisor.wait(&scene.caller, &id).await.unwrap().exit_code, 7);

        // Deaf, with a child in another session whose parent is gone: only a kill of everything ends that.
        let script = "trap '' INT TERM; (setsid sh -c 'trap \"\" INT TERM; echo $$ > far; while :; do sleep 1; done' &) \
            ; while :; do sleep 1; done";
        let id = supervisor.spawn(&scene.caller, &shell(script)).await.unwrap();
        let far = number_in(&scene.scope().dirs.task.join("far"));
        supervisor.stop(&scene.caller, &id, None, 50).await.unwrap();
        let status = supervisor.wait(&scene.caller, &id).await.unwrap();
        assert_eq!((status.exit_code, status.signal), (137, 9));
        assert!(!alive(far), "a descendant outlived the stop");
        supervisor.remove(&scene.caller, &id).await.unwrap();
    }
}

#[tokio::test]
async fn descendants_end_with_the_process() {
    for cgroups in [Cgroups::detect as fn() -> Cgroups, Cgroups::none] {
        let scene = Scene::new();
        let supervisor = scene.supervisor_with(cgroups());
        let script = "setsid sh -c 'echo $$ > far; exec sleep 600' & while [ ! -s far ]; do sleep 0.01; done; exit 4";
        let status = scene.run(&supervisor, script).await;
        assert_eq!(status.exit_code, 4);
        assert!(!alive(number_in(&scene.scope().dirs.task.join("far"))));
    }
}

#[tokio::test]
async fn signals_by_name() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let script = "trap 'echo one' USR1; trap 'exit 9' TERM; echo up > up; while :; do sleep 0.02; done";
    let id = supervisor.spawn(&scene.caller, &shell(script)).await.unwrap();
    until("the traps are set", || scene.scope().dirs.task.join("up").exists());
    supervisor.signal(&scene.caller, &id, "sigusr1").await.unwrap();
    until("the signal came", || scene.log("stdout") == "one\n");
    assert!(matches!(supervisor.signal(&scene.caller, &id, "SIGNOPE").await, Err(HostError::Invalid(_))));
    supervisor.signal(&scene.caller, &id, "TERM").await.unwrap();
    assert_eq!(supervisor.wait(&scene.caller, &id).await.unwrap().exit_code, 9);
    assert!(matches!(supervisor.signal(&scene.caller, &id, "TERM").await, Err(HostError::NotFound(_))));
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn logs_rotate_and_go_on_after_a_restart() {
    let mut scene = Scene::new();
    scene.scope_mut().logs = LogLimits { max_files: 3, max_file_bytes: 1000, disabled: false };
    let supervisor = scene.supervisor();
    scene.run(&supervisor, "seq 1000 1999; echo end >&2").await;
    // 5000 bytes are files 0 to 4.
    assert_eq!(scene.log_numbers("stdout"), [2, 3, 4]);
    let expected: String = (1400..2000).map(|number| format!("{number}\n")).collect();
    assert_eq!(scene.log("stdout"), expected);

    scene.scope_mut().logs.max_file_bytes = 1500;
    scene.run(&supervisor, "seq 2000 2099").await;
    assert_eq!(scene.log_numbers("stdout"), [2, 3, 4]);
    assert!(
        scene.log("stdout").ends_with("1999\n2000\n".to_string().as_str()) || scene.log("stdout").ends_with("2099\n")
    );

    scene.scope_mut().logs.disabled = true;
    let before = scene.log("stdout");
    assert!(scene.run(&supervisor, "echo unseen; echo unseen >&2").await.success());
    assert_eq!(scene.log("stdout"), before);
}

#[tokio::test]
async fn a_link_in_place_of_a_log_is_not_followed() {
    let scene = Scene::new();
    let target = scene.dir.join("precious");
    fs::write(&target, "kept").unwrap();
    std::os::unix::fs::symlink(&target, scene.scope().dirs.logs.join("web.stdout.0")).unwrap();
    scene.run(&scene.supervisor(), "echo words").await;
    assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    assert_eq!(fs::read_to_string(scene.scope().dirs.logs.join("web.stdout.1")).unwrap(), "words\n");
}

#[tokio::test]
async fn a_full_disk_stops_logs_not_tasks() {
    assert!(is_root(), "this test mounts a small file system: run it as root");
    let scene = Scene::new();
    let logs = scene.scope().dirs.logs.to_str().unwrap().to_owned();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=32k", "tmpfs", &logs]).status();
    assert!(mounted.unwrap().success());
    let status = scene.run(&scene.supervisor(), "seq 1 100000; echo done > done; exit 6").await;
    let done = scene.scope().dirs.task.join("done").exists();
    assert!(std::process::Command::new("umount").arg(&logs).status().unwrap().success());
    assert_eq!((status.exit_code, done), (6, true));
}

#[tokio::test]
async fn memory_over_the_limit_is_told() {
    assert!(is_root(), "this test sets a memory limit: run it as root");
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let limits = Limits { memory_mib: 16, cpu_mhz: 500, pids: 50, ..Limits::default() };
    let spec = ProcessSpec { limits: limits.clone(), ..shell("exec tail /dev/zero") };
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    let status = supervisor.wait(&scene.caller, &id).await.unwrap();
    assert!(status.oom_killed, "{status:?}");
    assert_eq!((status.exit_code, status.signal, status.message.as_deref()), (137, 9, Some("OOM Killed")));

    let spec = ProcessSpec { limits, ..shell("exec sleep 600") };
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    let pid = supervisor.inspect(&scene.caller, &id).await.unwrap().pid;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let ours = groups.lines().filter(|line| line.ends_with(&format!("/longshore/{id}"))).count();
    assert!(ours >= 1, "{groups}");
    supervisor.remove(&scene.caller, &id).await.unwrap();
    let found = std::process::Command::new("find").args(["/sys/fs/cgroup", "-name", &id]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "a control group was left");
}

/// Plays its part as root's helper, or the whole as a user.
#[tokio::test]
async fn works_without_root() {
    const NAME: &str = "processes::works_without_root";
    if let (true, None) = (is_root(), part()) {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let copy = other_part(NAME, dir.path());
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(copy.get_program())
            .args(copy.get_args());
        let output = command.env(crate::support::PART, dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // A test program that finds no such test ends well, too.
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let scene = part().map_or_else(Scene::new, |dir| Scene::at(&dir));
    let supervisor = scene.supervisor();
    assert_eq!(supervisor.describe()["os.cgroups.version"], "none");
    let spec = ProcessSpec { limits: Limits { memory_mib: 64, ..Limits::default() }, ..shell("id -u; exit 3") };
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    assert_eq!(supervisor.wait(&scene.caller, &id).await.unwrap().exit_code, 3);
    assert_eq!(scene.log("stdout"), format!("{}\n", rustix::process::geteuid().as_raw()));
    let as_root = ProcessSpec { user: Some("root".into()), ..shell("true") };
    let refused = supervisor.spawn(&scene.caller, &as_root).await.unwrap_err();
    assert!(matches!(refused, HostError::Denied(_)), "{refused}");

    let script =
        "setsid sh -c 'echo $$ > far; exec sleep 600' & while [ ! -s far ]; do sleep 0.01; done; exec sleep 600";
    let id = supervisor.spawn(&scene.caller, &shell(script)).await.unwrap();
    let far = number_in(&scene.scope().dirs.task.join("far"));
    let usage = supervisor.usage(&scene.caller, &id).await.unwrap();
    assert!(usage.pids >= 2 && usage.memory_bytes > 0.0, "{usage:?}");
    supervisor.remove(&scene.caller, &id).await.unwrap();
    assert!(!alive(far));
}

#[tokio::test]
async fn another_user_when_root_asks() {
    assert!(is_root(), "this test changes users: run it as root");
    let scene = Scene::new();
    fs::set_permissions(&scene.dir, fs::Permissions::from_mode(0o755)).unwrap();
    let spec = ProcessSpec { user: Some("nobody".into()), ..shell("id -u; id -G; grep NoNewPrivs /proc/self/status") };
    let supervisor = scene.supervisor();
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    assert!(supervisor.wait(&scene.caller, &id).await.unwrap().success());
    assert!(scene.log("stdout").starts_with("65534\n65534\n"), "{}", scene.log("stdout"));
    supervisor.remove(&scene.caller, &id).await.unwrap();
}
