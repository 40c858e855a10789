//! Ports that drivers add to those of the job file outlive the agent, and end with their allocation.

use std::{path::PathBuf, time::Duration};

use longshore_core::{
    added_port::{AddedPorts, MOST},
    caller::{AllocId, Caller, DriverName, TaskId, TaskScope},
    error::HostError,
    network::Networks,
    port::{PortRequest, Ports},
    workload::ExitStatus,
};
use longshore_fake::Effect;
use longshore_job::model::{Lifecycle, LifecycleHook, Task};
use tokio::sync::oneshot;

use super::{
    crashes::{plan, runtime},
    lives::finish_task,
    world::{World, bridged, eventually, submit, task, until, until_finished, until_running},
};
use crate::{Agent, AgentStore, Allocation, PortState, TaskPhase};

/// What a driver does, as the contract's functions do it.
struct Driver {
    caller: Caller,
    added: std::sync::Arc<dyn AddedPorts>,
    ports: std::sync::Arc<dyn Ports>,
    networks: std::sync::Arc<dyn Networks>,
}

impl Driver {
    fn of(world: &World, store: &AgentStore, alloc: &Allocation, task: &str) -> Self {
        let backends = world.fake.backends();
        let scope = TaskScope {
            id: TaskId { alloc: AllocId(alloc.id.0.clone()), task: task.into() },
            dirs: alloc.task_dirs["web"].clone(),
            ports: alloc.ports.clone(),
            logs: Default::default(),
            network_namespace: Some(PathBuf::from("/fake")),
        };
        Self {
            caller: Caller { driver: DriverName("docker".into()), task: Some(scope) },
            added: store.added_ports(),
            ports: backends.ports.unwrap(),
            networks: backends.networks.unwrap(),
        }
    }

    async fn reserve(&self, label: &str) -> Result<u16, HostError> {
        let request = PortRequest { label: label.into(), ..PortRequest::default() };
        self.added.reserve(&*self.ports, &self.caller, &request).await.map(|port| port.host_port)
    }

    async fn map(&self, label: &str, to: u16) -> Result<(), HostError> {
        self.added.map(Some(&*self.ports), &*self.networks, &self.caller, label, "10.99.0.2", to).await
    }

    async fn unmap(&self, label: &str) -> Result<(), HostError> {
        self.added.unmap(Some(&*self.ports), &*self.networks, &self.caller, label).await
    }

    async fn release(&self, label: &str) -> Result<(), HostError> {
        self.added.release(&*self.ports, Some(&*self.networks), &self.caller, label).await
    }
}

/// An agent with a running job, and a driver of its.
async fn begin(world: &World) -> (Agent, AgentStore, Driver, String) {
    let store = world.store();
    let agent = world.agent_on(store.clone()).await;
    let id = submit(&agent, bridged()).await.remove(0);
    let alloc = until_running(&agent, &id).await;
    let driver = Driver::of(world, &store, &alloc, "web");
    (agent, store, driver, id)
}

fn led(label: &str, to: u16) -> (String, u16) {
    (label.into(), to)
}

#[tokio::test]
async fn the_next_agent_holds_and_maps_them_again() {
    let world = World::new();
    let (agent, store, driver, id) = begin(&world).await;
    let number = driver.reserve("admin").await.unwrap();
    assert_eq!(driver.reserve("admin").await, Ok(number), "idempotent by label");
    driver.reserve("spare").await.unwrap();
    driver.map("admin", 9000).await.unwrap();
    assert_eq!(world.fake.held_ports(), ["http", "admin", "spare"]);
    agent.shutdown().await;
    drop((store, driver));

    let agent = world.agent().await;
    let alloc = until_running(&agent, &id).await;
    assert_eq!(world.fake.held_ports(), ["http", "admin", "spare"]);
    assert_eq!(world.fake.added_ports(), [led("admin", 9000)]);
    assert_eq!((alloc.ports.len(), alloc.added_ports.len()), (1, 2), "the job file's stay apart");
    let shown = agent.host_ports().await.unwrap();
    let states: Vec<_> = shown.iter().map(|port| (port.port.label.as_str(), &port.state)).collect();
    let mapped = |number: u16| PortState::Mapped(format!("10.99.0.2:{number}"));
    assert_eq!(states, [("http", &mapped(80)), ("admin", &mapped(9000)), ("spare", &PortState::Held)]);

    agent.stop_job("web", false).await.unwrap();
    until_finished(&agent, &id).await;
    assert_eq!((world.fake.held_ports().len(), world.fake.added_ports().len()), (0, 0), "they end with the allocation");
}

#[tokio::test]
async fn what_a_driver_may_not_is_refused_and_changes_nothing() {
    let world = World::new();
    let (agent, _store, driver, id) = begin(&world).await;
    driver.reserve("admin").await.unwrap();
    driver.map("admin", 9000).await.unwrap();
    for refused in [driver.release("http").await, driver.map("http", 81).await] {
        assert!(matches!(refused, Err(HostError::Denied(_))), "{refused:?}");
    }
    let failure = HostError::Denied("not your address".into());
    world.fake.on("networks.map_port", 1, Effect::Fail(failure.clone()));
    assert_eq!(driver.map("admin", 9001).await, Err(failure));
    let added = || agent.allocation(&id).unwrap().added_ports.clone();
    assert_eq!(added()[0].mapped_to, Some(9000), "it leads where it led");
    for _ in 0..2 {
        driver.unmap("admin").await.unwrap();
        assert_eq!((added()[0].mapped_to, world.fake.added_ports()), (None, vec![]));
    }
    driver.map("admin", 9000).await.unwrap();
    for _ in 0..2 {
        driver.release("admin").await.unwrap();
        assert_eq!((added(), world.fake.added_ports()), (vec![], vec![]), "the map goes with the port");
        assert_eq!(world.fake.held_ports(), ["http"]);
    }
    for number in 0..MOST {
        driver.reserve(&format!("p{number}")).await.unwrap();
    }
    let one_more = driver.reserve("more").await;
    assert!(matches!(one_more, Err(HostError::Limit(_))), "{one_more:?}");
    assert_eq!(world.fake.held_ports().len(), 1 + MOST);
}

/// Not when it starts anew, and not while another has asked for the same.
#[tokio::test]
async fn they_end_with_the_task_that_asked_for_them() {
    let world = World::new();
    let store = world.store();
    let agent = world.agent_on(store.clone()).await;
    let mut job = bridged();
    let lifecycle = Lifecycle { hook: LifecycleHook::Prestart, sidecar: false };
    job.task_groups[0].tasks.insert(0, Task { lifecycle: Some(lifecycle), ..task("init") });
    let id = submit(&agent, job).await.remove(0);
    let runs = |alloc: &Allocation, task: &str| alloc.tasks[task].phase == TaskPhase::Running;
    let alloc = until(&agent, &id, |alloc| runs(alloc, "init")).await;
    let [init, web] = ["init", "web"].map(|task| Driver::of(&world, &store, &alloc, task));
    for (driver, label) in [(&init, "own"), (&init, "common"), (&web, "common"), (&web, "webs")] {
        driver.reserve(label).await.unwrap();
    }
    init.map("own", 9000).await.unwrap();

    let failed = ExitStatus { exit_code: 1, ..ExitStatus::default() };
    finish_task(&world, &agent, &id, "init", failed).await;
    until(&agent, &id, |alloc| alloc.tasks["init"].restarts == 1 && runs(alloc, "init")).await;
    assert_eq!(world.fake.held_ports(), ["http", "own", "common", "webs"]);
    assert_eq!(world.fake.added_ports(), [led("own", 9000)]);

    finish_task(&world, &agent, &id, "init", ExitStatus::default()).await;
    until(&agent, &id, |alloc| runs(alloc, "web")).await;
    eventually("its ports are given back", || world.fake.held_ports() == ["http", "common", "webs"]).await;
    assert_eq!(world.fake.added_ports(), []);
    agent.shutdown().await;
    drop((store, init, web));
    let agent = world.agent().await;
    until(&agent, &id, |alloc| runs(alloc, "web")).await;
    assert_eq!(world.fake.held_ports(), ["http", "common", "webs"], "the next agent knows that");
    agent.stop_job("web", false).await.unwrap();
    until_finished(&agent, &id).await;
    assert_eq!(world.fake.held_ports(), Vec::<String>::new());
}

/// The agent dies at every write of it: the next one has what the driver was told, and nothing that nobody knows.
#[test]
fn the_agent_dies_while_ports_are_added() {
    for written in [false, true] {
        let mut steps = 0;
        for after in 0..20 {
            let world = World::new();
            let runtime = runtime();
            let (died, told, id) = runtime.block_on(async {
                let (_agent, store, driver, id) = begin(&world).await;
                let (happened, crash) = oneshot::channel();
                plan(&store, after, written, happened);
                let told = std::sync::Mutex::new((Vec::new(), None));
                let work = async {
                    for label in ["admin", "spare", "brief"] {
                        driver.reserve(label).await.unwrap();
                        told.lock().unwrap().0.push(label);
                    }
                    driver.map("admin", 9000).await.unwrap();
                    told.lock().unwrap().1 = Some(9000);
                    driver.release("brief").await.unwrap();
                };
                let died = tokio::select! {
                    crashed = crash => crashed.is_ok(),
                    () = work => false,
                };
                (died, told.into_inner().unwrap(), id)
            });
            runtime.shutdown_timeout(Duration::from_secs(10));
            if !died {
                break;
            }
            steps += 1;
            super::crashes::runtime().block_on(async {
                let what = format!("after {after}, written {written}");
                let agent = world.agent().await;
                let alloc = until_running(&agent, &id).await;
                let known: Vec<_> = alloc.added_ports.iter().map(|added| added.port.label.clone()).collect();
                let (told, led_to) = &told;
                let missing = told.iter().filter(|label| **label != "brief" && !known.contains(&(**label).to_owned()));
                assert_eq!(missing.count(), 0, "{what}: {known:?}");
                let mut held = vec!["http".to_owned()];
                held.extend(known);
                assert_eq!(world.fake.held_ports(), held, "{what}");
                let mapped =
                    alloc.added_ports.iter().filter_map(|added| Some((added.port.label.clone(), added.mapped_to?)));
                assert_eq!(world.fake.added_ports(), mapped.collect::<Vec<_>>(), "{what}");
                assert!(led_to.is_none() || world.fake.added_ports() == [led("admin", 9000)], "{what}");
                agent.drain().await.unwrap();
                eventually(&what, || world.fake.held_ports().is_empty() && world.fake.added_ports().is_empty()).await;
            });
        }
        assert!((4..20).contains(&steps), "{steps} steps were tried");
    }
}
