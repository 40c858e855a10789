//! What others do to a task's container.

use crate::{
    docker::{Image, containers, gone},
    docker_options::job,
    harness::{Station, eventually, run},
};

/// A task that says when it begins, once a second that it goes on, and ends at SIGTERM.
fn talker(image: &str) -> String {
    let script = "trap 'exit 0' TERM; echo begins; while :; do busybox sleep 1; echo goes on; done";
    job(image, "", "").replace("while :; do busybox sleep 1; done", script).replace("attempts = 0", "attempts = 1")
}

/// As in Nomad: the task has ended, and what its policy says happens, whatever the container does meanwhile.
#[test]
fn a_container_that_somebody_restarts_has_ended() {
    let image = Image::make("outside-restart");
    let station = Station::start();
    let alloc = station.run_job("options", &talker(&image.0));
    let container = containers(&alloc).pop().expect("it has a container");
    let said = || station.cli(&["alloc", "logs", &alloc]).ok();
    eventually("it goes on", || said().contains("goes on").then_some(()));
    run("docker", &["restart", "-t", "5", &container]).ok();
    let state = station
        .until_task(&alloc, "t", "it is started anew", |state| state["Restarts"] == 1 && state["State"] == "running");
    let kinds: Vec<_> =
        state["Events"].as_array().unwrap().iter().map(|event| event["Type"].as_str().unwrap()).collect();
    assert_eq!(kinds[kinds.len() - 3..], ["Terminated", "Restarting", "Started"], "{state}");
    assert_ne!(containers(&alloc), [container]);
    eventually("the output goes on", || (said().rsplit("begins").next()?.contains("goes on")).then_some(()));
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

#[test]
fn a_container_that_somebody_removes_is_told_with_its_code() {
    let image = Image::make("outside-remove");
    let station = Station::start();
    let alloc = station.run_job("options", &talker(&image.0));
    let container = containers(&alloc).pop().expect("it has a container");
    run("docker", &["rm", "-f", &container]).ok();
    let status = eventually("its end is told", || {
        let status = station.cli(&["alloc", "status", &alloc]).ok();
        status.contains("Terminated").then_some(status)
    });
    assert!(status.contains("Exit Code: 137"), "{status}");
    station.cli(&["job", "stop", "--purge", "options"]).ok();
    gone(&alloc);
}

#[test]
fn a_stopped_task_is_neither_signalled_nor_restarted() {
    let image = Image::make("outside-stopped");
    let station = Station::start();
    let alloc = station.run_job("options", &talker(&image.0));
    station.cli(&["job", "stop", "options"]).ok();
    gone(&alloc);
    for command in [&["alloc", "signal", "-s", "HUP", &alloc][..], &["alloc", "restart", &alloc]] {
        let said = station.cli(command).refused(1);
        assert!(said.contains("task \"t\" is not running"), "{said}");
    }
}
