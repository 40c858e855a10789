use futures_util::StreamExt;
use longshore_core::{container::Containers, workload::OutputStream};
use serde_json::json;

use super::{Scene, read_output};

#[tokio::test]
async fn output_is_read_from_the_start_to_the_end() {
    let scene = Scene::new();
    let id = scene.run("echo one; echo two >&2; printf three").await;
    let mut output = scene.docker.follow_output(&scene.caller, &id, None).await.unwrap();
    let (stdout, stderr) = read_output(&mut output, |_| false).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("one\nthree", "two\n"));
}

#[tokio::test]
async fn a_reader_goes_on_where_another_stopped() {
    let scene = Scene::new();
    let id = scene.run("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done").await;
    let expected: String = (1..=3000).map(|i| format!("line {i}\n")).collect();
    // A new reader every 97 pieces: each goes on from the last one's position.
    let (mut read, mut position) = (String::new(), None);
    loop {
        let output = scene.restarted().follow_output(&scene.caller, &id, position).await.unwrap();
        let pieces: Vec<_> = output.take(97).collect().await;
        if pieces.is_empty() {
            break;
        }
        for piece in pieces {
            let piece = piece.unwrap();
            assert_eq!(piece.stream, OutputStream::Stdout);
            read.push_str(std::str::from_utf8(&piece.data).unwrap());
            position = piece.at.or(position);
        }
    }
    assert!(read == expected, "read {} bytes of {}", read.len(), expected.len());
}

#[tokio::test]
async fn a_long_line_is_one_piece() {
    let scene = Scene::new();
    for tty in [false, true] {
        let mut spec = scene.shell("head -c 50000 /dev/zero | tr '\\0' 'x'; echo; echo end");
        spec.name = format!("long-{tty}-{}", scene.agent);
        spec.engine_options = json!({"Tty": tty}).as_object().cloned();
        let id = scene.docker.create(&scene.caller, &spec).await.unwrap();
        scene.docker.start(&scene.caller, &id).await.unwrap();
        let output = scene.docker.follow_output(&scene.caller, &id, None).await.unwrap();
        let pieces: Vec<_> = output.map(|piece| piece.unwrap()).collect().await;
        let newline = if tty { "\r\n" } else { "\n" };
        let texts: Vec<_> = pieces.iter().map(|piece| String::from_utf8(piece.data.to_vec()).unwrap()).collect();
        assert!(
            texts == [format!("{}{newline}", "x".repeat(50_000)), format!("end{newline}")],
            "tty {tty}: {} pieces",
            texts.len()
        );
        assert!(pieces.iter().all(|piece| piece.at.is_some()));
    }
}

#[tokio::test]
async fn output_is_followed_while_it_comes() {
    let scene = Scene::new();
    let id = scene.run("echo ready; while [ ! -e /go ]; do sleep 0.05; done; echo after").await;
    let mut output = scene.docker.follow_output(&scene.caller, &id, None).await.unwrap();
    let (said, _) = read_output(&mut output, |said| said.contains('\n')).await;
    assert_eq!(said, "ready\n");
    scene.cli(&["exec", &id, "touch", "/go"]);
    let (rest, _) = read_output(&mut output, |_| false).await;
    assert_eq!(rest, "after\n");
}
