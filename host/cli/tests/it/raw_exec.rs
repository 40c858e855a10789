//! Jobs of plain processes, from submission to the last trace.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::harness::{PROGRAM, Station, eventually, goes_through, lives, processes_with};

/// Writes its pid, says hello on both streams, then counts signals.
const WORKER: &str = r#"
job "worker" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args = ["-c", "echo $$ > local/pid; echo out; echo err >&2; trap 'echo hup' HUP; trap 'echo term; exit 0' TERM; while :; do sleep 0.1; done"]
      }
      restart {
        attempts = 1
        delay    = "0s"
      }
      kill_signal  = "SIGTERM"
      kill_timeout = "5s"
    }
  }
}
"#;

fn pid(station: &Station, alloc: &str) -> u32 {
    let file = station.path("data/allocs").join(alloc).join("t/local/pid");
    eventually("the worker wrote its pid", || fs::read_to_string(&file).ok()?.trim().parse().ok())
}

fn log(station: &Station, alloc: &str, arguments: &[&str]) -> String {
    station.cli(&[&["alloc", "logs"], arguments, &[alloc]].concat()).ok()
}

#[test]
fn a_process_is_run_read_signalled_restarted_and_stopped() {
    let station = Station::start();
    let alloc = station.run_job("worker", WORKER);
    let short = &alloc[..8];
    let first = pid(&station, &alloc);
    assert!(lives(first));
    eventually("its output", || (log(&station, short, &[]) == "out\n").then_some(()));
    assert_eq!(log(&station, short, &["--stderr"]), "err\n");

    station.cli(&["alloc", "signal", "-s", "SIGHUP", short]).ok();
    eventually("the signal", || log(&station, short, &["-n", "1"]).contains("hup").then_some(()));

    station.cli(&["alloc", "restart", short]).ok();
    let state =
        station.until_task(&alloc, "t", "a restart", |state| state["Restarts"] == 1 && state["State"] == "running");
    assert!(state["Events"].to_string().contains("Restart Signaled"), "{state}");
    let second = eventually("another pid", || Some(pid(&station, &alloc)).filter(|pid| *pid != first));
    assert!(!lives(first) && lives(second));

    station.cli(&["job", "stop", "worker"]).ok();
    assert!(!lives(second));
    assert!(log(&station, short, &["-n", "1"]).contains("term"));
    assert_eq!(processes_with(&alloc), Vec::<u32>::new());
    assert_eq!(station.get("/v1/job/worker")["Status"], "dead");
}

#[test]
fn commands_run_inside_with_input_output_and_exit_code() {
    let station = Station::start();
    let alloc = station.run_job("worker", WORKER);
    let exec = |arguments: &[&str]| station.cli(&[&["alloc", "exec", &alloc[..8]], arguments].concat());
    assert_eq!(exec(&["/bin/sh", "-c", "echo $NOMAD_ALLOC_ID"]).ok().trim(), alloc);
    let ran = exec(&["/bin/sh", "-c", "echo said >&2; exit 7"]);
    assert_eq!((ran.code, ran.err.as_str()), (7, "said\n"));
    let counted = station.cli_with(&["alloc", "exec", &alloc[..8], "/usr/bin/wc", "-c"], "hello");
    assert_eq!(counted.ok().trim(), "5");
    assert_eq!(exec(&["/bin/sh", "-c", "kill -9 $$"]).code, 137);
    let said = station.cli(&["alloc", "exec", "--task", "x", &alloc[..8], "true"]).refused(2);
    assert!(said.contains("unknown task name \"x\"; the tasks are t"), "{said}");
}

#[test]
fn the_agents_own_secrets_reach_no_task() {
    let mut station = Station::prepare("", &["--dev"]);
    station.env = vec![("LONGSHORE_TOKEN", "sesame"), ("LONGSHORE_TOKEN_FILE", "/sesame"), ("HARMLESS", "yes")];
    station.launch();
    let alloc = station.run_job("worker", WORKER);
    let environment = fs::read_to_string(format!("/proc/{}/environ", pid(&station, &alloc))).unwrap();
    assert!(environment.contains("HARMLESS=yes"), "{environment}");
    assert!(!environment.contains("sesame"), "{environment}");
}

#[test]
fn more_goes_through_a_command_than_pipes_hold() {
    let station = Station::start();
    let alloc = station.run_job("worker", WORKER);
    goes_through(&station, &["alloc", "exec", "-t=false", &alloc[..8], "cat"]);
}

#[test]
fn a_terminal_is_given_to_a_command_when_there_is_one() {
    let station = Station::start();
    let alloc = station.run_job("worker", WORKER);
    let on_a_terminal = |flags: &str| {
        let typed = format!("{PROGRAM} alloc exec {flags} {} /bin/sh -c 'tty && stty size; exit 9'", &alloc[..8]);
        let api = station.path("data/api.sock");
        let mut script = Command::new("script");
        let ran = script.args(["-qec", &typed, "/dev/null"]).env("LONGSHORE_ADDR", api).stdin(Stdio::null()).output();
        let ran = ran.unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned())
    };
    for flags in ["", "-it", "--tty"] {
        let (code, said) = on_a_terminal(flags);
        assert!(code == Some(9) && said.contains("/dev/pts/"), "{flags}: {said}");
    }
    let (code, said) = on_a_terminal("-t=false");
    assert!(code == Some(9) && said.contains("not a tty"), "{said}");
    assert_eq!(station.cli_with(&["alloc", "exec", "-i=false", &alloc[..8], "wc", "-c"], "hello").ok(), "0\n");
}

#[test]
fn a_killed_agent_loses_no_process_and_finds_it_again() {
    let mut station = Station::start();
    let alloc = station.run_job("worker", WORKER);
    let worker = pid(&station, &alloc);
    station.kill();
    assert!(lives(worker));
    station.launch();
    let state = station.until_task(&alloc, "t", "it runs", |state| state["State"] == "running");
    assert_eq!(state["Restarts"], 0, "{state}");
    assert_eq!(pid(&station, &alloc), worker);
    assert_eq!(log(&station, &alloc[..8], &[]), "out\n");
    station.cli(&["alloc", "signal", "-s", "SIGHUP", &alloc[..8]]).ok();
    eventually("it still listens", || log(&station, &alloc[..8], &[]).contains("hup").then_some(()));
    station.cli(&["job", "stop", "worker"]).ok();
    assert!(!lives(worker));
    assert_eq!(processes_with(&alloc), Vec::<u32>::new());
}

#[test]
fn a_process_that_died_while_no_agent_ran_is_restarted_by_policy() {
    let mut station = Station::start();
    let alloc = station.run_job("worker", WORKER);
    let worker = pid(&station, &alloc);
    station.kill();
    crate::harness::run("kill", &["-KILL", &worker.to_string()]).ok();
    eventually("it is dead", || (!lives(worker)).then_some(()));
    station.launch();
    station.until_task(&alloc, "t", "a restart", |state| state["Restarts"] == 1 && state["State"] == "running");
    let again = eventually("another pid", || Some(pid(&station, &alloc)).filter(|pid| *pid != worker));
    assert!(lives(again));
}

#[test]
fn an_agent_killed_while_a_task_starts_leaves_one_task() {
    let mut station = Station::start();
    let file = station.job("worker", WORKER);
    for _ in 0..3 {
        let mut submission = station.command(&["job", "run", "--detach", &file]).spawn().unwrap();
        station.kill();
        submission.wait().unwrap();
        station.launch();
    }
    station.cli(&["job", "run", &file]).ok();
    let alloc = station.allocation("worker");
    let worker = pid(&station, &alloc);
    let running = |alloc: &str| {
        let pids = processes_with(&format!("NOMAD_ALLOC_ID={alloc}"));
        pids.into_iter()
            .filter(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sh\n"))
            .count()
    };
    // A child of the worker's is a shell, too, until it has become another program.
    eventually("one worker runs", || (running(&alloc) == 1).then_some(()));
    assert!(lives(worker));
    station.cli(&["job", "stop", "--purge", "worker"]).ok();
    assert_eq!(processes_with(&format!("NOMAD_ALLOC_ID={alloc}")), Vec::<u32>::new());
    eventually("no directory is left", || station.directories().is_empty().then_some(()));
}

#[test]
fn a_batch_job_that_fails_says_why_and_one_that_ends_is_done() {
    let station = Station::start();
    let batch = |command: &str| {
        format!(
            "job \"once\" {{\n  type = \"batch\"\n  group \"g\" {{\n    restart {{\n      attempts = 0\n      mode = \"fail\"\n    }}\n    \
             task \"t\" {{\n      driver = \"raw_exec\"\n      config {{\n        command = \"/bin/sh\"\n        \
             args = [\"-c\", \"{command}\"]\n      }}\n    }}\n  }}\n}}\n"
        )
    };
    station.cli(&["job", "run", "--detach", &station.job("once", &batch("exit 3"))]).ok();
    let failed = station.allocation("once");
    station.until_task(&failed, "t", "it failed", |state| state["State"] == "dead" && state["Failed"] == true);
    let said = station.cli(&["alloc", "status", &failed[..8]]).ok();
    assert!(said.contains("Exit Code: 3"), "{said}");
    station.cli(&["job", "run", &station.job("once", &batch("echo done"))]).ok();
    eventually("it is over", || (station.get("/v1/job/once")["Status"] == "dead").then_some(()));
    assert_eq!(log(&station, &station.allocation("once"), &["-f"]), "done\n");
}
