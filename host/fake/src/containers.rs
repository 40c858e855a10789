//! Containers in memory.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use longshore_core::{
    caller::Caller,
    container::{Container, ContainerSpec, Containers, EngineInfo, IsKnown},
    error::{HostError, Result},
    exec::{ExecEvent, ExecInput, ExecOutput, ExecRequest, ExecStream},
    workload::{ExitStatus, OutputChunk, OutputChunks, OutputPosition, OutputStream, RunState, Usage},
};
use tokio::sync::watch;

use crate::{
    Fake,
    plan::Plan,
    workloads::{Workload, Workloads},
};

pub(crate) struct FakeContainers {
    fake: Fake,
    plan: Arc<Plan>,
    table: Arc<Workloads>,
}

impl FakeContainers {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { fake: fake.clone(), plan: fake.plan.clone(), table: fake.containers.clone() }
    }
}

#[async_trait]
impl Containers for FakeContainers {
    async fn engine(&self, _caller: &Caller) -> Result<EngineInfo> {
        self.plan.call("containers.engine").await?;
        let text = String::from;
        Ok(EngineInfo {
            name: text("fake"),
            version: text("1.0.0"),
            api_version: text("1.41"),
            os: text("linux"),
            arch: text("amd64"),
            ..EngineInfo::default()
        })
    }

    async fn create(&self, caller: &Caller, spec: &ContainerSpec) -> Result<String> {
        self.plan.call("containers.create").await?;
        if !self.fake.images.has(&spec.image) {
            return Err(HostError::NotFound(format!("no such image: {}", spec.image)));
        }
        self.table.create(caller, "container", &spec.name, &spec.image)
    }

    async fn start(&self, caller: &Caller, id: &str) -> Result<()> {
        self.plan.call("containers.start").await?;
        self.table.start(caller, id)
    }

    async fn stop(&self, caller: &Caller, id: &str, _signal: Option<&str>, _grace_ms: u32) -> Result<()> {
        self.plan.call("containers.stop").await?;
        self.table.kill(caller, id, 15)
    }

    async fn signal(&self, caller: &Caller, id: &str, _name: &str) -> Result<()> {
        self.plan.call("containers.signal").await?;
        self.table.own(caller, id).map(drop)
    }

    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        self.plan.call("containers.remove").await?;
        self.table.remove(caller, id)
    }

    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Container> {
        self.plan.call("containers.inspect").await?;
        Ok(describe(id, &self.table.own(caller, id)?))
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Container>> {
        self.plan.call("containers.list").await?;
        Ok(self.table.list(caller).iter().map(|(id, row)| describe(id, row)).collect())
    }

    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.plan.call("containers.usage").await?;
        self.table.own(caller, id).map(|_| Usage { memory_bytes: 1024.0, ..Usage::default() })
    }

    async fn confine(&self, caller: &Caller, id: &str, _cpus: &[u32]) -> Result<()> {
        self.plan.call("containers.confine").await?;
        self.table.own(caller, id).map(drop)
    }

    async fn prepare_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String> {
        self.plan.call("containers.prepare_exec").await?;
        self.table.own(caller, id)?;
        Ok(request.command.join(" "))
    }

    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        self.plan.call("containers.wait").await?;
        self.table.wait(caller, id).await
    }

    async fn follow_output(&self, caller: &Caller, id: &str, from: OutputPosition) -> Result<OutputChunks> {
        self.plan.call("containers.follow_output").await?;
        let row = self.table.own(caller, id)?;
        Ok(Box::pin(stream::unfold(Follow { chunks: row.output(), states: row.states(), next: 0, from }, Follow::step)))
    }

    async fn sweep(&self, is_known: &IsKnown<'_>) -> Result<Vec<String>> {
        self.plan.call("containers.sweep").await?;
        Ok(self.table.sweep(is_known))
    }

    async fn attach_exec(&self, _caller: &Caller, session: &str) -> Result<ExecStream> {
        self.plan.call("containers.attach_exec").await?;
        Ok(Echo::stream(session))
    }
}

fn describe(id: &str, row: &Workload) -> Container {
    Container {
        id: id.into(),
        name: row.name.clone(),
        task: row.task.clone(),
        image: row.image.clone(),
        image_id: format!("sha256:{}", row.image),
        state: row.run_state(),
        health: None,
        address: None,
        address_ipv6: None,
        network_name: None,
        namespace_path: None,
    }
}

/// A reader of a container's output.
struct Follow {
    chunks: watch::Receiver<Vec<OutputChunk>>,
    states: watch::Receiver<RunState>,
    next: usize,
    from: OutputPosition,
}

impl Follow {
    async fn step(mut self) -> Option<(Result<OutputChunk>, Self)> {
        loop {
            let chunk = self.chunks.borrow_and_update().get(self.next).cloned();
            let Some(chunk) = chunk else {
                if matches!(&*self.states.borrow_and_update(), RunState::Exited(_)) {
                    return None;
                }
                tokio::select! {
                    changed = self.chunks.changed() => changed.ok()?,
                    changed = self.states.changed() => changed.ok()?,
                }
                continue;
            };
            self.next += 1;
            let reached = match chunk.stream {
                OutputStream::Stdout => self.from.stdout,
                OutputStream::Stderr => self.from.stderr,
            };
            if chunk.mark > reached {
                return Some((Ok(chunk), self));
            }
        }
    }
}

/// A command that prints its own words and ends with 0.
pub(crate) struct Echo(Vec<ExecEvent>);

impl Echo {
    pub(crate) fn stream(words: &str) -> ExecStream {
        let data = words.as_bytes().to_vec().into();
        let output = ExecEvent::Output(OutputChunk { stream: OutputStream::Stdout, data, mark: None });
        let events = vec![ExecEvent::Exited(ExitStatus::default()), output];
        ExecStream { input: Box::new(Deaf), output: Box::new(Self(events)) }
    }
}

/// Takes any input and does nothing with it.
struct Deaf;

#[async_trait]
impl ExecInput for Deaf {
    async fn write(&mut self, _data: bytes::Bytes) -> Result<()> {
        Ok(())
    }

    async fn resize(&mut self, _rows: u16, _columns: u16) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl ExecOutput for Echo {
    async fn next(&mut self) -> Result<Option<ExecEvent>> {
        Ok(self.0.pop())
    }
}
