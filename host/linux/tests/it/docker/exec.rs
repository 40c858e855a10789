use longshore_core::{
    container::Containers,
    error::HostError,
    exec::{ExecEvent, ExecRequest, ExecStream},
    workload::OutputStream,
};

use super::Scene;

fn shell(script: &str) -> ExecRequest {
    ExecRequest { command: vec!["/bin/sh".into(), "-c".into(), script.into()], ..ExecRequest::default() }
}

/// Reads to the end: stdout, stderr, exit code.
async fn finish(stream: &mut ExecStream) -> (String, String, i32) {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    while let Some(event) = stream.output.next().await.unwrap() {
        match event {
            ExecEvent::Output(chunk) => {
                let text = String::from_utf8(chunk.data.to_vec()).unwrap();
                if chunk.stream == OutputStream::Stdout { &mut stdout } else { &mut stderr }.push_str(&text);
            }
            ExecEvent::Exited(status) => {
                assert_eq!(stream.output.next().await.unwrap(), None, "nothing comes after the end");
                return (stdout, stderr, status.exit_code);
            }
        }
    }
    panic!("the stream ended without an exit code");
}

async fn open(scene: &Scene, id: &str, request: &ExecRequest) -> ExecStream {
    let session = scene.docker.prepare_exec(&scene.caller, id, request).await.unwrap();
    scene.docker.attach_exec(&scene.caller, &session).await.unwrap()
}

#[tokio::test]
async fn a_command_speaks_and_ends() {
    let scene = Scene::new();
    let id = scene.run("sleep 60").await;
    let mut request = shell("echo $A in $(pwd); echo err >&2; exit 7");
    request.env = vec![("A".into(), "b".into())];
    request.working_dir = Some("/bin".into());
    let ended = finish(&mut open(&scene, &id, &request).await).await;
    assert_eq!(ended, ("b in /bin\n".into(), "err\n".into(), 7));
    let (_, said, code) =
        finish(&mut open(&scene, &id, &ExecRequest { command: vec!["/none".into()], ..ExecRequest::default() }).await)
            .await;
    assert!(code == 126 || code == 127, "{code}: {said}");
}

#[tokio::test]
async fn input_reaches_the_command_until_it_is_closed() {
    let scene = Scene::new();
    let id = scene.run("sleep 60").await;
    let mut stream =
        open(&scene, &id, &ExecRequest { command: vec!["/bin/cat".into()], ..ExecRequest::default() }).await;
    stream.input.write("hello ".into()).await.unwrap();
    stream.input.write("world".into()).await.unwrap();
    stream.input.write("".into()).await.unwrap();
    assert_eq!(finish(&mut stream).await, ("hello world".into(), String::new(), 0));
    assert!(matches!(stream.input.write("late".into()).await, Err(HostError::Invalid(_))));
}

#[tokio::test]
async fn every_byte_of_a_command_comes_as_it_is() {
    let scene = Scene::new();
    let id = scene.run("sleep 60").await;
    for tty in [false, true] {
        // Bytes that look like the head of a frame, and many of them, without a line's end.
        let script = "stty raw 2>/dev/null; for i in 0 1 2 3; do printf '\\002\\000\\001\\000'; sleep 0.02; done; \
                      head -c 500000 /dev/zero";
        let request = ExecRequest { tty, ..shell(script) };
        let (said, _, code) = finish(&mut open(&scene, &id, &request).await).await;
        let expected = "\u{2}\0\u{1}\0".repeat(4) + &"\0".repeat(500_000);
        assert!(code == 0 && said == expected, "tty {tty}: {code}, {} bytes: {:?}", said.len(), said.get(..40));
    }
}

#[tokio::test]
async fn a_terminal_has_the_size_it_was_given() {
    let scene = Scene::new();
    let id = scene.run("sleep 60").await;
    let request = ExecRequest { tty: true, ..shell("read line; stty size; test -t 0 && exit 3") };
    let mut stream = open(&scene, &id, &request).await;
    stream.input.resize(37, 91).await.unwrap();
    stream.input.write("go\n".into()).await.unwrap();
    let (said, _, code) = finish(&mut stream).await;
    assert!(said.contains("37 91"), "{said:?}");
    assert_eq!(code, 3);
}

#[tokio::test]
async fn a_session_is_its_owners_and_used_once() {
    let scene = Scene::new();
    let id = scene.run("sleep 60").await;
    let session = scene.docker.prepare_exec(&scene.caller, &id, &shell("true")).await.unwrap();
    let stranger = scene.other_task("other", "web");
    for (caller, session) in [(&stranger, session.as_str()), (&scene.caller, "0123")] {
        let refused = scene.docker.attach_exec(caller, session).await.err();
        assert!(matches!(refused, Some(HostError::NotFound(_))), "{refused:?}");
    }
    finish(&mut scene.docker.attach_exec(&scene.caller, &session).await.unwrap()).await;
    assert!(scene.docker.attach_exec(&scene.caller, &session).await.is_err());
    let empty = scene.docker.prepare_exec(&scene.caller, &id, &ExecRequest::default()).await;
    assert!(matches!(empty, Err(HostError::Invalid(_))));
}
