//! Each thing a driver can do wrong costs one operation, is told plainly, and disturbs nobody else.

use std::time::Duration;

use longshore_core::{
    backends::Backends,
    driver::{Driver, DriverError, Health, StopRequest, Task, Watch},
    error::HostError,
    policy::Policy,
};
use longshore_fake::{Effect, Fake, Said};
use longshore_wasm::{
    limits::{ENTRIES, ENTRY_BYTES, TEXT_BYTES},
    loader::DriverConfig,
    registry::Registry,
};
use serde_json::json;

use crate::support::{Host, cause, config, engine, task};

/// Another task of the same driver goes through its whole life.
async fn others_live_on(host: &Host) {
    let other = task("other", "");
    let started = host.driver.start(&other).await.unwrap();
    assert!(matches!(started.watch, Watch::Process(_)));
    host.driver.recover(&other, &started.handle).await.unwrap();
    host.driver.stop(&other, &started.handle, &StopRequest::default()).await.unwrap();
    host.driver.destroy(&other, Some(&started.handle)).await.unwrap();
}

async fn start(host: &Host, does: &str) -> DriverError {
    host.driver.start(&task("bad", does)).await.unwrap_err().error
}

#[tokio::test]
async fn crashes_are_told_by_their_cause() {
    let host = Host::new().await;
    let table = [
        ("start:trap", "it panicked or aborted (wasm `unreachable`)"),
        ("start:loop", "its own code ran longer than 300 ms"),
        ("start:recurse", "its call stack overflowed"),
        ("start:hog", "it used more than 64 MiB of memory"),
        ("start:giant-string", "it used more than 64 MiB of memory"),
        ("start:long-call", "it passed more than 16 MiB in one call"),
    ];
    for (does, expected) in table {
        let error = start(&host, does).await;
        assert_eq!(cause(&error), expected, "{does}");
        let told = error.to_string();
        assert!(told.starts_with("driver hostile: lifecycle.start: the driver crashed: "), "{told}");
        others_live_on(&host).await;
    }
    assert_eq!(host.fake.present(), Vec::<String>::new());
}

#[tokio::test]
async fn a_backtrace_names_the_functions() {
    let host = Host::new().await;
    match start(&host, "start:trap").await {
        DriverError::Trapped { backtrace, .. } => assert!(backtrace.contains("longshore_hostile::"), "{backtrace}"),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_crash_in_any_operation_costs_that_operation() {
    let host = Host::new().await;
    for operation in ["recover", "stop", "destroy", "inspect", "send", "check"] {
        let task = task("bad", &format!("{operation}:trap"));
        let handle = host.driver.start(&task).await.unwrap().handle;
        let driver = &host.driver;
        let error = match operation {
            "recover" => driver.recover(&task, &handle).await.unwrap_err(),
            "stop" => driver.stop(&task, &handle, &StopRequest::default()).await.unwrap_err(),
            "destroy" => driver.destroy(&task, Some(&handle)).await.unwrap_err(),
            "inspect" => driver.inspect(&task, &handle).await.unwrap_err(),
            "send" => driver.signal(&task, &handle, "SIGHUP").await.unwrap_err(),
            _ => driver.poll(&task, &handle).await.unwrap_err(),
        };
        assert_eq!(cause(&error), "it panicked or aborted (wasm `unreachable`)", "{operation}");
        others_live_on(&host).await;
        host.driver.destroy(&task, None).await.unwrap();
    }
    assert_eq!(host.fake.present(), Vec::<String>::new());
}

#[tokio::test]
async fn a_host_call_that_hangs_is_given_up() {
    let host = Host::new().await;
    host.fake.on("processes.signal", 1, Effect::Hang);
    let error = start(&host, "start:wait").await;
    assert_eq!(error.to_string(), "driver hostile: lifecycle.start: not done after 2000 ms");
    others_live_on(&host).await;
}

#[tokio::test]
async fn waiting_in_the_host_is_no_guest_time() {
    let host = Host::new().await;
    host.fake.on("processes.spawn", 1, Effect::Delay(Duration::from_millis(700)));
    host.driver.start(&task("slow", "")).await.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_lets_others_run_meanwhile() {
    let host = Host::new().await;
    let (bad, good) = (task("bad", "start:loop"), task("good", ""));
    let looping = host.driver.start(&bad);
    let others = async {
        for _ in 0..3 {
            host.driver.start(&good).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::pin!(looping);
    tokio::select! {
        biased;
        _ = &mut looping => panic!("the loop ended before anybody else got a turn"),
        () = others => {}
    }
    looping.await.unwrap_err();
}

#[tokio::test]
async fn a_log_flood_is_cut_and_counted() {
    let host = Host::new().await;
    host.driver.start(&task("bad", "start:flood")).await.unwrap();
    let lines = host.lines();
    assert_eq!(lines.len(), 1_001);
    assert_eq!(lines[0].len(), 8 << 10);
    assert_eq!(lines[1], "line 0");
    assert_eq!(lines[1_000], "4001 more log lines dropped: an operation may write 1000");
    others_live_on(&host).await;
}

#[tokio::test]
async fn events_are_limited() {
    let host = Host::new().await;
    let error = start(&host, "start:events").await;
    assert!(matches!(error.reason(), Some(HostError::Limit(_))), "{error}");
    assert_eq!(host.fake.said().len(), 64);
}

#[tokio::test]
async fn events_need_a_task() {
    let host = Host::with(DriverConfig { settings: json!({ "do": "fingerprint:events" }), ..config() }).await.unwrap();
    let health = format!("{:?}", host.driver.fingerprint().await.health);
    assert!(health.contains("this call needs a task"), "{health}");
}

#[tokio::test]
async fn long_texts_are_cut_before_anybody_keeps_them() {
    let host = Host::new().await;
    host.driver.start(&task("bad", "start:long-event")).await.unwrap();
    let [Said::Event { message, annotations, .. }] = &host.fake.said()[..] else { panic!("one event") };
    assert_eq!((message.len(), annotations.len()), (TEXT_BYTES, ENTRIES));
    assert!(annotations.iter().all(|(key, value)| key.len() == ENTRY_BYTES && value.len() == ENTRY_BYTES));
    let error = start(&host, "start:long-error").await;
    assert!(matches!(error.reason(), Some(HostError::Invalid(text)) if text.len() == TEXT_BYTES));
    let settings = json!({ "do": "fingerprint:long-error" });
    let host = Host::with(DriverConfig { settings, ..config() }).await.unwrap();
    let health = host.driver.fingerprint().await.health;
    assert!(matches!(&health, Health::Unhealthy(text) if text.len() == TEXT_BYTES));
}

/// The kernel ignores the type of a bind.
#[tokio::test]
async fn no_volume_shows_a_path_of_the_host() {
    let policy = Policy { allow_volumes: true, ..Policy::default() };
    let host = Host::with(DriverConfig { policy, ..config() }).await.unwrap();
    for kind in ["none", "tmpfs", "nfs", "nfs4", "cifs"] {
        let options = json!({"type": kind, "o": "bind", "device": "/etc"});
        let volume = json!({"Type": "volume", "Target": "/d",
                            "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": options}}});
        let wish = json!({"name": "disguised", "image": "any:1", "document": {"HostConfig": {"Mounts": [volume]}}});
        let asks = Task { config: json!({"do": "start:create", "container": wish}), ..task("bad", "") };
        let error = host.driver.start(&asks).await.unwrap_err().error;
        assert!(matches!(error.reason(), Some(HostError::Denied(_))), "{kind}: {error}");
    }
    assert!(!host.fake.calls().contains(&"containers.create".to_owned()));
    others_live_on(&host).await;
}

#[tokio::test]
async fn another_tasks_ids_are_not_found() {
    let host = Host::new().await;
    let victim = host.driver.start(&task("victim", "")).await.unwrap();
    let Watch::Process(id) = &victim.watch else { panic!("{:?}", victim.watch) };
    let error = start(&host, &format!("start:other-id {id}")).await;
    assert!(matches!(error.reason(), Some(HostError::NotFound(_))), "{error}");
    assert_eq!(host.fake.running(), std::slice::from_ref(id));
}

#[tokio::test]
async fn a_port_of_the_job_file_is_not_released() {
    let host = Host::new().await;
    let error = start(&host, "start:release").await;
    assert!(matches!(error.reason(), Some(HostError::Denied(text)) if text.contains("job file")), "{error}");
    assert!(!host.fake.calls().contains(&"ports.release".to_owned()));
}

#[tokio::test]
async fn answers_the_host_cannot_use_are_refused() {
    let host = Host::new().await;
    for (does, expected) in [
        ("start:large-handle", "65537 bytes; 65536 are allowed"),
        ("start:watch-the-weather", "to watch a \"weather\""),
        ("start:error", "as it was told"),
    ] {
        let refused = host.driver.start(&task("bad", does)).await.unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(!refused.recoverable, "{does}: trying again cannot help");
        host.driver.destroy(&task("bad", does), None).await.unwrap();
    }
    assert_eq!(host.fake.present(), Vec::<String>::new());
}

#[tokio::test]
async fn an_absent_backend_is_unavailable() {
    let registry = Registry::new(engine(), Backends { processes: None, ..Fake::new().backends() });
    let driver = registry.add(config()).await.unwrap();
    let refused = driver.start(&task("t", "")).await.unwrap_err();
    let expected = "driver hostile: lifecycle.start: unavailable: this host has no supervisor of processes";
    assert_eq!(refused.to_string(), expected);
}
