//! Whose a container is.
//!
//! The labels a container was created with say it, and an engine never gives an id twice, so an answer once
//! read is true for good. It is remembered by full id: a call about a container that was created or seen
//! before costs the engine nothing extra.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use longshore_core::{
    caller::{AllocId, Caller, DriverName, TaskId},
    container::{LABEL_AGENT, LABEL_ALLOC, LABEL_DRIVER, LABEL_TASK},
    error::{HostError, Result},
};

use tokio::sync::OnceCell;

use super::Docker;
use crate::sources::Source;

/// What is remembered of a container of this agent.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) driver: DriverName,
    pub(super) task: TaskId,
    /// Bind sources as they were resolved at creation; empty when another agent process created it.
    pub(super) sources: Vec<Source>,
    /// Whether it has a terminal; none when another agent process created it.
    pub(super) terminal: Option<bool>,
    /// What stays the same while it runs, once asked.
    pub(super) steady: OnceCell<Steady>,
    told_to_end: AtomicBool,
}

/// What the engine says of a running container that stays the same.
#[derive(Debug)]
pub(super) struct Steady {
    /// Its first process, if it runs.
    pub(super) process: Option<i64>,
    /// The image as the container was made of it.
    pub(super) image: String,
    /// `sha256:…`; empty when it is not said.
    pub(super) image_id: String,
}

/// The agent's id and what it knows of its containers, by full id.
pub(super) struct Owners {
    agent: String,
    known: Mutex<HashMap<String, Arc<Owner>>>,
}

impl Owners {
    pub(super) fn new(agent: String) -> Self {
        Self { agent, known: Mutex::default() }
    }

    /// The labels of a task's container.
    pub(super) fn labels(&self, driver: &DriverName, task: &TaskId) -> [(String, String); 4] {
        [
            (LABEL_AGENT.into(), self.agent.clone()),
            (LABEL_DRIVER.into(), driver.0.clone()),
            (LABEL_ALLOC.into(), task.alloc.0.clone()),
            (LABEL_TASK.into(), task.task.clone()),
        ]
    }

    /// The label every container of this agent has.
    pub(super) fn agent_filter(&self) -> String {
        format!("{LABEL_AGENT}={}", self.agent)
    }

    /// Values for the engine's `label` filter: what a caller may see.
    pub(super) fn filter(&self, caller: &Caller) -> Vec<String> {
        let mut labels = vec![self.agent_filter(), format!("{LABEL_DRIVER}={}", caller.driver)];
        if let Some(scope) = &caller.task {
            labels.push(format!("{LABEL_ALLOC}={}", scope.id.alloc));
            labels.push(format!("{LABEL_TASK}={}", scope.id.task));
        }
        labels
    }

    /// Whose a container with these labels is; none if it is not this agent's.
    pub(super) fn read(&self, labels: Option<&HashMap<String, String>>) -> Option<Owner> {
        let label = |name: &str| labels.and_then(|labels| labels.get(name)).cloned();
        (label(LABEL_AGENT)? == self.agent).then_some(())?;
        let task = TaskId { alloc: AllocId(label(LABEL_ALLOC)?), task: label(LABEL_TASK)? };
        Some(Owner::new(DriverName(label(LABEL_DRIVER)?), task))
    }

    pub(super) fn remember(&self, id: &str, owner: Owner) -> Arc<Owner> {
        Arc::clone(self.known().entry(id.to_owned()).or_insert_with(|| Arc::new(owner)))
    }

    pub(super) fn forget(&self, id: &str) {
        self.known().remove(id);
    }

    fn recall(&self, id: &str) -> Option<Arc<Owner>> {
        self.known().get(id).cloned()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Arc<Owner>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    pub(super) fn new(driver: DriverName, task: TaskId) -> Self {
        Self {
            driver,
            task,
            sources: Vec::new(),
            terminal: None,
            steady: OnceCell::new(),
            told_to_end: AtomicBool::new(false),
        }
    }

    /// We make it end: no wonder then that it was killed.
    pub(super) fn tell_to_end(&self) {
        self.told_to_end.store(true, Ordering::Relaxed);
    }

    /// Whether this agent made it end.
    pub(super) fn was_told_to_end(&self) -> bool {
        self.told_to_end.load(Ordering::Relaxed)
    }

    /// Whether a caller may touch it: its driver, and inside a task's operation its task.
    pub(super) fn is(&self, caller: &Caller) -> bool {
        self.driver == caller.driver && caller.task.as_ref().is_none_or(|scope| scope.id == self.task)
    }

    /// Whether a caller may join its network: any task of the same allocation.
    pub(super) fn shares_network_with(&self, caller: &Caller) -> bool {
        self.driver == caller.driver && caller.task.as_ref().is_none_or(|scope| scope.id.alloc == self.task.alloc)
    }
}

impl Docker {
    /// The owner of a container the caller may touch; for any other, and for none, `NotFound` in the same words.
    pub(super) async fn own(&self, caller: &Caller, id: &str) -> Result<Arc<Owner>> {
        let owner = self.owner_of(id).await?;
        owner.filter(|owner| owner.is(caller)).ok_or_else(|| not_found(id))
    }

    /// What stays the same of a running container of that owner's. All who want to know ask once together.
    pub(super) async fn steady<'a>(&self, owner: &'a Owner, id: &str) -> Result<&'a Steady> {
        let ask = || async {
            let seen = self.look(id).await?;
            Ok(Steady {
                process: seen.state.and_then(|state| state.pid).filter(|pid| *pid > 0),
                image: seen.config.and_then(|config| config.image).unwrap_or_default(),
                image_id: seen.image.unwrap_or_default(),
            })
        };
        owner.steady.get_or_try_init(ask).await
    }

    /// Whose a container is; none if there is none, or it is not this agent's.
    pub(super) async fn owner_of(&self, id: &str) -> Result<Option<Arc<Owner>>> {
        if !is_id(id) {
            return Ok(None);
        }
        if let Some(owner) = self.owners.recall(id) {
            return Ok(Some(owner));
        }
        let seen = match self.engine.inspect(id).await {
            Err(HostError::NotFound(_)) => return Ok(None),
            seen => seen?,
        };
        let config = seen.config.unwrap_or_default();
        let owner = self.owners.read(config.labels.as_ref());
        if let (Some(owner), Some(image)) = (&owner, &config.image) {
            self.unused.has(&owner.driver, image);
        }
        // A name or a shortened id may come to mean another container: only the full id is remembered.
        Ok(owner.map(|owner| match seen.id.as_deref() {
            Some(full) if full == id => self.owners.remember(full, owner),
            _ => Arc::new(owner),
        }))
    }
}

/// Ids and names as engines write them. All else never reaches a request's path.
pub(super) fn is_id(id: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    id.len() <= 255 && id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(part)
}

pub(super) fn not_found(id: &str) -> HostError {
    let shown: String = id.chars().take(80).collect();
    HostError::NotFound(format!("no container {shown:?} of this driver and task"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_are_ids() {
        for id in ["3f2a", "web-a1", "a_b.c"] {
            assert!(is_id(id), "{id}");
        }
        let long = "a".repeat(256);
        for id in ["", "../images", "a/b", "a?force=1", "a#b", "-a", ".", "a b", "a%2fb", long.as_str()] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn labels_say_whose_a_container_is() {
        let owners = Owners::new("agent-1".into());
        let driver = DriverName("docker".into());
        let task = TaskId { alloc: AllocId("a".into()), task: "web".into() };
        let labels: HashMap<_, _> = owners.labels(&driver, &task).into_iter().collect();
        assert_eq!(owners.read(Some(&labels)).unwrap().task, task);
        assert!(Owners::new("agent-2".into()).read(Some(&labels)).is_none());
        assert!(owners.read(None).is_none());
        for missing in labels.keys() {
            let some: HashMap<_, _> =
                labels.iter().filter(|(key, _)| *key != missing).map(|(k, v)| (k.clone(), v.clone())).collect();
            assert!(owners.read(Some(&some)).is_none(), "without {missing}");
        }
    }
}
