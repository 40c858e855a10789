//! Making containers, once each whatever happened before.

use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};
use longshore_core::{
    caller::{Caller, TaskScope},
    container::{ContainerNetwork, ContainerSpec},
    error::{HostError, Result},
    policy::Policy,
    workload::{Mount, MountKind},
};

use super::{
    Docker,
    body::{Surroundings, create_body},
    connect::Backoff,
    images::check_reference,
    owner::{Owner, is_id, not_found},
    secrets,
};
use crate::{failure::blocking, sources::Source};

/// How often a name in use is cleared and taken again.
const ATTEMPTS: u32 = 5;

impl Docker {
    pub(super) async fn create_container(&self, caller: &Caller, spec: &ContainerSpec) -> Result<String> {
        let scope = caller.require_task()?;
        if !is_id(&spec.name) {
            return Err(HostError::Invalid(format!(
                "container name {:?}: letters, digits, `_`, `.` and `-` only",
                spec.name
            )));
        }
        check_reference(&spec.image)?;
        self.unused.keep(&spec.image).await;
        self.unused.has(&caller.driver, &spec.image);
        if let ContainerNetwork::Container(other) = &spec.network {
            let owner = self.owner_of(other).await?;
            owner.filter(|owner| owner.shares_network_with(caller)).ok_or_else(|| not_found(other))?;
        }
        let policy = self.policy(&caller.driver);
        let (mounts, sources) = {
            let (policy, scope, spec) = (policy.clone(), scope.clone(), spec.clone());
            blocking(move || prepare_files(&policy, &scope, &spec)).await?
        };
        let around = Surroundings {
            labels: self.owners.labels(&caller.driver, &scope.id),
            mounts: &mounts,
            cap_drop: policy.implied_cap_drop(),
            swappiness: self.engine.is_local() && !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        };
        let mut body = create_body(spec, around)?;
        let options = body.host_config.as_mut().and_then(|host| host.security_opt.as_mut());
        self.read_profiles(options).await?;
        let mut owner = Owner::new(caller.driver.clone(), scope.id.clone());
        (owner.sources, owner.terminal) = (sources, Some(body.tty.unwrap_or(false)));
        let mut pause = Backoff::default();
        for _ in 0..ATTEMPTS {
            let options = CreateContainerOptions { name: Some(spec.name.clone()), ..CreateContainerOptions::default() };
            let created = self.engine.retry(|client| {
                let (options, body) = (options.clone(), body.clone());
                async move { client.create_container(Some(options), body).await }
            });
            match created.await {
                Ok(created) => {
                    self.owners.remember(&created.id, owner);
                    return Ok(created.id);
                }
                Err(HostError::Conflict(said)) => match self.clear_name(caller, &spec.name, said).await? {
                    Some(running) => return Ok(running),
                    None => pause.wait().await,
                },
                Err(error) => return Err(error),
            }
        }
        Err(HostError::Conflict(format!(
            "container name {:?} is in use again and again; another agent with this one's state?",
            spec.name
        )))
    }

    /// The name is taken: the id if it is by a running container of the same task, none when it was freed.
    async fn clear_name(&self, caller: &Caller, name: &str, said: String) -> Result<Option<String>> {
        let seen = match self.engine.inspect(name).await {
            Err(HostError::NotFound(_)) => return Ok(None),
            seen => seen?,
        };
        let id = seen.id.unwrap_or_default();
        let owner = self.owners.read(seen.config.and_then(|config| config.labels).as_ref());
        let Some(owner) = owner.filter(|owner| owner.is(caller)) else {
            let short = id.get(..12).unwrap_or(&id);
            return Err(HostError::Conflict(format!(
                "container name {name:?} is taken by container {short}, which is not this task's; remove it or choose another name ({said})"
            )));
        };
        if seen.state.and_then(|state| state.running).unwrap_or(false) {
            self.owners.remember(&id, owner);
            return Ok(Some(id));
        }
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        let removed = self.engine.call(|client| {
            let id = id.clone();
            async move { client.remove_container(&id, Some(options)).await }
        });
        match removed.await {
            // Gone, or just being removed by somebody.
            Ok(()) | Err(HostError::NotFound(_) | HostError::Conflict(_)) => {
                self.owners.forget(&id);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Lets the container's user at its files; answers its mounts with bind sources resolved, and those sources.
fn prepare_files(policy: &Policy, scope: &TaskScope, spec: &ContainerSpec) -> Result<(Vec<Mount>, Vec<Source>)> {
    secrets::let_in(&scope.dirs)?;
    let (mut mounts, mut sources) = (Vec::new(), Vec::new());
    for mut mount in spec.mounts.iter().cloned() {
        if mount.kind.is_made() {
            Source::make(scope, &mount.source)?;
        }
        if mount.kind.is_bind() {
            let source = Source::follow(policy, scope, &mount.source)?;
            mount.source = source.text()?;
            sources.push(source);
        }
        mounts.push(mount);
    }
    if matches!(spec.network, ContainerNetwork::Container(_)) {
        mounts.extend(names(scope, &spec.mounts));
    }
    Ok((mounts, sources))
}

/// What takes the place of the engine's own files for a container in its allocation's network, where the task has
/// nothing there itself.
fn names(scope: &TaskScope, own: &[Mount]) -> Vec<Mount> {
    let Some(etc) = scope.etc() else { return Vec::new() };
    let files = [("hosts", false), ("resolv.conf", true)].into_iter().filter_map(|(name, read_only)| {
        let (source, target) = (etc.join(name), format!("/etc/{name}"));
        let fits = source.exists() && own.iter().all(|mount| mount.target != target);
        let source = source.to_str().filter(|_| fits)?.to_owned();
        Some(Mount { source, target, kind: MountKind::Bind, read_only, propagation: None })
    });
    files.collect()
}
