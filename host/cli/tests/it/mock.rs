//! The knobs of the mock driver.

use serde_json::Value;

use crate::harness::Station;

fn job(config: &str) -> String {
    format!(
        r#"
job "mock" {{
  type = "batch"
  group "g" {{
    restart {{
      attempts = 1
      delay    = "0s"
      mode     = "fail"
    }}
    task "t" {{
      driver = "mock"
      config {{
        {config}
      }}
      kill_timeout = "60s"
    }}
  }}
}}
"#
    )
}

/// Runs a job to its end: the task's state, and its events as text.
fn ended(station: &Station, config: &str) -> (Value, String) {
    station.cli(&["job", "run", "--detach", &station.job("mock", &job(config))]).ok();
    let alloc = station.allocation("mock");
    let state = station.until_task(&alloc, "t", "it ended", |state| state["State"] == "dead");
    let events = state["Events"].to_string();
    (state, events)
}

#[test]
fn a_task_ends_as_it_is_told() {
    let station = Station::start();
    for (config, failed, restarts, words) in [
        ("run_for = \"10ms\"", false, 0, "Exit Code: 0"),
        ("exit_code = 3", true, 1, "Exit Code: 3"),
        ("exit_signal = 9", true, 1, "Signal: 9"),
        ("start_error = \"no luck\"", true, 0, "no luck"),
        ("start_error = \"no luck\"\n start_error_recoverable = true", true, 1, "no luck"),
        ("start_block_for = \"50ms\"\n start_error = \"late\"", true, 0, "late"),
    ] {
        let (state, events) = ended(&station, config);
        assert_eq!((&state["Failed"], &state["Restarts"]), (&failed.into(), &restarts.into()), "{config}: {events}");
        assert!(events.contains(words), "{config}: {events}");
        station.cli(&["job", "stop", "--purge", "mock"]).ok();
    }
}

#[test]
fn a_task_speaks_lingers_and_refuses_signals() {
    let station = Station::start();
    let config = "run_for = \"10m\"\n kill_after = \"1s\"\n signal_error = \"deaf\"\n stdout_string = \"it's $HOME \"\n \
                  stderr_string = \"!\"\n stdout_repeat = 2\n stdout_repeat_duration = \"10ms\"";
    let alloc = station.run_job("mock", &job(config));
    let logs = |flags: &[&str]| station.cli(&[&["alloc", "logs"], flags, &[&alloc[..8]]].concat()).ok();
    crate::harness::eventually("it has spoken", || (logs(&[]) == "it's $HOME ".repeat(3)).then_some(()));
    assert_eq!(logs(&["--stderr"]), "!!!");
    let said = station.cli(&["alloc", "signal", "-s", "SIGHUP", &alloc[..8]]);
    assert!(said.code != 0 && said.err.contains("deaf"), "{}", said.err);
    let begun = std::time::Instant::now();
    station.cli(&["job", "stop", "mock"]).ok();
    // Less would mean that it was killed.
    assert!(begun.elapsed().as_millis() >= 1000, "{:?}", begun.elapsed());
    assert!(
        station.get(&format!("/v1/allocation/{alloc}"))["TaskStates"]["t"]["Events"]
            .to_string()
            .contains("Exit Code: 0")
    );
}

#[test]
fn wrong_knobs_are_found_at_submit() {
    let station = Station::start();
    for (config, words) in
        [("run_for = \"soon\"", "run_for"), ("exit_cod = 1", "exit_code"), ("exit_code = 256", "255")]
    {
        let said = station.cli(&["job", "run", &station.job("mock", &job(config))]).refused(2);
        assert!(said.contains(words), "{config}: {said}");
    }
}
