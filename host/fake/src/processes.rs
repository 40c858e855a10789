//! Processes and components in memory.

use std::sync::Arc;

use async_trait::async_trait;
use longshore_core::{
    caller::Caller,
    component::{ComponentSpec, Components},
    error::Result,
    exec::{ExecRequest, ExecStream},
    process::{CommandResult, Process, ProcessSpec, Processes},
    workload::{ExitStatus, RunState, Usage},
};

use crate::{
    Fake,
    containers::Echo,
    plan::Plan,
    workloads::{Workload, Workloads},
};

pub(crate) struct FakeProcesses {
    plan: Arc<Plan>,
    table: Arc<Workloads>,
}

pub(crate) struct FakeComponents {
    plan: Arc<Plan>,
    table: Arc<Workloads>,
}

impl FakeProcesses {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), table: fake.processes.clone() }
    }
}

impl FakeComponents {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), table: fake.components.clone() }
    }
}

/// Names are unique within a task only: the table's are unique on the machine.
fn table_name(caller: &Caller, name: &str) -> Result<String> {
    Ok(format!("{}/{name}", caller.require_task()?.id))
}

fn describe(id: &str, row: &Workload) -> Process {
    let state = row.run_state();
    Process {
        id: id.into(),
        name: row.name.rsplit('/').next().unwrap_or_default().into(),
        task: row.task.clone(),
        pid: if state == RunState::Running { row.pid } else { 0 },
        state,
    }
}

#[async_trait]
impl Processes for FakeProcesses {
    /// Every command prints its own words and ends with 0.
    async fn run_command(&self, _caller: &Caller, command: &str, args: &[String], _ms: u32) -> Result<CommandResult> {
        self.plan.call("processes.run_command").await?;
        let words = [&[command.to_owned()], args].concat().join(" ");
        Ok(CommandResult { exit: ExitStatus::default(), stdout: words.into_bytes(), stderr: Vec::new() })
    }

    async fn spawn(&self, caller: &Caller, spec: &ProcessSpec) -> Result<String> {
        self.plan.call("processes.spawn").await?;
        let id = self.table.create(caller, "process", &table_name(caller, &spec.name)?, "")?;
        self.table.start(caller, &id)?;
        Ok(id)
    }

    async fn stop(&self, caller: &Caller, id: &str, _signal: Option<&str>, _grace_ms: u32) -> Result<()> {
        self.plan.call("processes.stop").await?;
        self.table.kill(caller, id, 2)
    }

    async fn signal(&self, caller: &Caller, id: &str, _name: &str) -> Result<()> {
        self.plan.call("processes.signal").await?;
        self.table.own(caller, id).map(drop)
    }

    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        self.plan.call("processes.remove").await?;
        self.table.remove(caller, id)
    }

    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Process> {
        self.plan.call("processes.inspect").await?;
        Ok(describe(id, &self.table.own(caller, id)?))
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Process>> {
        self.plan.call("processes.list").await?;
        Ok(self.table.list(caller).iter().map(|(id, row)| describe(id, row)).collect())
    }

    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.plan.call("processes.usage").await?;
        self.table.own(caller, id).map(|_| Usage::default())
    }

    async fn confine(&self, caller: &Caller, id: &str, _cpus: &[u32]) -> Result<()> {
        self.plan.call("processes.confine").await?;
        self.table.own(caller, id).map(drop)
    }

    async fn prepare_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String> {
        self.plan.call("processes.prepare_exec").await?;
        self.table.own(caller, id)?;
        Ok(request.command.join(" "))
    }

    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        self.plan.call("processes.wait").await?;
        self.table.wait(caller, id).await
    }

    async fn attach_exec(&self, _caller: &Caller, session: &str) -> Result<ExecStream> {
        self.plan.call("processes.attach_exec").await?;
        Ok(Echo::stream(session))
    }
}

#[async_trait]
impl Components for FakeComponents {
    async fn run(&self, caller: &Caller, spec: &ComponentSpec) -> Result<String> {
        self.plan.call("components.run").await?;
        let id = self.table.create(caller, "component", &table_name(caller, &spec.name)?, "")?;
        self.table.start(caller, &id)?;
        Ok(id)
    }

    async fn stop(&self, caller: &Caller, id: &str, _grace_ms: u32) -> Result<()> {
        self.plan.call("components.stop").await?;
        self.table.kill(caller, id, 15)
    }

    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        self.plan.call("components.remove").await?;
        self.table.remove(caller, id)
    }

    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Process> {
        self.plan.call("components.inspect").await?;
        Ok(describe(id, &self.table.own(caller, id)?))
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Process>> {
        self.plan.call("components.list").await?;
        Ok(self.table.list(caller).iter().map(|(id, row)| describe(id, row)).collect())
    }

    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.plan.call("components.usage").await?;
        self.table.own(caller, id).map(|_| Usage::default())
    }

    async fn confine(&self, caller: &Caller, id: &str, _cpus: &[u32]) -> Result<()> {
        self.plan.call("components.confine").await?;
        self.table.own(caller, id).map(drop)
    }

    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        self.plan.call("components.wait").await?;
        self.table.wait(caller, id).await
    }
}
