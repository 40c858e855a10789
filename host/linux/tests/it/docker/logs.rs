use futures_util::StreamExt;
use longshore_core::{
    container::Containers,
    error::HostError,
    workload::{OutputChunk, OutputPosition},
};
use serde_json::json;

use super::{Scene, read_output};

#[tokio::test]
async fn output_is_read_from_the_start_to_the_end() {
    let scene = Scene::new();
    let id = scene.run("echo one; echo two >&2; printf three").await;
    let mut output = scene.docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
    let (stdout, stderr) = read_output(&mut output, |_| false).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("one\nthree", "two\n"));
}

/// Creates and starts a container with some engine options.
async fn run_with(scene: &Scene, name: &str, script: &str, options: serde_json::Value) -> String {
    let mut spec = scene.shell(script);
    spec.name = format!("{name}-{}", scene.agent);
    spec.engine_options = options.as_object().cloned();
    let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
    scene.docker.start(&scene.caller, &id).await.unwrap();
    id
}

/// Reads a few pieces with a new agent each time, every one from the position the last one reached.
async fn in_turns(scene: &Scene, id: &str, pieces: usize) -> [Vec<u8>; 2] {
    let (mut read, mut position) = ([Vec::new(), Vec::new()], OutputPosition::default());
    loop {
        let output = scene.restarted().follow_output(&scene.caller, id, position).await.unwrap();
        let chunks: Vec<OutputChunk> = output.take(pieces).map(|chunk| chunk.unwrap()).collect().await;
        if chunks.is_empty() {
            return read;
        }
        for OutputChunk { stream, data, mark } in chunks {
            assert!(mark.is_some(), "every piece has a place to go on from");
            read[stream as usize].extend_from_slice(&data);
            position.advance(stream, mark);
        }
    }
}

#[tokio::test]
async fn a_reader_goes_on_where_another_stopped() {
    let scene = Scene::new();
    let script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; echo error $i >&2; done";
    let id = scene.run(script).await;
    let expected = |word: &str| (1..=3000).map(|i| format!("{word} {i}\n")).collect::<String>().into_bytes();
    scene.docker.wait(&scene.caller, &id).await.unwrap();
    let read = in_turns(&scene, &id, 97).await;
    assert!(read == [expected("line"), expected("error")], "{} and {} bytes", read[0].len(), read[1].len());
}

#[tokio::test]
async fn a_long_line_is_read_in_bounded_pieces_and_resumed_inside() {
    let scene = Scene::new();
    for tty in [false, true] {
        // Longer than anything that holds whole lines would like.
        let script = "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo end";
        let id = run_with(&scene, &format!("long-{tty}"), script, json!({"Tty": tty})).await;
        scene.docker.wait(&scene.caller, &id).await.unwrap();
        let [stdout, _] = in_turns(&scene, &id, 3).await;
        let newline = if tty { "\r\n" } else { "\n" };
        let expected = format!("{}{newline}end{newline}", "x".repeat(3_000_000));
        assert!(stdout == expected.as_bytes(), "tty {tty}: {} bytes of {}", stdout.len(), expected.len());
        let output = scene.docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
        let longest = output.map(|piece| piece.unwrap().data.len()).fold(0, async |a, b| a.max(b)).await;
        assert!(longest <= 64 << 10, "a piece of {longest} bytes");
    }
}

#[tokio::test]
async fn a_terminal_that_never_ends_a_line_is_followed_while_it_writes() {
    let scene = Scene::new();
    let script = "head -c 200000 /dev/zero | tr '\\0' '.'; while [ ! -e /go ]; do sleep 0.05; done; printf '\\001end'";
    let id = run_with(&scene, "dots", script, json!({"Tty": true})).await;
    let mut output = scene.docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
    // The engine itself holds up to 16 KiB of a line that has not ended.
    let (said, _) = read_output(&mut output, |said| said.len() >= 180_000).await;
    assert!(said.bytes().all(|byte| byte == b'.'));
    scene.cli(&["exec", &id, "touch", "/go"]);
    let (rest, _) = read_output(&mut output, |_| false).await;
    assert_eq!((said.len() + rest.len(), rest.trim_start_matches('.')), (200_004, "\u{1}end"));
}

#[tokio::test]
async fn output_the_engine_cannot_read_is_said_once() {
    let scene = Scene::new();
    let none = json!({"HostConfig": {"LogConfig": {"Type": "none"}}});
    let id = run_with(&scene, "none", "echo lost", none).await;
    let mut output = scene.docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
    let error = output.next().await.unwrap().unwrap_err();
    assert!(matches!(&error, HostError::Invalid(said) if said.contains("does not support reading")), "{error:?}");
    assert!(output.next().await.is_none());
}

#[tokio::test]
async fn output_is_followed_while_it_comes() {
    let scene = Scene::new();
    let id = scene.run("echo ready; while [ ! -e /go ]; do sleep 0.05; done; echo after").await;
    let mut output = scene.docker.follow_output(&scene.caller, &id, OutputPosition::default()).await.unwrap();
    let (said, _) = read_output(&mut output, |said| said.contains('\n')).await;
    assert_eq!(said, "ready\n");
    scene.cli(&["exec", &id, "touch", "/go"]);
    let (rest, _) = read_output(&mut output, |_| false).await;
    assert_eq!(rest, "after\n");
}
