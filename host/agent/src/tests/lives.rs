//! Whole lives of jobs.

use std::time::Duration;

use futures_util::StreamExt;
use longshore_core::{
    exec::ExecRequest,
    workload::{ExitStatus, OutputStream},
};
use longshore_job::model::{JobKind, Lifecycle, LifecycleHook, Port, Task};
use serde_json::json;

use super::driver::UNKNOWN_SIGNAL;
use super::world::{World, eventually, job, kinds, submit, task, until, until_finished, until_running, web};
use crate::{Agent, ClientStatus, ControlError, Desired, LogStart, SubmitError, SubmitOptions, TaskPhase};

fn failed(code: i32) -> ExitStatus {
    ExitStatus { exit_code: code, ..ExitStatus::default() }
}

async fn read(agent: &Agent, id: &str, start: LogStart, follow: bool) -> String {
    let mut stream = agent.logs(id, "web", OutputStream::Stdout, start, follow).unwrap();
    let mut text = Vec::new();
    while let Some(piece) = stream.next().await {
        text.extend_from_slice(&piece.unwrap().data);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_service_runs_and_is_stopped() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    let alloc = until_running(&agent, &ids[0]).await;
    assert_eq!(alloc.status, ClientStatus::Running);
    assert_eq!(alloc.name, "web.g[0]");
    assert_eq!((alloc.ports[0].label.as_str(), alloc.ports[0].task_port), ("http", 80));
    assert_eq!(kinds(&alloc.tasks["web"]), ["Received", "Task Setup", "Started"]);
    assert_eq!(agent.job("web").unwrap().job.status, "running");
    agent.stop_job("web", false).await.unwrap();
    let alloc = until_finished(&agent, &ids[0]).await;
    assert_eq!(alloc.status, ClientStatus::Complete);
    assert_eq!(kinds(&alloc.tasks["web"]), ["Received", "Task Setup", "Started", "Killing", "Terminated", "Killed"]);
    assert_eq!(agent.job("web").unwrap().job.status, "dead");
    assert_eq!(world.fake.present(), Vec::<String>::new());
    assert!(world.fake.calls().contains(&"ports.release".to_owned()));
}

#[tokio::test]
async fn a_signal_that_the_driver_does_not_know_keeps_nothing_running() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    job.task_groups[0].tasks[0].kill_signal = UNKNOWN_SIGNAL.into();
    let ids = submit(&agent, job).await;
    until_running(&agent, &ids[0]).await;
    agent.stop_job("web", false).await.unwrap();
    let alloc = until_finished(&agent, &ids[0]).await;
    let told = ["Received", "Task Setup", "Started", "Killing", "Driver Failure", "Terminated", "Killed"];
    assert_eq!(kinds(&alloc.tasks["web"]), told);
    assert_eq!(world.fake.present(), Vec::<String>::new());
}

#[tokio::test]
async fn a_purged_job_leaves_nothing() {
    let world = World::new();
    let agent = world.agent().await;
    submit(&agent, web()).await;
    agent.drain().await.unwrap();
    eventually("the job is forgotten", || agent.job("web").is_none()).await;
    assert_eq!(world.alloc_dirs(), 0);
    assert!(agent.allocations("").is_empty());
}

#[tokio::test]
async fn output_is_kept_and_followed_to_the_end() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    job.kind = JobKind::Batch;
    let ids = submit(&agent, job).await;
    until_running(&agent, &ids[0]).await;
    let id = world.fake.running()[0].clone();
    world.fake.print(&id, OutputStream::Stdout, "one\n").unwrap();
    eventually("the file is written", || {
        std::fs::read_to_string(world.data().join(format!("allocs/{}/alloc/logs/web.stdout.0", ids[0])))
            .is_ok_and(|text| text == "one\n")
    })
    .await;
    let follower = tokio::spawn({
        let (agent, id) = (agent.clone(), ids[0].clone());
        async move { read(&agent, &id, LogStart::Start(0), true).await }
    });
    world.fake.print(&id, OutputStream::Stdout, "two\n").unwrap();
    world.fake.finish(&id, ExitStatus::default()).unwrap();
    assert_eq!(follower.await.unwrap(), "one\ntwo\n");
    until_finished(&agent, &ids[0]).await;
    assert_eq!(read(&agent, &ids[0], LogStart::End(4), false).await, "two\n");
    assert_eq!(read(&agent, &ids[0], LogStart::Start(2), false).await, "e\ntwo\n");
    assert!(matches!(
        agent.logs(&ids[0], "nobody", OutputStream::Stdout, LogStart::Start(0), false).err(),
        Some(ControlError::UnknownTask { .. })
    ));
}

#[tokio::test]
async fn output_is_neither_lost_nor_repeated_over_a_restart_of_the_agent() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    let id = world.fake.running()[0].clone();
    let file = world.data().join(format!("allocs/{}/alloc/logs/web.stdout.0", ids[0]));
    let reads = |text: &'static str| {
        let file = file.clone();
        move || std::fs::read_to_string(&file).is_ok_and(|found| found == text)
    };
    world.fake.print(&id, OutputStream::Stdout, "one\n").unwrap();
    eventually("one is written", reads("one\n")).await;
    agent.shutdown().await;
    world.fake.print(&id, OutputStream::Stdout, "two\n").unwrap();
    let agent = world.agent().await;
    eventually("two is written once", reads("one\ntwo\n")).await;
    world.fake.print(&id, OutputStream::Stdout, "three\n").unwrap();
    eventually("three follows", reads("one\ntwo\nthree\n")).await;
    world.fake.finish(&id, failed(1)).unwrap();
    until(&agent, &ids[0], |alloc| alloc.tasks["web"].restarts == 1 && alloc.tasks["web"].phase == TaskPhase::Running)
        .await;
    agent.shutdown().await;
    world.fake.print(&world.fake.running()[0], OutputStream::Stdout, "four\n").unwrap();
    let agent = world.agent().await;
    eventually("the next container's output follows", reads("one\ntwo\nthree\nfour\n")).await;
    agent.shutdown().await;
}

#[tokio::test]
async fn a_failing_service_is_restarted_by_its_policy_and_then_fails() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    for round in 0..3 {
        until(&agent, &ids[0], |alloc| {
            alloc.tasks["web"].phase == TaskPhase::Running && alloc.tasks["web"].restarts == round
        })
        .await;
        world.fake.finish(&world.fake.running()[0], failed(7)).unwrap();
    }
    let alloc = until_finished(&agent, &ids[0]).await;
    assert_eq!(alloc.status, ClientStatus::Failed);
    let state = &alloc.tasks["web"];
    assert_eq!(state.restarts, 2);
    let last = state.events.last().unwrap();
    assert_eq!(last.kind, "Not Restarting");
    assert_eq!(last.message, "Exceeded allowed attempts 2 in interval 30m0s and mode is \"fail\"");
    assert_eq!(world.fake.present(), Vec::<String>::new());
}

#[tokio::test]
async fn a_batch_job_ends_with_success_and_does_not_run_again() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    job.kind = JobKind::Batch;
    let ids = submit(&agent, job.clone()).await;
    until_running(&agent, &ids[0]).await;
    world.fake.finish(&world.fake.running()[0], ExitStatus::default()).unwrap();
    let alloc = until_finished(&agent, &ids[0]).await;
    assert_eq!(alloc.status, ClientStatus::Complete);
    assert_eq!(submit(&agent, job).await, Vec::<String>::new());
    agent.shutdown().await;
    let agent = world.agent().await;
    assert!(agent.allocation(&ids[0]).unwrap().finished);
    assert_eq!(world.fake.running(), Vec::<String>::new());
}

#[tokio::test]
async fn hooks_run_around_the_main_task() {
    let hook = |name: &str, hook, sidecar| Task { lifecycle: Some(Lifecycle { hook, sidecar }), ..task(name) };
    let world = World::new();
    let agent = world.agent().await;
    let tasks = vec![
        hook("init", LifecycleHook::Prestart, false),
        hook("proxy", LifecycleHook::Prestart, true),
        task("web"),
        hook("bye", LifecycleHook::Poststop, false),
    ];
    let ids = submit(&agent, job(tasks)).await;
    let phase = |alloc: &crate::Allocation, name: &str| alloc.tasks[name].phase;
    let alloc = until(&agent, &ids[0], |alloc| {
        phase(alloc, "init") == TaskPhase::Running && phase(alloc, "proxy") == TaskPhase::Running
    })
    .await;
    assert_eq!(phase(&alloc, "web"), TaskPhase::Pending);
    finish_task(&world, &agent, &ids[0], "init", ExitStatus::default()).await;
    let alloc = until(&agent, &ids[0], |alloc| phase(alloc, "web") == TaskPhase::Running).await;
    assert_eq!(phase(&alloc, "bye"), TaskPhase::Pending);
    agent.stop_job("web", false).await.unwrap();
    until(&agent, &ids[0], |alloc| phase(alloc, "bye") == TaskPhase::Running).await;
    finish_task(&world, &agent, &ids[0], "bye", ExitStatus::default()).await;
    let alloc = until_finished(&agent, &ids[0]).await;
    assert_eq!(alloc.status, ClientStatus::Complete);
    assert_eq!(world.fake.present(), Vec::<String>::new());
}

/// Ends one task's container.
pub(super) async fn finish_task(world: &World, agent: &Agent, alloc: &str, task: &str, status: ExitStatus) {
    let control = agent.shared_for_tests().control(&longshore_core::caller::AllocId(alloc.into())).unwrap();
    let live = loop {
        if let Some(live) = control.tasks[task].live.lock().await.clone() {
            break live;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    world.fake.finish(&String::from_utf8(live.started.handle.clone()).unwrap(), status).unwrap();
}

#[tokio::test]
async fn one_failed_task_ends_its_siblings_and_a_leader_its_followers() {
    let once = |name: &str| {
        let mut task = task(name);
        task.restart_policy.attempts = 0;
        task
    };
    for (leader, status, expected, why) in [
        (false, failed(1), ClientStatus::Failed, "Sibling Task Failed"),
        (true, ExitStatus::default(), ClientStatus::Complete, "Leader Task Dead"),
    ] {
        let world = World::new();
        let agent = world.agent().await;
        let mut job = job(vec![Task { leader, ..once("web") }, task("log")]);
        job.kind = JobKind::Batch;
        let ids = submit(&agent, job).await;
        until_running(&agent, &ids[0]).await;
        finish_task(&world, &agent, &ids[0], "web", status).await;
        let alloc = until_finished(&agent, &ids[0]).await;
        assert_eq!(alloc.status, expected);
        assert!(kinds(&alloc.tasks["log"]).contains(&why), "{:?}", alloc.tasks["log"]);
        assert!(!alloc.tasks["log"].failed);
    }
}

#[tokio::test]
async fn submitting_again_changes_only_what_differs() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    let mut other = job.task_groups[0].clone();
    other.name = "h".into();
    job.task_groups.push(other);
    let ids = submit(&agent, job.clone()).await;
    for id in &ids {
        until_running(&agent, id).await;
    }
    let version = |agent: &Agent| agent.job("web").unwrap().job.version;
    assert_eq!(submit(&agent, job.clone()).await, Vec::<String>::new(), "the same job changes nothing");
    assert_eq!(version(&agent), 0);
    job.task_groups[1].tasks[0].env.insert("A".into(), "b".into());
    let made = submit(&agent, job.clone()).await;
    assert_eq!(made.len(), 1, "only the changed group is made anew");
    assert_eq!(version(&agent), 1);
    let alloc = until_running(&agent, &made[0]).await;
    assert_eq!(alloc.group, "h");
    assert_eq!(agent.allocation(&ids[0]).unwrap().desired, Desired::Run);
    assert_eq!(until_finished(&agent, &ids[1]).await.desired, Desired::Stop);
    job.task_groups[0].count = 3;
    assert_eq!(submit(&agent, job.clone()).await.len(), 2, "a higher count adds");
    job.task_groups[0].count = 1;
    assert_eq!(submit(&agent, job).await, Vec::<String>::new(), "a lower count removes");
    eventually("two are left", || world.fake.running().len() == 2).await;
}

#[tokio::test]
async fn an_update_hands_its_static_port_over() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    let fixed = Port { label: "db".into(), value: 5432, ..Port::default() };
    job.task_groups[0].networks[0].reserved_ports.push(fixed);
    let ids = submit(&agent, job.clone()).await;
    until_running(&agent, &ids[0]).await;
    job.task_groups[0].tasks[0].env.insert("A".into(), "b".into());
    let made = submit(&agent, job.clone()).await;
    let alloc = until_running(&agent, &made[0]).await;
    assert!(alloc.ports.iter().any(|port| port.host_port == 5432));
    assert!(agent.allocation(&ids[0]).unwrap().finished);
    let mut thief = job.clone();
    thief.id = "thief".into();
    let refused = agent.submit(thief, SubmitOptions::default()).await.unwrap_err();
    assert!(matches!(&refused, SubmitError::Unplaceable(found) if found[0].message.contains("5432")), "{refused}");
    assert!(agent.job("thief").is_none());
    assert_eq!(world.fake.running().len(), 1);
}

#[tokio::test]
async fn wrong_jobs_are_refused_whole() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    job.task_groups[0].networks[0].mode = "none".into();
    job.task_groups[0].tasks[0].config = json!({ "imge": "web:1" });
    job.task_groups[0].tasks.push(Task { driver: "dokcer".into(), ..task("other") });
    job.task_groups[0].tasks.push(task("alloc"));
    let refused = agent.submit(job, SubmitOptions::default()).await.unwrap_err().to_string();
    for expected in [
        "/TaskGroups/0/Networks/0/Mode: task web does not support \"none\" networking mode",
        "/TaskGroups/0/Tasks/0/Config: the key \"image\" is missing",
        "/TaskGroups/0/Tasks/0/Config/imge: unknown key \"imge\"; did you mean \"image\"?",
        "/TaskGroups/0/Tasks/1/Driver: unknown driver \"dokcer\"; did you mean \"docker\"?",
        "/TaskGroups/0/Tasks/2/Name: \"alloc\" cannot name a task",
    ] {
        assert!(refused.contains(expected), "{expected}\nis not in\n{refused}");
    }
    assert_eq!(world.fake.calls(), ["networks.reconcile"], "nothing was touched");
}

#[tokio::test]
async fn enforced_indexes() {
    let world = World::new();
    let agent = world.agent().await;
    let with = |index| SubmitOptions { enforce_index: Some(index), ..SubmitOptions::default() };
    let missing = agent.submit(web(), with(7)).await.unwrap_err().to_string();
    assert_eq!(missing, "Enforcing job modify index 7: job does not exist");
    let first = agent.submit(web(), with(0)).await.unwrap();
    let exists = agent.submit(web(), with(0)).await.unwrap_err().to_string();
    assert_eq!(exists, "Enforcing job modify index 0: job already exists");
    let wrong = agent.submit(web(), with(1)).await.unwrap_err().to_string();
    let index = first.job_modify_index;
    assert_eq!(wrong, format!("Enforcing job modify index 1: job exists with conflicting job modify index: {index}"));
    agent.submit(web(), with(index)).await.unwrap();
}

#[tokio::test]
async fn tasks_are_restarted_signalled_and_entered() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    eventually("it can be reached", || agent.allocation(&ids[0]).is_some()).await;
    agent.signal_allocation(&ids[0], None, "SIGHUP").await.unwrap();
    let exec = ExecRequest { command: vec!["echo".into()], ..ExecRequest::default() };
    let mut session = agent.exec(&ids[0], "web", exec).await.unwrap();
    assert!(session.output.next().await.unwrap().is_some());
    assert!(agent.exec(&ids[0], "web", ExecRequest::default()).await.is_err(), "no command");
    assert_eq!(agent.usage(&ids[0]).await.unwrap()["web"].memory_bytes, 1024.0);
    agent.restart_allocation(&ids[0], Some("web")).unwrap();
    let alloc = until(&agent, &ids[0], |alloc| {
        alloc.tasks["web"].restarts == 1 && alloc.tasks["web"].phase == TaskPhase::Running
    })
    .await;
    let seen = kinds(&alloc.tasks["web"]);
    assert!(seen.contains(&"Signaling") && seen.contains(&"Restart Signaled"), "{seen:?}");
    assert_eq!(world.fake.present().len(), 1);
}

#[tokio::test]
async fn a_stopped_allocation_is_replaced_and_old_ones_are_forgotten() {
    let world = World::new();
    let agent = world.agent().await;
    let mut id = submit(&agent, web()).await.remove(0);
    for _ in 0..6 {
        until_running(&agent, &id).await;
        agent.stop_allocation(&id).await.unwrap();
        until_finished(&agent, &id).await;
        id = agent.allocations_of("web").into_iter().find(|alloc| !alloc.finished).unwrap().id.0.clone();
    }
    until_running(&agent, &id).await;
    eventually("three ended ones are kept", || agent.allocations_of("web").len() == 4).await;
    eventually("directories go with them", || world.alloc_dirs() == 4).await;
    assert_eq!(world.fake.running().len(), 1);
}
