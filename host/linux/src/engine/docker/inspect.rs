//! What the engine knows: of itself, of one container, of all that are the caller's.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::{
        ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, EndpointSettings, SystemVersion,
    },
    query_parameters::InspectNetworkOptions,
};
use longshore_core::{
    caller::Caller,
    container::{Container, EngineInfo},
    error::{HostError, Result},
    workload::{ExitStatus, RunState},
};

use super::{Docker, memory::out_of_memory, owner::Owner};

impl Docker {
    pub(super) async fn engine_info(&self, caller: &Caller) -> Result<EngineInfo> {
        let version = self.engine.retry(|client| async move { client.version().await }).await?;
        let info = self.engine.retry(|client| async move { client.info().await }).await?;
        let podman = is_podman(&version);
        let mut attributes = BTreeMap::new();
        if let Some(cgroups) = info.cgroup_version {
            attributes.insert("cgroup_version".into(), cgroups.to_string());
        }
        attributes.extend(info.operating_system.map(|system| ("operating_system".into(), system)));
        attributes.extend(info.ncpu.map(|cpus| ("cpus".into(), cpus.to_string())));
        let policy = self.policy(&caller.driver);
        attributes.insert("privileged_enabled".into(), policy.allow_privileged.to_string());
        attributes.insert("volumes_enabled".into(), policy.allow_volumes.to_string());
        attributes.extend(info.driver.map(|driver| ("storage_driver".into(), driver)));
        if podman && !self.can_move_groups() {
            attributes.insert("cpuset_management_disabled".into(), "true".into());
        }
        let mut runtimes: Vec<_> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort_unstable();
        Ok(EngineInfo {
            name: if podman { "podman" } else { "docker" }.into(),
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            os: version.os.unwrap_or_default(),
            arch: version.arch.unwrap_or_default(),
            bridge_ip: self.bridge_ip(if podman { "podman" } else { "bridge" }).await,
            runtimes,
            attributes,
        })
    }

    /// Whether the engine is Podman, which has some of the API's calls only in its own.
    pub(super) async fn is_podman(&self) -> Result<bool> {
        let version = self.engine.retry(|client| async move { client.version().await });
        version.await.map(|version| is_podman(&version))
    }

    /// Address of the host on the default network; none when there is no such network.
    async fn bridge_ip(&self, name: &str) -> Option<String> {
        let network =
            self.engine.call(|client| async move { client.inspect_network(name, None::<InspectNetworkOptions>).await });
        let pools = network.await.ok()?.ipam?.config?;
        pools
            .into_iter()
            .find_map(|pool| pool.gateway.filter(|ip| !ip.is_empty()).or_else(|| first_host(&pool.subnet?)))
    }

    pub(super) async fn inspect_container(&self, caller: &Caller, id: &str) -> Result<Container> {
        let owner = self.own(caller, id).await?;
        let seen = self.look(id).await?;
        let process = self.process_alone(&seen);
        let mut container = container(seen, &owner);
        if container.namespace_path.is_none() {
            container.namespace_path = process.map(|pid| format!("/proc/{pid}/ns/net"));
        }
        Ok(container)
    }

    /// The process of a running container of this machine without a network: Podman does not say where the namespace of
    /// such a one is.
    fn process_alone(&self, seen: &ContainerInspectResponse) -> Option<i64> {
        let alone = seen.host_config.as_ref()?.network_mode.as_deref() == Some("none");
        seen.state.as_ref()?.pid.filter(|pid| alone && *pid > 0 && self.engine.is_local())
    }

    /// The engine's own words on a container that was found to be the caller's.
    pub(super) async fn look(&self, id: &str) -> Result<ContainerInspectResponse> {
        self.engine.inspect(id).await.map_err(|error| self.when_gone(id, error))
    }

    pub(super) async fn list_containers(&self, caller: &Caller) -> Result<Vec<Container>> {
        let found = self.engine.list(self.owners.filter(caller)).await?;
        let mut own = Vec::new();
        for id in found.into_iter().filter_map(|summary| summary.id) {
            match self.inspect_container(caller, &id).await {
                Err(HostError::NotFound(_)) => {}
                seen => own.push(seen?),
            }
        }
        Ok(own)
    }
}

pub(super) fn is_podman(version: &SystemVersion) -> bool {
    let mut parts = version.components.iter().flatten();
    parts.any(|part| part.name.to_ascii_lowercase().contains("podman"))
}

fn container(seen: ContainerInspectResponse, owner: &Owner) -> Container {
    let state = seen.state.unwrap_or_default();
    let network = seen.network_settings.unwrap_or_default();
    let first = first_network(network.networks.unwrap_or_default());
    let (network_name, endpoint) = first.map_or((None, None), |(name, endpoint)| (Some(name), Some(endpoint)));
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    let running = state.running.unwrap_or(false);
    Container {
        id: seen.id.unwrap_or_default(),
        name: seen.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        task: owner.task.clone(),
        image: seen.config.and_then(|config| config.image).unwrap_or_default(),
        image_id: seen.image.unwrap_or_default(),
        health: state
            .health
            .as_ref()
            .and_then(|health| health.status)
            .map(|status| status.to_string())
            .filter(|s| !s.is_empty() && s != "none"),
        state: run_state(&state),
        address: endpoint.as_ref().and_then(|endpoint| said(endpoint.ip_address.clone())),
        address_ipv6: endpoint.and_then(|endpoint| said(endpoint.global_ipv6_address)),
        network_name,
        namespace_path: said(network.sandbox_key).filter(|_| running),
    }
}

/// The first address of an IPv4 network: the engine's own unless it says another, which Docker omits while
/// no container uses the network.
fn first_host(subnet: &str) -> Option<String> {
    let base: std::net::Ipv4Addr = subnet.split('/').next()?.parse().ok()?;
    Some(std::net::Ipv4Addr::from(u32::from(base).checked_add(1)?).to_string())
}

/// The network whose address counts: by name, so that the answer is always the same.
fn first_network(networks: HashMap<String, EndpointSettings>) -> Option<(String, EndpointSettings)> {
    networks.into_iter().min_by(|(a, _), (b, _)| a.cmp(b))
}

pub(super) fn run_state(state: &ContainerState) -> RunState {
    match state.status {
        Some(Status::CREATED) => RunState::Created,
        Some(Status::RUNNING) => RunState::Running,
        Some(Status::EXITED | Status::DEAD) => RunState::Exited(exit_status(state)),
        Some(other) if other != Status::EMPTY => RunState::Other(other.to_string()),
        _ if state.running == Some(true) => RunState::Running,
        _ => RunState::Other("unknown".into()),
    }
}

/// How a container ended, in the words users of Nomad know.
pub(super) fn exit_status(state: &ContainerState) -> ExitStatus {
    let code = state.exit_code.unwrap_or_default();
    let message = match code {
        0 => None,
        code => Some(format!("Docker container exited with non-zero exit code: {code}")),
    };
    let clamp = if code < 0 { i32::MIN } else { i32::MAX };
    let exit_code = i32::try_from(code).unwrap_or(clamp);
    let status = ExitStatus { exit_code, signal: 0, oom_killed: false, message };
    if state.oom_killed == Some(true) { out_of_memory(status) } else { status }
}
