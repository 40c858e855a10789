//! `longshore:host/components`.

use longshore_core::{
    caller::Caller,
    component::{ComponentKind, ComponentSpec, Components},
    error::{HostError, Result},
    file::Files,
    process::Process,
};

use crate::{
    bindings::longshore::host::{components, types::Usage},
    convert::pairs,
    store::Operation,
};

impl Operation {
    fn components(&self) -> Result<&dyn Components> {
        self.backend(&self.host.backends.components, "runner of components")
    }
}

impl components::Host for Operation {
    async fn run(&mut self, spec: components::ComponentSpec) -> Result<String> {
        let mut spec: ComponentSpec = spec.try_into()?;
        spec.path = component_path(self.files()?, &self.caller, &spec.path).await?;
        self.host.policy.check_component(&spec, self.caller.require_task()?)?;
        self.components()?.run(&self.caller, &spec).await
    }

    async fn stop(&mut self, id: String, grace_ms: u32) -> Result<()> {
        self.components()?.stop(&self.caller, &id, grace_ms).await
    }

    async fn remove(&mut self, id: String) -> Result<()> {
        self.components()?.remove(&self.caller, &id).await
    }

    async fn inspect(&mut self, id: String) -> Result<components::RunningComponent> {
        self.components()?.inspect(&self.caller, &id).await.map(Into::into)
    }

    async fn list_own(&mut self) -> Result<Vec<components::RunningComponent>> {
        let own = self.components()?.list(&self.caller).await?;
        Ok(own.into_iter().map(Into::into).collect())
    }

    async fn sample_usage(&mut self, id: String) -> Result<Usage> {
        self.components()?.usage(&self.caller, &id).await.map(Into::into)
    }
}

/// The host path of a component: paths of the allocation are resolved inside it, others stay as they are.
async fn component_path(files: &dyn Files, caller: &Caller, path: &str) -> Result<String> {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if path.starts_with('/') && !matches!(first, "local" | "secrets" | "alloc") {
        return Ok(path.into());
    }
    let text = files.resolve(caller, path).await?.into_os_string().into_string();
    text.map_err(|path| HostError::Invalid(format!("the path {} is not UTF-8", path.display())))
}

impl TryFrom<components::ComponentSpec> for ComponentSpec {
    type Error = HostError;

    fn try_from(spec: components::ComponentSpec) -> Result<Self> {
        let kind = match spec.kind {
            components::ComponentKind::Command => ComponentKind::Command,
            components::ComponentKind::HttpProxy => ComponentKind::HttpProxy,
            components::ComponentKind::Other(name) => {
                let text = format!("components of kind {name:?} cannot be run; known are `command` and `http-proxy`");
                return Err(HostError::Invalid(text));
            }
        };
        if kind == ComponentKind::HttpProxy && spec.listen_address.is_none() {
            return Err(HostError::Invalid("an http-proxy needs a listen-address, `ip:port`".into()));
        }
        Ok(Self {
            name: spec.name,
            path: spec.path,
            kind,
            args: spec.args,
            env: pairs(spec.env),
            mounts: spec.mounts.into_iter().map(Into::into).collect(),
            listen_address: spec.listen_address,
            allow_outbound: spec.allow_outbound,
            limits: spec.limits.into(),
        })
    }
}

impl From<Process> for components::RunningComponent {
    fn from(process: Process) -> Self {
        let Process { id, name, task, pid, state } = process;
        Self { id, name, task_id: task.to_string(), pid, state: state.into() }
    }
}
