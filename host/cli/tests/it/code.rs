//! Compiled code of drivers: made in a process of its own, kept, and made anew when it is not as it was.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::harness::{PROGRAM, Station};

fn entries(station: &Station) -> BTreeSet<PathBuf> {
    fs::read_dir(station.path("data/cache")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn digests(station: &Station) -> Vec<String> {
    let listed: Vec<Value> = serde_json::from_str(&station.cli(&["driver", "list", "--json"]).ok()).unwrap();
    listed.iter().map(|driver| driver["Digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_is_kept_and_never_trusted_once_it_was_touched() {
    let mut station = Station::prepare("", &["--dev"]);
    fs::remove_dir_all(station.path("data")).unwrap();
    station.launch();
    let kept = entries(&station);
    let drivers = digests(&station);
    assert_eq!(kept.len(), drivers.len(), "{kept:?}");
    station.kill();
    for entry in &kept {
        let mut code = fs::read(entry).unwrap();
        let middle = code.len() / 2;
        code[middle] ^= 1;
        fs::write(entry, code).unwrap();
    }
    station.launch();
    assert_eq!(digests(&station), drivers);
    let told = station.log().matches("removing from the compile cache").count();
    assert_eq!(told, kept.len());
    assert_eq!(entries(&station), kept, "what is compiled again is the same");
}

#[test]
fn the_compiler_says_what_is_no_component() {
    let mut compiler = Command::new(PROGRAM)
        .args(["compile-component", "0123"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    compiler.stdin.take().unwrap().write_all(b"\0asm\x0d\0\x01\0nonsense").unwrap();
    let output = compiler.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(65), 0));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
}
