//! A machine in memory with a data directory, on which agents come and go.

use std::{sync::Arc, time::Duration};

use longshore_fake::Fake;
use longshore_job::model::{Job, Network, Port, RestartPolicy, Task, TaskGroup};
use serde_json::json;

use super::driver::{NAME, OnlyDriver, TestDriver};
use crate::{Agent, AgentConfig, AgentStore, Allocation, SubmitOptions, TaskState};

/// How long anything may take before the test has failed.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct World {
    pub(super) fake: Fake,
    pub(super) driver: Arc<TestDriver>,
    pub(super) boot: String,
    /// Namespaces its agents keep ready.
    pub(super) spares: usize,
    data: tempfile::TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_driver(false)
    }

    /// Its driver makes namespaces itself.
    pub(super) fn with_holders() -> Self {
        Self::with_driver(true)
    }

    fn with_driver(network: bool) -> Self {
        let fake = Fake::new();
        fake.add_image("web:1");
        let driver = TestDriver::new(&fake.backends(), network);
        Self { fake, driver, boot: "boot-1".into(), spares: 2, data: tempfile::tempdir().unwrap() }
    }

    pub(super) fn store(&self) -> AgentStore {
        AgentStore::open(self.data.path()).unwrap()
    }

    pub(super) async fn agent(&self) -> Agent {
        self.agent_on(self.store()).await
    }

    pub(super) async fn agent_on(&self, store: AgentStore) -> Agent {
        self.fake.close_sockets();
        let mut backends = self.fake.backends();
        backends.added_ports = store.added_ports();
        backends.state = Some(store.driver_state());
        backends.events = store.event_sink();
        backends.log = store.driver_log();
        let config = AgentConfig {
            boot_id: Some(self.boot.clone()),
            kept_allocations: 3,
            spare_namespaces: self.spares,
            sweep_interval: Duration::from_millis(100),
            host_env: Default::default(),
            ..AgentConfig::new(self.data.path())
        };
        Agent::start(store, config, backends, Arc::new(OnlyDriver(self.driver.clone()))).await.unwrap()
    }

    /// The reboot of the machine: all containers are gone.
    pub(super) fn reboot(&mut self) {
        for id in self.fake.present() {
            self.fake.vanish(&id).unwrap();
        }
        self.boot = "boot-2".into();
    }

    /// How often the end of a container was waited for.
    pub(super) fn waits(&self) -> usize {
        self.fake.calls().iter().filter(|call| *call == "containers.wait").count()
    }

    pub(super) fn alloc_dirs(&self) -> usize {
        std::fs::read_dir(self.data.path().join("allocs")).unwrap().count()
    }

    pub(super) fn data(&self) -> &std::path::Path {
        self.data.path()
    }
}

/// The same as [`web`] in a network of its own.
pub(super) fn bridged() -> Job {
    let mut job = web();
    job.task_groups[0].networks[0].mode = "bridge".into();
    job
}

/// A job of one group "g" with one task "web", restarted at once.
pub(super) fn web() -> Job {
    job(vec![task("web")])
}

pub(super) fn job(tasks: Vec<Task>) -> Job {
    let network =
        Network { dynamic_ports: vec![Port { label: "http".into(), to: 80, ..Port::default() }], ..Network::default() };
    let group = TaskGroup { name: "g".into(), tasks, networks: vec![network], ..TaskGroup::default() };
    Job { id: "web".into(), name: "web".into(), task_groups: vec![group], ..Job::default() }
}

pub(super) fn task(name: &str) -> Task {
    Task {
        name: name.into(),
        driver: NAME.into(),
        config: json!({ "image": "web:1" }),
        restart_policy: RestartPolicy { delay: Duration::from_millis(1), ..RestartPolicy::default() },
        ..Task::default()
    }
}

pub(super) async fn submit(agent: &Agent, job: Job) -> Vec<String> {
    let submitted = agent.submit(job, SubmitOptions::default()).await.unwrap();
    submitted.allocations.into_iter().map(|id| id.0).collect()
}

/// Waits until an allocation is as wanted.
pub(super) async fn until(agent: &Agent, id: &str, wanted: impl Fn(&Allocation) -> bool) -> Arc<Allocation> {
    let mut index = agent.watch();
    let wait = async {
        loop {
            index.borrow_and_update();
            if let Some(alloc) = agent.allocation(id).filter(|alloc| wanted(alloc)) {
                return alloc;
            }
            index.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(LIMIT, wait).await {
        Ok(alloc) => alloc,
        Err(_) => panic!("the allocation stays {:#?}", agent.allocation(id)),
    }
}

pub(super) async fn until_running(agent: &Agent, id: &str) -> Arc<Allocation> {
    until(agent, id, |alloc| alloc.tasks.values().all(|task| task.phase == crate::TaskPhase::Running)).await
}

pub(super) async fn until_finished(agent: &Agent, id: &str) -> Arc<Allocation> {
    until(agent, id, |alloc| alloc.finished).await
}

/// Waits until something outside the agent holds.
pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "{what}");
}

pub(super) fn kinds(state: &TaskState) -> Vec<&str> {
    state.events.iter().map(|event| event.kind.as_str()).collect()
}
