//! The agent dies at every step, and the next one puts everything right.

use std::{future::Future, time::Duration};

use longshore_core::workload::ExitStatus;
use longshore_fake::Effect;
use tokio::{runtime::Runtime, sync::oneshot};

use super::{
    spares,
    world::{World, bridged, eventually, kinds, submit, until, until_finished, until_running, web},
};
use crate::{Agent, AgentStore, SubmitOptions, TaskPhase, store::Crash};

/// More than any scenario here has journal writes.
const MOST_STEPS: usize = 40;

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs `scenario` on an agent that dies after so many journal writes; answers whether it died before the end.
fn die_after<F>(world: &World, after: usize, written: bool, prepare: bool, scenario: impl FnOnce(Agent) -> F) -> bool
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = runtime();
    let died = runtime.block_on(async {
        let store = world.store();
        let (happened, crash) = oneshot::channel();
        let agent = world.agent_on(store.clone()).await;
        if prepare {
            let ids = submit(&agent, web()).await;
            until_running(&agent, &ids[0]).await;
        }
        plan(&store, after, written, happened);
        drop(store);
        tokio::select! {
            crashed = crash => crashed.is_ok(),
            result = tokio::spawn(scenario(agent)) => {
                result.unwrap();
                false
            }
        }
    });
    // Everything stops where it is: no destructor of a task gets to await anything.
    runtime.shutdown_timeout(Duration::from_secs(10));
    died
}

pub(super) fn plan(store: &AgentStore, after: usize, written: bool, happened: oneshot::Sender<()>) {
    store.journal.plan_crash(Crash { after, written, happened: Some(happened) });
}

/// A new agent must end up with exactly one running task, and leave nothing when the job is purged.
fn put_right(world: &World, what: &str) {
    runtime().block_on(async {
        let agent = world.agent().await;
        if agent.job("web").is_none() {
            submit(&agent, web()).await;
        }
        let open: Vec<_> = agent.allocations("").into_iter().filter(|alloc| !alloc.finished).collect();
        assert_eq!(open.len(), 1, "{what}: one allocation is to run");
        until_running(&agent, &open[0].id.0).await;
        eventually(what, || world.fake.running().len() == 1 && world.fake.present().len() == 1).await;
        clean_up(world, agent, what).await;
    });
}

async fn clean_up(world: &World, agent: Agent, what: &str) {
    agent.drain().await.unwrap();
    eventually(what, || agent.jobs("").is_empty()).await;
    assert_eq!(world.fake.present(), Vec::<String>::new(), "{what}: nothing may be left");
    assert_eq!(world.alloc_dirs(), 0, "{what}: no directory may be left");
    agent.shutdown().await;
}

#[test]
fn while_a_job_starts() {
    for written in [false, true] {
        let mut steps = 0;
        for after in 0..MOST_STEPS {
            let world = World::new();
            let died = die_after(&world, after, written, false, |agent| async move {
                let ids = submit(&agent, web()).await;
                until_running(&agent, &ids[0]).await;
                // Running is shown before it is journalled: the end is when it is.
                let _ = agent.shared_for_tests().board.journal().write(Vec::new()).durable().await;
            });
            if !died {
                break;
            }
            steps += 1;
            put_right(&world, &format!("start, after {after}, written {written}"));
        }
        assert!((2..MOST_STEPS).contains(&steps), "{steps} steps were tried");
    }
}

#[test]
fn while_a_task_is_restarted() {
    for written in [false, true] {
        let mut steps = 0;
        for after in 0..MOST_STEPS {
            let world = World::new();
            let fake = world.fake.clone();
            let died = die_after(&world, after, written, true, |agent| async move {
                let status = ExitStatus { exit_code: 1, ..ExitStatus::default() };
                fake.finish(&fake.running()[0], status).unwrap();
                let id = agent.allocations("")[0].id.0.clone();
                until(&agent, &id, |alloc| {
                    alloc.tasks["web"].restarts > 0 && alloc.tasks["web"].phase == TaskPhase::Running
                })
                .await;
            });
            if !died {
                break;
            }
            steps += 1;
            put_right(&world, &format!("restart, after {after}, written {written}"));
        }
        assert!((2..MOST_STEPS).contains(&steps), "{steps} steps were tried");
    }
}

#[test]
fn while_a_job_stops() {
    for written in [false, true] {
        let mut steps = 0;
        for after in 0..MOST_STEPS {
            let world = World::new();
            let died = die_after(&world, after, written, true, |agent| async move {
                agent.stop_job("web", true).await.unwrap();
                agent.wait_finished(|_| true).await;
            });
            if !died {
                break;
            }
            steps += 1;
            let what = format!("stop, after {after}, written {written}");
            runtime().block_on(async {
                let agent = world.agent().await;
                clean_up(&world, agent, &what).await;
            });
        }
        assert!((2..MOST_STEPS).contains(&steps), "{steps} steps were tried");
    }
}

#[test]
fn while_namespaces_are_made_in_advance_and_taken() {
    for written in [false, true] {
        let mut steps = 0;
        for after in 0..MOST_STEPS {
            let mut world = World::with_holders();
            let fake = world.fake.clone();
            let died = die_after(&world, after, written, false, |agent| async move {
                let ids = submit(&agent, bridged()).await;
                until_running(&agent, &ids[0]).await;
                spares::are_there(&fake, 1, 2).await;
                let more = submit(&agent, spares::named("more")).await;
                until_running(&agent, &more[0]).await;
                spares::are_there(&fake, 2, 2).await;
            });
            if !died {
                break;
            }
            steps += 1;
            let what = format!("spares, after {after}, written {written}");
            world.spares = 0;
            runtime().block_on(async {
                let agent = world.agent().await;
                let allocations = agent.allocations("").len();
                spares::are_there(&world.fake, allocations, 0).await;
                eventually(&what, || world.alloc_dirs() == allocations).await;
                clean_up(&world, agent, &what).await;
                assert!(spares::journalled(&world).is_empty(), "{what}");
            });
        }
        assert!((2..MOST_STEPS).contains(&steps), "{steps} steps were tried");
    }
}

/// The agent dies in the middle of a call to the engine.
#[test]
fn inside_every_call_to_the_machine() {
    for operation in
        ["containers.create", "containers.start", "containers.wait", "containers.follow_output", "ports.yield_to_task"]
    {
        let world = World::new();
        world.fake.on(operation, 1, Effect::Hang);
        let runtime = runtime();
        runtime.block_on(async {
            let agent = world.agent().await;
            submit(&agent, web()).await;
            eventually(operation, || world.fake.calls().iter().any(|call| call == operation)).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(10));
        put_right(&world, operation);
    }
}

#[tokio::test]
async fn a_running_task_is_found_again_untouched() {
    let world = World::new();
    let agent = world.agent().await;
    let ids = submit(&agent, web()).await;
    let before = until_running(&agent, &ids[0]).await;
    eventually("it is watched", || world.waits() == 1).await;
    let index = agent.index();
    let containers = world.fake.running();
    agent.shutdown().await;
    assert_eq!(world.fake.running(), containers, "tasks outlive their agent");
    let agent = world.agent().await;
    assert!(agent.index() > index);
    let after = until_running(&agent, &ids[0]).await;
    eventually("it is watched again", || world.waits() == 2).await;
    assert_eq!(world.fake.running(), containers);
    assert_eq!(after.tasks["web"].started_at, before.tasks["web"].started_at);
    assert_eq!(after.ports, before.ports);
    world.fake.finish(&containers[0], ExitStatus::default()).unwrap();
    until(&agent, &ids[0], |alloc| alloc.tasks["web"].restarts == 1).await;
}

#[tokio::test]
async fn what_died_unwatched_is_restarted_by_its_policy() {
    let world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    job.task_groups[0].tasks[0].restart_policy.attempts = 0;
    let ids = submit(&agent, job).await;
    until_running(&agent, &ids[0]).await;
    agent.shutdown().await;
    world.fake.vanish(&world.fake.present()[0]).unwrap();
    let agent = world.agent().await;
    let alloc = until_finished(&agent, &ids[0]).await;
    assert!(alloc.tasks["web"].failed);
    assert_eq!(alloc.tasks["web"].events.last().unwrap().message, "Policy allows no restarts");
}

#[tokio::test]
async fn after_a_reboot_everything_runs_again() {
    let mut world = World::new();
    let agent = world.agent().await;
    let mut job = web();
    job.task_groups[0].tasks[0].restart_policy.attempts = 0;
    let ids = submit(&agent, job).await;
    until_running(&agent, &ids[0]).await;
    agent.shutdown().await;
    world.reboot();
    let agent = world.agent().await;
    let alloc = until(&agent, &ids[0], |alloc| {
        alloc.tasks["web"].restarts == 1 && alloc.tasks["web"].phase == TaskPhase::Running
    })
    .await;
    assert!(kinds(&alloc.tasks["web"]).contains(&"Restart Signaled"));
    assert_eq!(world.fake.running().len(), 1);
}

#[tokio::test]
async fn forgotten_directories_are_swept() {
    let world = World::new();
    std::fs::create_dir_all(world.data().join("allocs/gone/alloc/logs")).unwrap();
    let agent = world.agent().await;
    eventually("it is swept", || world.alloc_dirs() == 0).await;
    agent.submit(web(), SubmitOptions::default()).await.unwrap();
    eventually("a live one stays", || world.alloc_dirs() == 1).await;
}
