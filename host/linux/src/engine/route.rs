//! Several engines side by side: which one a call is for is decided by the driver that makes it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use longshore_core::{
    caller::{Caller, DriverName},
    container::{Container, ContainerSpec, Containers, EngineInfo, IsKnown},
    error::Result,
    exec::{ExecRequest, ExecStream},
    image::{Image, Images, PullOptions},
    record::EventSink,
    workload::{ExitStatus, OutputChunks, OutputPosition, Usage},
};

use super::docker::Docker;

/// The machine's engine, and those that single drivers have of their own.
pub struct Engines {
    usual: Docker,
    own: BTreeMap<DriverName, Docker>,
}

impl Engines {
    /// One engine for all drivers.
    pub fn new(usual: Docker) -> Self {
        Self { usual, own: BTreeMap::new() }
    }

    /// Gives a driver an engine of its own.
    pub fn insert(&mut self, driver: DriverName, engine: Docker) {
        self.own.insert(driver, engine);
    }

    fn of(&self, caller: &Caller) -> &Docker {
        self.own.get(&caller.driver).unwrap_or(&self.usual)
    }
}

#[async_trait]
impl Containers for Engines {
    async fn engine(&self, caller: &Caller) -> Result<EngineInfo> {
        self.of(caller).engine(caller).await
    }

    async fn create(&self, caller: &Caller, spec: &ContainerSpec) -> Result<String> {
        self.of(caller).create(caller, spec).await
    }

    async fn start(&self, caller: &Caller, id: &str) -> Result<()> {
        self.of(caller).start(caller, id).await
    }

    async fn stop(&self, caller: &Caller, id: &str, signal: Option<&str>, grace_ms: u32) -> Result<()> {
        self.of(caller).stop(caller, id, signal, grace_ms).await
    }

    async fn signal(&self, caller: &Caller, id: &str, name: &str) -> Result<()> {
        self.of(caller).signal(caller, id, name).await
    }

    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        self.of(caller).remove(caller, id).await
    }

    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Container> {
        self.of(caller).inspect(caller, id).await
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Container>> {
        self.of(caller).list(caller).await
    }

    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.of(caller).usage(caller, id).await
    }

    async fn prepare_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String> {
        self.of(caller).prepare_exec(caller, id, request).await
    }

    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        self.of(caller).wait(caller, id).await
    }

    async fn follow_output(&self, caller: &Caller, id: &str, from: OutputPosition) -> Result<OutputChunks> {
        self.of(caller).follow_output(caller, id, from).await
    }

    async fn confine(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()> {
        self.of(caller).confine(caller, id, cpus).await
    }

    /// One engine that is away does not keep the others from being swept.
    async fn sweep(&self, is_known: &IsKnown<'_>) -> Result<Vec<String>> {
        let (mut names, mut failure) = (Vec::new(), None);
        for engine in self.own.values().chain([&self.usual]) {
            match engine.sweep(is_known).await {
                Ok(found) => names.extend(found),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(names), Err)
    }

    async fn attach_exec(&self, caller: &Caller, session: &str) -> Result<ExecStream> {
        self.of(caller).attach_exec(caller, session).await
    }
}

#[async_trait]
impl Images for Engines {
    async fn find(&self, caller: &Caller, reference: &str) -> Result<Option<Image>> {
        self.of(caller).find(caller, reference).await
    }

    async fn of_container(&self, caller: &Caller, container: &str) -> Result<Option<Image>> {
        self.of(caller).of_container(caller, container).await
    }

    async fn pull(
        &self,
        caller: &Caller,
        reference: &str,
        options: &PullOptions,
        events: &dyn EventSink,
    ) -> Result<Image> {
        self.of(caller).pull(caller, reference, options, events).await
    }

    async fn load(&self, caller: &Caller, path: &str) -> Result<Vec<String>> {
        self.of(caller).load(caller, path).await
    }

    async fn release(&self, caller: &Caller, reference: &str) -> Result<()> {
        self.of(caller).release(caller, reference).await
    }
}
