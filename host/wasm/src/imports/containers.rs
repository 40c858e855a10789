//! `longshore:host/containers`.

use longshore_core::{
    container::{self, ContainerNetwork, Containers, PortBinding},
    error::{HostError, Result},
};
use serde_json::{Map, Value};

use crate::{
    bindings::longshore::host::{
        containers,
        types::{ExecRequest, Usage},
    },
    convert::{key_values, pairs},
    store::{Answers, Operation},
};

impl Operation {
    fn containers(&self) -> Result<&dyn Containers> {
        self.backend(&self.host.backends.containers, "container engine")
    }
}

impl containers::Host for Operation {
    async fn engine(&mut self) -> Result<containers::EngineInfo> {
        if self.answers == Answers::Rehearsal {
            return Ok(container::EngineInfo::default().into());
        }
        self.containers()?.engine(&self.caller).await.map(Into::into)
    }

    async fn create(&mut self, spec: containers::ContainerSpec) -> Result<String> {
        let spec = spec.try_into()?;
        self.host.policy.check_container(&spec, self.caller.require_task()?)?;
        self.containers()?.create(&self.caller, &spec).await
    }

    async fn start(&mut self, id: String) -> Result<()> {
        self.containers()?.start(&self.caller, &id).await
    }

    async fn stop(&mut self, id: String, signal: Option<String>, grace_ms: u32) -> Result<()> {
        self.containers()?.stop(&self.caller, &id, signal.as_deref(), grace_ms).await
    }

    async fn signal(&mut self, id: String, name: String) -> Result<()> {
        self.containers()?.signal(&self.caller, &id, &name).await
    }

    async fn remove(&mut self, id: String) -> Result<()> {
        self.containers()?.remove(&self.caller, &id).await
    }

    async fn inspect(&mut self, id: String) -> Result<containers::Container> {
        self.containers()?.inspect(&self.caller, &id).await.map(Into::into)
    }

    async fn list_own(&mut self) -> Result<Vec<containers::Container>> {
        let own = self.containers()?.list(&self.caller).await?;
        Ok(own.into_iter().map(Into::into).collect())
    }

    async fn sample_usage(&mut self, id: String) -> Result<Usage> {
        self.containers()?.usage(&self.caller, &id).await.map(Into::into)
    }

    async fn prepare_exec(&mut self, id: String, request: ExecRequest) -> Result<String> {
        self.containers()?.prepare_exec(&self.caller, &id, &request.into()).await
    }
}

impl From<container::EngineInfo> for containers::EngineInfo {
    fn from(info: container::EngineInfo) -> Self {
        let container::EngineInfo { name, version, api_version, os, arch, bridge_ip, runtimes, attributes } = info;
        let attributes = key_values(&attributes);
        Self { name, version, api_version, os, arch, bridge_ip, runtimes, attributes }
    }
}

impl TryFrom<containers::ContainerSpec> for container::ContainerSpec {
    type Error = HostError;

    fn try_from(spec: containers::ContainerSpec) -> Result<Self> {
        Ok(Self {
            name: spec.name,
            image: spec.image,
            entrypoint: spec.entrypoint,
            command: spec.command,
            env: pairs(spec.env),
            working_dir: spec.working_dir,
            user: spec.user,
            hostname: spec.hostname,
            labels: pairs(spec.labels),
            mounts: spec.mounts.into_iter().map(Into::into).collect(),
            network: spec.network.into(),
            ports: spec.ports.into_iter().map(TryInto::try_into).collect::<Result<_>>()?,
            limits: spec.limits.into(),
            engine_options: spec.engine_options.as_deref().map(engine_options).transpose()?,
        })
    }
}

fn engine_options(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text)
        .map_err(|error| HostError::Invalid(format!("engine-options must be a JSON object: {error}")))
}

impl From<containers::ContainerNetwork> for ContainerNetwork {
    fn from(network: containers::ContainerNetwork) -> Self {
        match network {
            containers::ContainerNetwork::DefaultNetwork => Self::Default,
            containers::ContainerNetwork::Host => Self::Host,
            containers::ContainerNetwork::None => Self::None,
            containers::ContainerNetwork::Container(id) => Self::Container(id),
            containers::ContainerNetwork::Named(name) => Self::Named(name),
            containers::ContainerNetwork::Other(mode) => Self::Other(mode),
        }
    }
}

impl TryFrom<containers::PortBinding> for PortBinding {
    type Error = HostError;

    fn try_from(binding: containers::PortBinding) -> Result<Self> {
        let containers::PortBinding { host_ip, host_port, container_port, protocol } = binding;
        Ok(Self { host_ip, host_port, container_port, protocol: protocol.try_into()? })
    }
}

impl From<container::Container> for containers::Container {
    fn from(container: container::Container) -> Self {
        Self {
            id: container.id,
            name: container.name,
            task_id: container.task.to_string(),
            image: container.image,
            state: container.state.into(),
            health: container.health,
            address: container.address,
            address_ipv6: container.address_ipv6,
            network_name: container.network_name,
            namespace_path: container.namespace_path,
        }
    }
}
