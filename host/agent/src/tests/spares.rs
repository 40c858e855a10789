//! Namespaces made before there is an allocation for them.

use std::time::Duration;

use longshore_core::{error::HostError, network::Holder, workload::ExitStatus};
use longshore_fake::{Effect, Fake};
use longshore_job::model::Job;

use super::world::{World, bridged, eventually, submit, until_running, web};
use crate::{Agent, Allocation, store::SpareRecord};

/// A job like [`bridged`] with another name.
pub(super) fn named(name: &str) -> Job {
    Job { id: name.into(), name: name.into(), ..bridged() }
}

/// Waits until there are so many allocations of one container and its holder, and so many holders besides.
pub(super) async fn are_there(fake: &Fake, allocations: usize, spares: usize) {
    let wanted = 2 * allocations + spares;
    eventually("all containers that should run do, and no others", || {
        fake.running().len() == wanted && fake.present().len() == wanted
    })
    .await;
}

/// What the journal of a world without an agent says of them.
pub(super) fn journalled(world: &World) -> Vec<SpareRecord> {
    world.store().loaded.lock().unwrap().take().unwrap().spares
}

async fn run(agent: &Agent, job: Job) -> std::sync::Arc<Allocation> {
    let id = submit(agent, job).await.remove(0);
    until_running(agent, &id).await
}

/// Stops all jobs, waits until they are forgotten, and ends the agent: nothing may be left.
async fn end(world: &World, agent: Agent) {
    agent.drain().await.unwrap();
    eventually("the jobs are forgotten", || agent.jobs("").is_empty()).await;
    agent.shutdown().await;
    assert_eq!(world.fake.present(), Vec::<String>::new());
    assert_eq!(world.alloc_dirs(), 0);
    assert_eq!(journalled(world), []);
}

fn holder(alloc: &Allocation) -> String {
    match alloc.network.as_ref().and_then(|network| network.holder.clone()) {
        Some(Holder::Container(id)) => id,
        other => panic!("{other:?} is no container"),
    }
}

#[tokio::test]
async fn an_allocation_takes_what_was_made_for_it() {
    let world = World::with_holders();
    let agent = world.agent().await;
    run(&agent, web()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.fake.present().len(), 1, "an agent without such groups makes none");
    let first = run(&agent, named("first")).await;
    // The task of the job in host mode counts as one.
    are_there(&world.fake, 1, 2 + 1).await;
    assert_eq!(agent.allocations("").len(), 2, "they are nobody's allocations");
    let before = world.fake.present();

    let mut job = named("second");
    job.task_groups[0].count = 2;
    for id in submit(&agent, job).await {
        let alloc = until_running(&agent, &id).await;
        assert!(before.contains(&holder(&alloc)), "{} is new", holder(&alloc));
        assert_ne!(holder(&alloc), holder(&first));
    }
    are_there(&world.fake, 3, 2 + 1).await;
    // Longer than it takes to sweep away what belongs to nobody.
    tokio::time::sleep(Duration::from_millis(300)).await;
    are_there(&world.fake, 3, 2 + 1).await;

    let mut job = named("third");
    job.task_groups[0].networks[0].hostname = "its-own".into();
    let before = world.fake.present();
    let third = run(&agent, job).await;
    assert!(!before.contains(&holder(&third)), "one with a host name of its own is made for it");

    end(&world, agent).await;
}

#[tokio::test]
async fn the_operator_can_turn_them_off() {
    let mut world = World::with_holders();
    world.spares = 0;
    let agent = world.agent().await;
    run(&agent, bridged()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    are_there(&world.fake, 1, 0).await;
    agent.shutdown().await;
    are_there(&world.fake, 1, 0).await;
}

#[tokio::test]
async fn nobody_gets_a_dead_one() {
    type Harm = fn(&Fake, &str);
    let harms: [Harm; 2] = [
        |fake, id| fake.vanish(id).unwrap(),
        |fake, id| fake.finish(id, ExitStatus { exit_code: 137, ..ExitStatus::default() }).unwrap(),
    ];
    for harm in harms {
        let world = World::with_holders();
        let agent = world.agent().await;
        let first = run(&agent, named("first")).await;
        are_there(&world.fake, 1, 2).await;
        // The first two are the first allocation's.
        let spares = world.fake.present().split_off(2);
        assert!(!spares.contains(&holder(&first)));
        spares.iter().for_each(|id| harm(&world.fake, id));
        let second = run(&agent, named("second")).await;
        assert!(!spares.contains(&holder(&second)), "{} was dead", holder(&second));
        assert!(world.fake.running().contains(&holder(&second)));
        end(&world, agent).await;
    }
}

#[tokio::test]
async fn a_submission_that_is_refused_takes_none() {
    let world = World::with_holders();
    let agent = world.agent().await;
    run(&agent, named("first")).await;
    are_there(&world.fake, 1, 2).await;
    let before = world.fake.present();
    for _ in 0..3 {
        world.fake.on("ports.reserve", 1, Effect::Fail(HostError::Limit("no port is left".into())));
        agent.submit(named("second"), Default::default()).await.unwrap_err();
    }
    assert_eq!(world.fake.present(), before);
    let second = run(&agent, named("second")).await;
    assert!(before.contains(&holder(&second)));
}

/// The engine refuses, then refuses to clean up; neither keeps an allocation from running.
#[tokio::test]
async fn one_that_cannot_be_made_leaves_nothing() {
    let world = World::with_holders();
    let agent = world.agent().await;
    // The first start is the holder's, the second the task's, the third that of a container made in advance.
    world.fake.on("containers.start", 3, Effect::Fail(HostError::Other("no shim".into())));
    world.fake.on("containers.remove", 1, Effect::Fail(HostError::Other("busy".into())));
    run(&agent, named("first")).await;
    eventually("it was tried to remove it", || world.fake.calls().contains(&"containers.remove".to_owned())).await;
    run(&agent, named("second")).await;
    // One that never ran may be left until the next round.
    eventually("all that should run do", || world.fake.running().len() == 2 * 2 + 2).await;
    end(&world, agent).await;
}

/// Whatever an agent was about to do when it died, the next removes what it has made in advance.
#[test]
fn those_of_an_agent_that_died_are_removed() {
    let hangs = [None, Some(("containers.create", 3)), Some(("containers.start", 3)), Some(("containers.create", 4))];
    for hang in hangs {
        let mut world = World::with_holders();
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dying = runtime();
        dying.block_on(async {
            let agent = world.agent().await;
            if let Some((operation, nth)) = hang {
                world.fake.on(operation, nth, Effect::Hang);
            }
            run(&agent, bridged()).await;
            match hang {
                None => are_there(&world.fake, 1, 2).await,
                Some((operation, nth)) => {
                    let count = || world.fake.calls().iter().filter(|call| *call == operation).count();
                    eventually(operation, || count() >= nth).await;
                }
            }
        });
        dying.shutdown_timeout(Duration::from_secs(10));
        assert!(!journalled(&world).is_empty(), "{hang:?}: it is known before it is made");
        world.spares = 0;
        runtime().block_on(async {
            let agent = world.agent().await;
            are_there(&world.fake, 1, 0).await;
            end(&world, agent).await;
        });
    }
}
