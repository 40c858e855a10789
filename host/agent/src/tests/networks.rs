//! Networks of allocations' own, in memory.

use longshore_core::error::HostError;
use longshore_fake::Effect;

use crate::TaskPhase;

use super::world::{World, bridged, eventually, submit, until, until_finished, until_running};

fn count(world: &World, call: &str) -> usize {
    world.fake.calls().iter().filter(|made| *made == call).count()
}

#[tokio::test]
async fn a_network_lives_as_long_as_its_allocation() {
    let world = World::new();
    let agent = world.agent().await;
    let id = submit(&agent, bridged()).await.remove(0);
    let alloc = until_running(&agent, &id).await;
    let network = alloc.network.clone().unwrap();
    assert_eq!((network.mode.as_str(), network.interface_name.as_deref()), ("bridge", Some("eth0")));
    assert_eq!(network.ports, alloc.ports);
    assert_eq!(count(&world, "ports.yield_to_task"), 0, "the host's ports stay held");
    let before: Vec<_> = world.fake.calls().into_iter().take_while(|call| call != "containers.start").collect();
    assert!(before.contains(&"networks.create".to_owned()), "made before the first task: {before:?}");

    agent.shutdown().await;
    let agent = world.agent().await;
    let found = until_running(&agent, &id).await;
    assert_eq!(found.network.as_ref(), Some(&network));
    agent.stop_job("web", false).await.unwrap();
    until_finished(&agent, &id).await;
    assert_eq!(count(&world, "networks.destroy"), 1);
}

/// Who stops a job and then the agent, for good: what the tasks' end has begun is brought to an end.
#[tokio::test]
async fn an_agent_ends_after_what_it_is_removing() {
    let world = World::new();
    let agent = world.agent().await;
    let id = submit(&agent, bridged()).await.remove(0);
    until_running(&agent, &id).await;
    world.fake.on("networks.destroy", 1, Effect::Delay(std::time::Duration::from_millis(300)));
    agent.stop_job("web", false).await.unwrap();
    let gone = until(&agent, &id, |alloc| alloc.tasks.values().all(|task| task.phase == TaskPhase::Dead)).await;
    assert!(!gone.finished);
    agent.shutdown().await;
    assert_eq!(world.fake.present(), Vec::<String>::new());
    let calls = world.fake.calls();
    assert_eq!(calls.iter().rev().find(|call| call.starts_with("networks.")).unwrap(), "networks.retire", "{calls:?}");
    let agent = world.agent().await;
    assert!(agent.allocation(&id).unwrap().finished, "the next has nothing left to do");
    assert_eq!(count(&world, "networks.destroy"), 1);

    // Tasks that run keep theirs, and nobody waits for them.
    let id = submit(&agent, bridged()).await.remove(0);
    until_running(&agent, &id).await;
    agent.shutdown().await;
    assert_eq!(count(&world, "networks.destroy"), 1);
}

#[tokio::test]
async fn without_a_network_nothing_starts() {
    let world = World::new();
    let agent = world.agent().await;
    let why = HostError::Limit("all addresses are taken".into());
    world.fake.on("networks.create", 1, Effect::Fail(why.clone()));
    let id = submit(&agent, bridged()).await.remove(0);
    let alloc = until_finished(&agent, &id).await;
    let state = &alloc.tasks["web"];
    assert!(state.failed);
    let told = &state.events.last().unwrap().message;
    assert!(told.contains("failed to create network for alloc: limit reached: all addresses are taken"), "{told}");
    assert_eq!((count(&world, "containers.create"), count(&world, "networks.destroy")), (0, 1));

    world.fake.on("networks.ready", 1, Effect::Fail(why));
    let refused = agent.submit(bridged(), Default::default()).await.unwrap_err().to_string();
    assert!(refused.contains("/TaskGroups/0/Networks/0/Mode: limit reached"), "{refused}");
}

#[tokio::test]
async fn what_is_left_of_a_network_is_tried_again() {
    let world = World::new();
    let agent = world.agent().await;
    let id = submit(&agent, bridged()).await.remove(0);
    until_running(&agent, &id).await;
    world.fake.on("networks.destroy", 1, Effect::Fail(HostError::Other("a plugin failed".into())));
    agent.stop_job("web", false).await.unwrap();
    assert!(until_finished(&agent, &id).await.network_remains, "it is known");
    // The next agent reads it in the journal.
    agent.shutdown().await;
    let agent = world.agent().await;
    let ended = until(&agent, &id, |alloc| !alloc.network_remains).await;
    assert!(ended.finished);
    assert_eq!(count(&world, "networks.destroy"), 2);
}

/// The agent starts before the engine: what could not be taken up again then is looked at before the next start.
#[tokio::test]
async fn a_network_that_was_not_taken_up_is_looked_at_again() {
    let world = World::new();
    let agent = world.agent().await;
    let id = submit(&agent, bridged()).await.remove(0);
    until_running(&agent, &id).await;
    agent.shutdown().await;
    let away = HostError::Unavailable("no engine answers yet".into());
    world.fake.on("networks.create", 1, Effect::Fail(away));
    let made = count(&world, "networks.create");
    let agent = world.agent().await;
    until_running(&agent, &id).await;
    eventually("it is tried", || count(&world, "networks.create") == made + 1).await;
    eventually("it can be reached", || agent.restart_allocation(&id, Some("web")).is_ok()).await;
    eventually("it is looked at again", || count(&world, "networks.create") > made + 1).await;
}
