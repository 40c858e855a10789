//! `longshore:host/processes`.

use longshore_core::{
    error::{HostError, Result},
    process::{self, MAX_COMMAND_MS, Processes},
};

use crate::{
    bindings::longshore::host::{
        processes,
        types::{ExecRequest, Usage},
    },
    convert::{map, pairs},
    store::Operation,
};

impl Operation {
    fn processes(&self) -> Result<&dyn Processes> {
        self.backend(&self.host.backends.processes, "supervisor of processes")
    }
}

impl processes::Host for Operation {
    async fn run_command(
        &mut self,
        command: String,
        args: Vec<String>,
        timeout_ms: u32,
    ) -> Result<processes::CommandResult> {
        let result =
            self.processes()?.run_command(&self.caller, &command, &args, timeout_ms.min(MAX_COMMAND_MS)).await?;
        Ok(processes::CommandResult { exit: result.exit.into(), stdout: result.stdout, stderr: result.stderr })
    }

    async fn spawn(&mut self, spec: processes::ProcessSpec) -> Result<String> {
        let spec = spec.into();
        check_names(&spec)?;
        self.host.policy.check_process(&spec, self.caller.require_task()?)?;
        self.processes()?.spawn(&self.caller, &spec).await
    }

    async fn stop(&mut self, id: String, signal: Option<String>, grace_ms: u32) -> Result<()> {
        self.processes()?.stop(&self.caller, &id, signal.as_deref(), grace_ms).await
    }

    async fn signal(&mut self, id: String, name: String) -> Result<()> {
        self.processes()?.signal(&self.caller, &id, &name).await
    }

    async fn remove(&mut self, id: String) -> Result<()> {
        self.processes()?.remove(&self.caller, &id).await
    }

    async fn inspect(&mut self, id: String) -> Result<processes::Process> {
        self.processes()?.inspect(&self.caller, &id).await.map(Into::into)
    }

    async fn list_own(&mut self) -> Result<Vec<processes::Process>> {
        let own = self.processes()?.list(&self.caller).await?;
        Ok(own.into_iter().map(Into::into).collect())
    }

    async fn sample_usage(&mut self, id: String) -> Result<Usage> {
        self.processes()?.usage(&self.caller, &id).await.map(Into::into)
    }

    async fn prepare_exec(&mut self, id: String, request: ExecRequest) -> Result<String> {
        self.processes()?.prepare_exec(&self.caller, &id, &request.into()).await
    }
}

fn check_names(spec: &process::ProcessSpec) -> Result<()> {
    let missing = |what| Err(HostError::Invalid(format!("a process needs a {what}")));
    match spec {
        spec if spec.name.is_empty() => missing("name"),
        spec if spec.command.is_empty() => missing("command"),
        _ => Ok(()),
    }
}

impl From<processes::ProcessSpec> for process::ProcessSpec {
    fn from(spec: processes::ProcessSpec) -> Self {
        Self {
            name: spec.name,
            command: spec.command,
            args: spec.args,
            env: pairs(spec.env),
            working_dir: spec.working_dir,
            user: spec.user,
            limits: spec.limits.into(),
            isolation: spec.isolation.map(Into::into),
            options: map(spec.options),
        }
    }
}

impl From<processes::Isolation> for process::Isolation {
    fn from(isolation: processes::Isolation) -> Self {
        let processes::Isolation { namespaces, root_directory, mounts, capabilities } = isolation;
        Self { namespaces, root_directory, mounts: mounts.into_iter().map(Into::into).collect(), capabilities }
    }
}

impl From<process::Process> for processes::Process {
    fn from(process: process::Process) -> Self {
        let process::Process { id, name, task, pid, state } = process;
        Self { id, name, task_id: task.to_string(), pid, state: state.into() }
    }
}
