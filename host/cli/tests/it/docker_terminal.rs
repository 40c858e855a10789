//! `alloc exec` as a person has it: on a terminal, with keys, of a size that changes.

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use crate::{
    docker::{Image, gone},
    docker_options::job,
    harness::{PROGRAM, Station, eventually, run},
};

/// Tells its terminal's size, now and whenever that changes, and what is typed; another line ends it. The size it begins
/// with may come when it runs already, and breaks off what it reads.
const PROGRAM_INSIDE: &str = "trap \"busybox stty size\" WINCH; busybox stty size; until read line; do :; done; \
                              busybox echo got $line; until read line; do :; done; exit 7";

#[test]
fn a_command_on_a_terminal_has_its_size_its_keys_and_its_code() {
    let image = Image::make("terminal");
    let station = Station::start();
    let alloc = station.run_job("options", &job(&image.0, "", ""));
    is_a_terminal(&station, &alloc);
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

/// Runs a command in an allocation's only task, on a terminal, and changes that.
pub fn is_a_terminal(station: &Station, alloc: &str) {
    let line = format!("stty rows 24 cols 80; exec {PROGRAM} alloc exec {} sh -c '{PROGRAM_INSIDE}'", &alloc[..8]);
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", &line, "/dev/null"]).env("LONGSHORE_ADDR", station.path("data/api.sock"));
    terminal.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = terminal.spawn().unwrap();
    let (shown, mut screen) = (Arc::new(Mutex::new(String::new())), terminal.stdout.take().unwrap());
    let seen = shown.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut bytes) {
            seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    });
    let shows = |text: &str| eventually(text, || shown.lock().unwrap().contains(text).then_some(()));
    shows("24 80\r\n");
    let mut keys = terminal.stdin.take().unwrap();
    keys.write_all(b"hello\r").unwrap();
    shows("got hello\r\n");

    let id = terminal.id();
    let program = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let device = fs::read_link(format!("/proc/{}/fd/0", program.trim())).unwrap();
    run("stty", &["-F", device.to_str().unwrap(), "rows", "37", "cols", "91"]).ok();
    shows("37 91\r\n");
    keys.write_all(b"bye\r").unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(7), "{}", shown.lock().unwrap());
}
