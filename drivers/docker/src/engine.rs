//! The engine as the driver sees it: a trait, so that the order of calls can be tested without one.

use longshore_sdk::{
    Error, config, env,
    host::{
        containers::{self, Container, ContainerSpec},
        images::{self, PullOptions},
    },
};

use crate::settings::Settings;

/// What starting and removing a task needs of the host.
#[allow(missing_docs, reason = "each is the host's function of the same name, or a part of its answer")]
pub trait Engine {
    fn image_id(&self, reference: &str) -> Result<Option<String>, Error>;
    fn pull(&self, reference: &str, options: &PullOptions) -> Result<(), Error>;
    fn load(&self, path: &str) -> Result<(), Error>;
    fn release(&self, reference: &str) -> Result<(), Error>;
    fn create(&self, spec: &ContainerSpec) -> Result<String, Error>;
    fn start(&self, id: &str) -> Result<(), Error>;
    fn inspect(&self, id: &str) -> Result<Container, Error>;
    fn remove(&self, id: &str) -> Result<(), Error>;
    fn list_own(&self) -> Result<Vec<Container>, Error>;
    fn cpus(&self) -> Result<u32, Error>;
    fn settings(&self) -> Result<Settings, Error>;
}

/// The host.
pub struct Host;

impl Engine for Host {
    fn image_id(&self, reference: &str) -> Result<Option<String>, Error> {
        Ok(images::find(reference)?.map(|image| image.id))
    }
    fn pull(&self, reference: &str, options: &PullOptions) -> Result<(), Error> {
        images::pull(reference, options).map(|_| ())
    }
    fn load(&self, path: &str) -> Result<(), Error> {
        images::load_archive(path).map(|_| ())
    }
    fn release(&self, reference: &str) -> Result<(), Error> {
        images::release(reference)
    }
    fn create(&self, spec: &ContainerSpec) -> Result<String, Error> {
        containers::create(spec)
    }
    fn start(&self, id: &str) -> Result<(), Error> {
        containers::start(id)
    }
    fn inspect(&self, id: &str) -> Result<Container, Error> {
        containers::inspect(id)
    }
    fn remove(&self, id: &str) -> Result<(), Error> {
        containers::remove(id)
    }
    fn list_own(&self) -> Result<Vec<Container>, Error> {
        containers::list_own()
    }
    fn cpus(&self) -> Result<u32, Error> {
        let engine = containers::engine()?;
        Ok(env::get(&engine.attributes, "cpus").and_then(|number| number.parse().ok()).unwrap_or(1))
    }
    fn settings(&self) -> Result<Settings, Error> {
        config::settings()
    }
}
