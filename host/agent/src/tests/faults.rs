//! Drivers and journals that break.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use longshore_core::{driver::Health, error::HostError, state::MAX_VALUE_BYTES};

use super::{
    driver::Fault,
    world::{World, eventually, kinds, submit, until, until_finished, until_running, web},
};
use crate::{AgentStore, StoreError, SubmitError, SubmitOptions, TaskPhase};

#[tokio::test]
async fn a_driver_that_breaks_in_start_costs_one_attempt() {
    for fault in [Fault::Trap, Fault::TimeOut, Fault::Refuse(HostError::Other("no".into()))] {
        let world = World::new();
        world.driver.break_next("start", 1, fault);
        let agent = world.agent().await;
        let ids = submit(&agent, web()).await;
        let alloc = until_running(&agent, &ids[0]).await;
        let seen = kinds(&alloc.tasks["web"]);
        assert_eq!(seen, ["Received", "Task Setup", "Driver Failure", "Restarting", "Started"]);
        assert_eq!(world.fake.present().len(), 1);
    }
}

#[tokio::test]
async fn a_start_that_cannot_help_is_not_tried_again() {
    let world = World::new();
    world.driver.break_next("start for good", 1, Fault::Refuse(HostError::Invalid("bad".into())));
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    let alloc = until_finished(&agent, &ids[0]).await;
    assert!(alloc.tasks["web"].failed);
    assert_eq!(alloc.tasks["web"].events.last().unwrap().message, "Error was unrecoverable");
}

#[tokio::test]
async fn an_engine_that_is_away_costs_no_attempt() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    job.task_groups[0].tasks[0].restart_policy.attempts = 0;
    world.driver.break_next("start", 5, Fault::Refuse(HostError::Unavailable("engine gone".into())));
    eventually("it was looked at", || agent.node().drivers["docker"].fingerprint.is_some()).await;
    world.driver.set_health(Health::Unhealthy("engine gone".into()));
    let ids = submit(&agent, job).await;
    until(&agent, &ids[0], |alloc| {
        alloc.tasks["web"].events.iter().any(|event| event.message.contains("Waiting for driver docker"))
    })
    .await;
    world.driver.mend();
    let alloc = until_running(&agent, &ids[0]).await;
    assert!(!alloc.tasks["web"].failed);
}

#[tokio::test]
async fn a_driver_that_traps_in_stop_or_destroy_leaves_nothing() {
    for operation in ["stop", "destroy"] {
        let world = World::new();
        let agent = world.agent().await;
        let ids = submit(&agent, web()).await;
        until_running(&agent, &ids[0]).await;
        world.driver.break_next(operation, 2, Fault::Trap);
        agent.stop_job("web", false).await.unwrap();
        let alloc = until_finished(&agent, &ids[0]).await;
        assert!(kinds(&alloc.tasks["web"]).contains(&"Driver Failure"), "{operation}");
        assert_eq!(world.fake.present(), Vec::<String>::new(), "{operation}");
    }
}

#[tokio::test]
async fn a_driver_that_traps_in_signal_or_exec_disturbs_nobody() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    world.driver.break_next("signal", 1, Fault::Trap);
    world.driver.break_next("exec", 1, Fault::Trap);
    let error = agent.signal_allocation(&ids[0], None, "SIGHUP").await.unwrap_err().to_string();
    assert!(error.contains("the driver crashed"), "{error}");
    let request = longshore_core::exec::ExecRequest { command: vec!["sh".into()], ..Default::default() };
    assert!(agent.exec(&ids[0], "web", request).await.is_err());
    assert_eq!(agent.allocation(&ids[0]).unwrap().tasks["web"].phase, TaskPhase::Running);
    assert_eq!(world.fake.running().len(), 1);
}

#[tokio::test]
async fn a_driver_that_is_away_at_start_of_the_agent_is_waited_for() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    eventually("it is watched", || world.waits() == 1).await;
    let containers = world.fake.running();
    agent.shutdown().await;
    world.driver.break_next("recover", 4, Fault::Refuse(HostError::Unavailable("engine gone".into())));
    let agent = world.agent().await;
    eventually("it is watched again", || world.waits() == 2).await;
    assert_eq!(world.fake.running(), containers);
    assert_eq!(agent.allocation(&ids[0]).unwrap().tasks["web"].restarts, 0);
}

#[tokio::test]
async fn an_unhealthy_driver_gets_no_jobs() {
    let world = World::new();
    world.driver.set_health(Health::Undetected("no engine answers".into()));
    let agent = world.agent().await;
    let refused = agent.submit(web(), SubmitOptions::default()).await.unwrap_err();
    assert!(
        matches!(&refused, SubmitError::Unplaceable(found) if found[0].message.contains("no engine answers")),
        "{refused}"
    );
    world.driver.set_health(Health::Healthy);
    agent.submit(web(), SubmitOptions::default()).await.unwrap();
    let node = agent.node();
    assert_eq!(node.attributes["driver.docker"], "1");
    assert!(!node.attributes.contains_key("somebody.elses"), "attributes begin with the driver's name");
}

#[tokio::test]
async fn damaged_journals_are_named_and_nothing_panics() {
    for damage in [&b""[..], b"not a journal", &[0; 8192], b"redb\x1a\n\xa9\r\n and then nonsense"] {
        let world = World::new();
        std::fs::write(world.data().join("journal.redb"), damage).unwrap();
        match AgentStore::open(world.data()) {
            // An empty file is a journal that was never written.
            Ok(_) => assert!(damage.is_empty()),
            Err(StoreError::Damaged { path, .. }) => assert!(path.ends_with("journal.redb")),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_journal_is_the_agents_alone() {
    let world = World::new();
    let path = world.data().join("journal.redb");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(AgentStore::open(world.data()).unwrap());
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    drop(AgentStore::open(world.data()).unwrap());
    assert_eq!(mode(), 0o600, "one that was there before");
}

#[tokio::test]
async fn a_journal_cut_in_the_middle_is_no_panic() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    agent.shutdown().await;
    let path = world.data().join("journal.redb");
    let whole = std::fs::read(&path).unwrap();
    for keep in [whole.len() / 2, 4096, 600] {
        std::fs::write(&path, &whole[..keep]).unwrap();
        match AgentStore::open(world.data()) {
            Err(StoreError::Damaged { .. }) => {}
            Ok(_) => panic!("cut to {keep} bytes it cannot be whole"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn one_agent_at_a_time() {
    let world = World::new();
    let agent = world.agent().await;
    assert!(matches!(AgentStore::open(world.data()).err(), Some(StoreError::InUse { .. })));
    agent.shutdown().await;
    eventually("it can be opened again", || AgentStore::open(world.data()).is_ok()).await;
}

#[tokio::test]
async fn drivers_state_is_durable_and_bounded() {
    let world = World::new();
    let driver = longshore_core::caller::DriverName("docker".into());
    let other = longshore_core::caller::DriverName("other".into());
    let store = world.store();
    let state = store.driver_state();
    assert_eq!(state.compare_and_swap(&driver, "a/b", 0, Some(b"x")).await.unwrap(), 1);
    assert_eq!(state.compare_and_swap(&driver, "a/b", 1, Some(b"y")).await.unwrap(), 2);
    assert!(matches!(state.compare_and_swap(&driver, "a/b", 1, None).await, Err(HostError::Conflict(_))));
    assert_eq!(state.get(&other, "a/b").await.unwrap(), None);
    let large = vec![0; MAX_VALUE_BYTES + 1];
    assert!(matches!(state.compare_and_swap(&driver, "c", 0, Some(&large)).await, Err(HostError::Limit(_))));
    for number in 0..15 {
        let full = &large[..MAX_VALUE_BYTES];
        state.compare_and_swap(&driver, &format!("f{number}"), 0, Some(full)).await.unwrap();
    }
    let full = &large[..MAX_VALUE_BYTES];
    assert!(matches!(state.compare_and_swap(&driver, "f15", 0, Some(full)).await, Err(HostError::Limit(_))));
    drop((state, store));
    let state = world.store().driver_state();
    assert_eq!(state.get(&driver, "a/b").await.unwrap().unwrap().value, b"y");
    assert_eq!(state.keys(&driver, "a").await.unwrap(), ["a/b"]);
    assert_eq!(state.compare_and_swap(&driver, "a/b", 2, None).await.unwrap(), 0);
    assert_eq!(state.get(&driver, "a/b").await.unwrap(), None);
}
