//! Jobs submitted again: what goes on, what is replaced, what is forgotten.

use std::time::Duration;

use longshore_core::workload::ExitStatus;
use longshore_job::model::{Constraint, Job, Lifecycle, LifecycleHook, Logs, Port, RestartPolicy, Service};
use serde_json::json;

use super::world::{World, eventually, submit, until, until_finished, until_running, web};
use crate::{ClientStatus, Desired, GroupUpdates, TaskPhase, jobs};

type Edit = fn(&mut Job);

/// What Nomad changes while tasks run.
const IN_PLACE: &[(&str, Edit)] = &[
    ("priority", |job| job.priority = 70),
    ("datacenters", |job| job.datacenters = vec!["dc*".into()]),
    ("constraints", |job| job.task_groups[0].constraints.push(Constraint::default())),
    ("services", |job| job.task_groups[0].services.push(Service::default())),
    ("shutdown_delay of the group", |job| job.task_groups[0].shutdown_delay = Duration::from_secs(1)),
    ("restart of the group", |job| job.task_groups[0].restart_policy.attempts = 9),
    ("restart", |job| job.task_groups[0].tasks[0].restart_policy.attempts = 9),
    ("kill_timeout", |job| job.task_groups[0].tasks[0].kill_timeout = Duration::from_secs(1)),
    ("kill_signal", |job| job.task_groups[0].tasks[0].kill_signal = "SIGINT".into()),
    ("leader", |job| job.task_groups[0].tasks[0].leader = true),
    ("max_files", |job| job.task_groups[0].tasks[0].logs.max_files = 2),
];

/// What tasks were started with.
const REPLACING: &[(&str, Edit)] = &[
    ("name", |job| job.name = "other".into()),
    ("meta of the job", |job| drop(job.meta.insert("a".into(), "b".into()))),
    ("meta of the group", |job| drop(job.task_groups[0].meta.insert("a".into(), "b".into()))),
    ("meta of the task", |job| drop(job.task_groups[0].tasks[0].meta.insert("a".into(), "b".into()))),
    ("env", |job| drop(job.task_groups[0].tasks[0].env.insert("a".into(), "b".into()))),
    ("a port", |job| job.task_groups[0].networks[0].dynamic_ports.push(Port { label: "x".into(), ..Port::default() })),
    ("to", |job| job.task_groups[0].networks[0].dynamic_ports[0].to = 81),
    ("ephemeral_disk", |job| job.task_groups[0].ephemeral_disk.size_mb = 400),
    ("config", |job| job.task_groups[0].tasks[0].config = json!({ "image": "web:1", "port": 1 })),
    ("user", |job| job.task_groups[0].tasks[0].user = "nobody".into()),
    ("memory", |job| job.task_groups[0].tasks[0].resources.memory_mb = 64),
    ("lifecycle", |job| {
        let main = job.task_groups[0].tasks[0].clone();
        let hook = Lifecycle { hook: LifecycleHook::Poststop, sidecar: false };
        job.task_groups[0].tasks[0].lifecycle = Some(hook);
        job.task_groups[0].tasks.push(longshore_job::model::Task { name: "main".into(), ..main });
    }),
    ("logs disabled", |job| job.task_groups[0].tasks[0].logs = Logs { disabled: true, ..Logs::default() }),
    ("render_templates", |job| job.task_groups[0].tasks[0].restart_policy.render_templates = true),
];

#[test]
fn what_tasks_were_not_started_with_changes_in_place() {
    for (edits, expected) in [(IN_PLACE, true), (REPLACING, false)] {
        for (name, edit) in edits {
            let (old, mut new) = (web(), web());
            edit(&mut new);
            assert_ne!(old, new, "{name}");
            let fits = jobs::fits_in_place((&old, &old.task_groups[0]), (&new, &new.task_groups[0]));
            assert_eq!(fits, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_plan_says_what_submitting_then_does() {
    let in_place = GroupUpdates { in_place_update: 1, ..GroupUpdates::default() };
    let replaced = GroupUpdates { destructive_update: 1, ..GroupUpdates::default() };
    let ignored = GroupUpdates { ignore: 1, ..GroupUpdates::default() };
    let more = GroupUpdates { in_place_update: 1, place: 1, ..GroupUpdates::default() };
    let table: &[(Edit, GroupUpdates)] = &[
        (|_| {}, ignored),
        (|job| job.priority = 70, in_place),
        (|job| job.task_groups[0].count = 2, more),
        (|job| drop(job.meta.insert("a".into(), "b".into())), replaced),
    ];
    for (edit, expected) in table {
        let world = World::new();
        let agent = world.agent().await;
        let before = submit(&agent, web()).await;
        until_running(&agent, &before[0]).await;
        let mut job = web();
        edit(&mut job);
        assert_eq!(agent.plan(job.clone()).await.unwrap().groups["g"], *expected);
        let made = submit(&agent, job).await;
        assert_eq!(made.len() as u64, expected.place + expected.destructive_update);
        let alloc = agent.allocation(&before[0]).unwrap();
        assert_eq!(alloc.desired == Desired::Stop, expected.destructive_update == 1);
        assert_eq!(alloc.job.version, expected.in_place_update);
    }
}

#[tokio::test]
async fn a_task_that_goes_on_follows_the_new_version() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    let container = world.fake.running();
    let mut job = web();
    job.task_groups[0].tasks[0].restart_policy = RestartPolicy { attempts: 0, ..RestartPolicy::default() };
    assert_eq!(submit(&agent, job).await, Vec::<String>::new());
    assert_eq!(world.fake.running(), container, "it goes on");
    agent.shutdown().await;
    let agent = world.agent().await;
    let alloc = until_running(&agent, &ids[0]).await;
    assert_eq!(alloc.job.version, 1, "the journal knows the version it goes on in");
    assert_eq!(world.fake.running(), container);
    world.fake.finish(&container[0], ExitStatus { exit_code: 1, ..ExitStatus::default() }).unwrap();
    let alloc = until_finished(&agent, &ids[0]).await;
    assert_eq!((alloc.status, alloc.tasks["web"].restarts), (ClientStatus::Failed, 0));
}

#[tokio::test]
async fn a_runner_follows_without_being_started_anew() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    let mut job = web();
    job.task_groups[0].tasks[0].restart_policy.attempts = 0;
    submit(&agent, job).await;
    world.fake.finish(&world.fake.running()[0], ExitStatus { exit_code: 1, ..ExitStatus::default() }).unwrap();
    let alloc = until(&agent, &ids[0], |alloc| alloc.tasks["web"].phase == TaskPhase::Dead).await;
    assert!(alloc.tasks["web"].failed);
}

#[tokio::test]
async fn a_job_submitted_while_its_forerunner_is_forgotten_stays() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    until_running(&agent, &ids[0]).await;
    // To remove them takes far longer than to submit a job.
    let folder = world.data().join(format!("allocs/{}/alloc/data", ids[0]));
    for number in 0..20_000 {
        std::fs::write(folder.join(number.to_string()), "").unwrap();
    }
    agent.stop_job("web", true).await.unwrap();
    until_finished(&agent, &ids[0]).await;
    let made = submit(&agent, web()).await;
    eventually("the first one is forgotten", || agent.allocation(&ids[0]).is_none()).await;
    assert!(!agent.job("web").unwrap().job.stop);
    until_running(&agent, &made[0]).await;
    agent.shutdown().await;
    let agent = world.agent().await;
    assert!(agent.job("web").is_some());
    until_running(&agent, &made[0]).await;
    agent.stop_job("web", true).await.unwrap();
    eventually("a second time it is forgotten, too", || agent.job("web").is_none()).await;
}
