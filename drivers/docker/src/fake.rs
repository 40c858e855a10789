//! An engine in memory, for tests.

use std::{cell::RefCell, collections::BTreeSet};

use longshore_sdk::{
    Error, RunState, config,
    host::{
        containers::{Container, ContainerSpec},
        images::PullOptions,
    },
};

use crate::{engine::Engine, settings::Settings};

/// An engine that records calls and fails the ones it is told to, once each.
pub struct Fake {
    /// Ids of the images that are there, by reference.
    pub images: &'static [(&'static str, &'static str)],
    pub settings: &'static str,
    pub failures: RefCell<Vec<(&'static str, Error)>>,
    /// Fails the call of this number, from 0.
    pub nth: Option<(usize, Error)>,
    pub calls: RefCell<Vec<String>>,
    pub containers: RefCell<BTreeSet<String>>,
}

impl Fake {
    pub fn failing(failures: &[(&'static str, Error)]) -> Self {
        Self {
            images: &[("redis:7", "sha256:1")],
            settings: "{}",
            failures: RefCell::new(failures.to_vec()),
            nth: None,
            calls: RefCell::default(),
            containers: RefCell::default(),
        }
    }
    fn call(&self, name: &str, argument: &str) -> Result<(), Error> {
        self.calls.borrow_mut().push(format!("{name} {argument}"));
        if let Some((number, error)) = self.nth.as_ref().filter(|(number, _)| number + 1 == self.calls.borrow().len()) {
            return Err(error.clone().context(format!("call {number}")));
        }
        let mut failures = self.failures.borrow_mut();
        match failures.iter().position(|(call, _)| *call == name) {
            Some(position) => Err(failures.remove(position).1),
            None => Ok(()),
        }
    }
    fn container(&self, id: &str) -> Container {
        Container {
            id: id.into(),
            name: "web-a1".into(),
            task_id: "a1/web".into(),
            image: "redis:7".into(),
            state: RunState::Running,
            health: None,
            address: Some("10.1.2.3".into()),
            address_ipv6: Some("fd00::3".into()),
            network_name: Some("back".into()),
            namespace_path: None,
        }
    }
}

impl Engine for Fake {
    fn image_id(&self, reference: &str) -> Result<Option<String>, Error> {
        self.call("find", reference)?;
        let found = self.images.iter().find(|(name, id)| [*name, *id].contains(&reference));
        Ok(found.map(|(_, id)| (*id).to_owned()))
    }
    fn pull(&self, reference: &str, options: &PullOptions) -> Result<(), Error> {
        let anonymous = options.credentials.as_ref().is_some_and(|given| given.username.is_empty());
        self.call("pull", &format!("{reference}{}", if anonymous { " anonymously" } else { "" }))
    }
    fn load(&self, path: &str) -> Result<(), Error> {
        self.call("load", path)
    }
    fn release(&self, reference: &str) -> Result<(), Error> {
        self.call("release", reference)
    }
    fn create(&self, spec: &ContainerSpec) -> Result<String, Error> {
        self.call("create", &format!("{} of {}", spec.name, spec.image))?;
        self.containers.borrow_mut().insert("c1".into());
        Ok("c1".into())
    }
    fn start(&self, id: &str) -> Result<(), Error> {
        self.call("start", id)
    }
    fn inspect(&self, id: &str) -> Result<Container, Error> {
        self.call("inspect", id).map(|()| self.container(id))
    }
    fn remove(&self, id: &str) -> Result<(), Error> {
        self.call("remove", id)?;
        self.containers.borrow_mut().remove(id);
        Ok(())
    }
    fn list_own(&self) -> Result<Vec<Container>, Error> {
        self.call("list", "").map(|()| vec![self.container("c1"), self.container("c2")])
    }
    fn cpus(&self) -> Result<u32, Error> {
        self.call("cpus", "").map(|()| 2)
    }
    fn settings(&self) -> Result<Settings, Error> {
        config::parse("settings", self.settings)
    }
}
