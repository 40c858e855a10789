//! Commands beside a running process.

use bytes::Bytes;
use longshore_core::{
    error::HostError,
    exec::{ExecEvent, ExecRequest, ExecStream},
    process::{ProcessSpec, Processes},
    workload::{ExitStatus, OutputStream},
};
use longshore_linux::process::Supervisor;

use crate::support::{Scene, alive, is_root, number_in, shell};

pub fn request(script: &str, tty: bool) -> ExecRequest {
    let command = ["sh", "-c", script].map(String::from).to_vec();
    ExecRequest { command, tty, env: vec![("EXTRA".into(), "x".into())], ..ExecRequest::default() }
}

pub async fn attach(scene: &Scene, supervisor: &Supervisor, id: &str, request: &ExecRequest) -> ExecStream {
    let session = supervisor.prepare_exec(&scene.caller, id, request).await.unwrap();
    let stream = supervisor.attach_exec(&scene.caller, &session).await.unwrap();
    assert!(matches!(supervisor.attach_exec(&scene.caller, &session).await, Err(HostError::NotFound(_))));
    stream
}

/// All output and the end.
pub async fn finish(stream: &mut ExecStream) -> (String, String, ExitStatus) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match stream.output.next().await.unwrap().unwrap() {
            ExecEvent::Output(chunk) if chunk.stream == OutputStream::Stdout => out.extend_from_slice(&chunk.data),
            ExecEvent::Output(chunk) => err.extend_from_slice(&chunk.data),
            ExecEvent::Exited(status) => {
                assert!(stream.output.next().await.unwrap().is_none());
                let text = |bytes| String::from_utf8(bytes).unwrap();
                return (text(out), text(err), status);
            }
        }
    }
}

#[tokio::test]
async fn has_the_tasks_surroundings() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let spec = ProcessSpec {
        env: vec![("OWN".into(), "yes".into()), ("EXTRA".into(), "no".into())],
        ..shell("exec sleep 600")
    };
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    let script = "read line; echo \"$OWN $EXTRA $line\"; pwd; echo wrong >&2; cat /proc/self/cgroup > groups; exit 5";
    let mut stream = attach(&scene, &supervisor, &id, &request(script, false)).await;
    stream.input.write(Bytes::from_static(b"typed\n")).await.unwrap();
    let (out, err, status) = finish(&mut stream).await;
    let cwd = scene.scope().dirs.task.canonicalize().unwrap();
    assert_eq!(out, format!("yes x typed\n{}\n", cwd.display()));
    assert_eq!((err.as_str(), status.exit_code), ("wrong\n", 5));
    let own = supervisor.inspect(&scene.caller, &id).await.unwrap().pid;
    let groups = |path: String| std::fs::read_to_string(path).unwrap();
    assert_eq!(
        groups(scene.scope().dirs.task.join("groups").display().to_string()),
        groups(format!("/proc/{own}/cgroup"))
    );
    assert!(stream.input.resize(1, 1).await.is_err());

    // The end of input reaches the command.
    let mut stream = attach(&scene, &supervisor, &id, &request("cat; echo over", false)).await;
    stream.input.write(Bytes::from_static(b"a")).await.unwrap();
    stream.input.write(Bytes::new()).await.unwrap();
    assert_eq!(finish(&mut stream).await.0, "aover\n");

    let nope = ExecRequest { command: vec!["nope".into()], ..ExecRequest::default() };
    let error = supervisor.prepare_exec(&scene.caller, &id, &nope).await.unwrap_err();
    assert!(error.to_string().contains("command \"nope\" not found"), "{error}");
    let absent = ExecRequest { command: vec!["/nope".into()], ..ExecRequest::default() };
    let (_, err, status) = finish(&mut attach(&scene, &supervisor, &id, &absent).await).await;
    assert_eq!(status.exit_code, 127, "{err}");
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn has_a_terminal_of_the_size_it_is_told() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let id = supervisor.spawn(&scene.caller, &shell("exec sleep 600")).await.unwrap();
    let script = "tty > /dev/null && echo terminal; echo to err >&2; read go; stty size; exit 3";
    let mut stream = attach(&scene, &supervisor, &id, &request(script, true)).await;
    stream.input.resize(33, 99).await.unwrap();
    stream.input.write(Bytes::from_static(b"go\n")).await.unwrap();
    let (out, _, status) = finish(&mut stream).await;
    for expected in ["terminal\r\n", "to err\r\n", "33 99\r\n"] {
        assert!(out.contains(expected), "{expected:?} is not in {out:?}");
    }
    assert_eq!(status.exit_code, 3);

    // Control-C is a signal to what runs there.
    let mut stream = attach(&scene, &supervisor, &id, &request("echo up; exec sleep 600", true)).await;
    assert!(matches!(stream.output.next().await.unwrap(), Some(ExecEvent::Output(_))));
    stream.input.write(Bytes::from_static(b"\x03")).await.unwrap();
    let (_, _, status) = finish(&mut stream).await;
    assert_eq!((status.exit_code, status.signal), (130, 2));
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn ends_with_the_process_it_is_beside() {
    let scene = Scene::new();
    for cgroups in [longshore_linux::cgroup::Cgroups::detect(), longshore_linux::cgroup::Cgroups::none()] {
        let supervisor = scene.supervisor_with(cgroups);
        let id = supervisor.spawn(&scene.caller, &shell("exec sleep 600")).await.unwrap();
        let pid_file = scene.scope().dirs.task.join("beside");
        let mut stream = attach(&scene, &supervisor, &id, &request("echo $$ > beside; exec sleep 600", false)).await;
        let beside = number_in(&pid_file);
        assert!(alive(beside));
        supervisor.stop(&scene.caller, &id, Some("KILL"), 10_000).await.unwrap();
        assert_eq!(finish(&mut stream).await.2.signal, 9);
        supervisor.remove(&scene.caller, &id).await.unwrap();
        std::fs::remove_file(pid_file).unwrap();
    }
}

#[tokio::test]
async fn runs_as_the_tasks_user() {
    assert!(is_root(), "this test changes users: run it as root");
    let scene = Scene::new();
    std::fs::set_permissions(&scene.dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let supervisor = scene.supervisor();
    let spec = ProcessSpec { user: Some("nobody".into()), ..shell("exec sleep 600") };
    let id = supervisor.spawn(&scene.caller, &spec).await.unwrap();
    for tty in [false, true] {
        let mut stream = attach(&scene, &supervisor, &id, &request("id -u; : > /dev/fd/1", tty)).await;
        let (out, err, status) = finish(&mut stream).await;
        assert_eq!((out.trim(), status.exit_code), ("65534", 0), "{err}");
    }
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn so_many_wait_beside_one_process() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let (one, other) = (shell("exec sleep 600"), ProcessSpec { name: "other".into(), ..shell("exec sleep 600") });
    let id = supervisor.spawn(&scene.caller, &one).await.unwrap();
    let beside = supervisor.spawn(&scene.caller, &other).await.unwrap();
    let mut prepared = Vec::new();
    let refused = loop {
        match supervisor.prepare_exec(&scene.caller, &id, &request("true", false)).await {
            Ok(session) => prepared.push(session),
            Err(error) => break error,
        }
        assert!(prepared.len() <= 32, "without end");
    };
    assert!(matches!(&refused, HostError::Limit(why) if why.contains(&id)), "{refused}");
    finish(&mut attach(&scene, &supervisor, &beside, &request("true", false)).await).await;
    let session = prepared.pop().unwrap();
    finish(&mut supervisor.attach_exec(&scene.caller, &session).await.unwrap()).await;
    supervisor.prepare_exec(&scene.caller, &id, &request("true", false)).await.unwrap();
    for id in [id, beside] {
        supervisor.remove(&scene.caller, &id).await.unwrap();
    }
}
