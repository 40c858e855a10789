//! The Docker Engine (and engines that speak its API) as [`Containers`] and [`Images`].
//!
//! | file | what it does |
//! |---|---|
//! | `connect`, `tls` | where the engine is, how its errors read, what is tried again |
//! | `owner` | whose a container is: labels, remembered so that most calls need no look first |
//! | `body`, `seccomp` | a [`ContainerSpec`] as the engine's create document; profiles |
//! | `create`, `lifecycle`, `look`, `inspect`, `wait`, `memory`, `usage` | the calls, by stage of a container's life |
//! | `exec`, `logs` | the streams, over `wire`, `stream` and `frames` |
//! | `images` | find, pull with the operator's credentials, load, collect |
//! | `dangling` | containers that nobody knows any more |
//!
//! Nothing is kept that the engine does not know: what is remembered here is a cache, and an agent that
//! starts anew finds its containers by their labels. Building a [`Docker`] never fails and speaks to nobody;
//! while the engine is away, every call says so with [`Unavailable`](longshore_core::error::HostError::Unavailable).

mod body;
mod connect;
mod create;
mod dangling;
mod exec;
mod frames;
mod images;
mod inspect;
mod lifecycle;
mod logs;
mod look;
mod memory;
mod owner;
mod seccomp;
mod secrets;
mod stream;
mod tls;
mod usage;
mod wait;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use longshore_core::{
    caller::{Caller, DriverName},
    container::{Container, ContainerSpec, Containers, EngineInfo, IsKnown},
    error::Result,
    exec::{ExecRequest, ExecStream},
    image::{Image, Images, PullOptions},
    policy::Policy,
    record::EventSink,
    workload::{ExitStatus, OutputChunks, OutputPosition, Usage},
};

use self::{
    connect::Engine,
    exec::Sessions,
    images::{Lately, Pulls, Unused},
    owner::Owners,
    usage::Samples,
};
pub use self::{
    dangling::Dangling,
    images::{AuthSources, ImageGc, PullLimits},
    tls::TlsFiles,
};

/// What [`Docker::new`] needs to know.
pub struct DockerConfig {
    /// `docker.endpoint` of the agent's configuration: a socket's path, `unix://…`, `tcp://…` or `http://…`.
    /// Absent: `DOCKER_HOST`, else `/var/run/docker.sock`.
    pub endpoint: Option<String>,
    /// `docker.tls`: how to speak TLS to an endpoint of `tcp://…` or `https://…`. Absent, with an endpoint: not at all;
    /// without: as `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say.
    pub tls: Option<TlsFiles>,
    /// Id of the agent (of its state directory), by which its containers are told from another agent's.
    pub agent: String,
    /// The operator's policies, by driver. They are checked before `create`; here they say where the links
    /// of a bind mount may lead and which of the engine's default capabilities to drop. A driver that is
    /// not there has [`Policy::default`].
    pub policies: BTreeMap<DriverName, Policy>,
    /// Credentials for registries.
    pub auth: AuthSources,
    /// How long pulls may take.
    pub pull_limits: PullLimits,
    /// What becomes of unused images.
    pub image_gc: ImageGc,
    /// What becomes of containers that nobody knows.
    pub dangling: Dangling,
    /// Whether output is left to the engine, and none of it collected.
    pub disable_log_collection: bool,
}

/// A Docker Engine.
pub struct Docker {
    engine: Arc<Engine>,
    policies: BTreeMap<DriverName, Policy>,
    owners: Owners,
    samples: Samples,
    sessions: Sessions,
    pulls: Pulls,
    auth: AuthSources,
    pull_limits: PullLimits,
    unused: Unused,
    lately: Lately,
    dangling: Dangling,
    disable_log_collection: bool,
}

impl Docker {
    /// An engine that is spoken to when first needed.
    pub fn new(config: DockerConfig) -> Self {
        Self {
            engine: Arc::new(Engine::new(config.endpoint.as_deref(), config.tls.as_ref())),
            policies: config.policies,
            owners: Owners::new(config.agent),
            samples: Samples::default(),
            sessions: Sessions::default(),
            pulls: Pulls::default(),
            auth: config.auth,
            pull_limits: config.pull_limits,
            unused: Unused::new(config.image_gc),
            lately: Lately::default(),
            dangling: config.dangling,
            disable_log_collection: config.disable_log_collection,
        }
    }

    fn policy(&self, driver: &DriverName) -> Policy {
        self.policies.get(driver).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Containers for Docker {
    async fn engine(&self, caller: &Caller) -> Result<EngineInfo> {
        self.engine_info(caller).await
    }

    async fn create(&self, caller: &Caller, spec: &ContainerSpec) -> Result<String> {
        self.create_container(caller, spec).await
    }

    async fn start(&self, caller: &Caller, id: &str) -> Result<()> {
        self.start_container(caller, id).await
    }

    async fn stop(&self, caller: &Caller, id: &str, signal: Option<&str>, grace_ms: u32) -> Result<()> {
        self.stop_container(caller, id, signal, grace_ms).await
    }

    async fn signal(&self, caller: &Caller, id: &str, name: &str) -> Result<()> {
        self.signal_container(caller, id, name).await
    }

    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        self.remove_container(caller, id).await
    }

    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Container> {
        self.inspect_container(caller, id).await
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Container>> {
        self.list_containers(caller).await
    }

    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        self.container_usage(caller, id).await
    }

    async fn prepare_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String> {
        self.create_exec(caller, id, request).await
    }

    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        self.wait_container(caller, id).await
    }

    async fn follow_output(&self, caller: &Caller, id: &str, from: OutputPosition) -> Result<OutputChunks> {
        if self.disable_log_collection {
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        self.follow_logs(caller, id, from).await
    }

    async fn confine(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()> {
        self.confine_container(caller, id, cpus).await
    }

    async fn sweep(&self, is_known: &IsKnown<'_>) -> Result<Vec<String>> {
        self.remove_dangling(is_known).await
    }

    async fn attach_exec(&self, caller: &Caller, session: &str) -> Result<ExecStream> {
        self.start_exec(caller, session).await
    }
}

#[async_trait]
impl Images for Docker {
    async fn find(&self, _caller: &Caller, reference: &str) -> Result<Option<Image>> {
        self.find_image(reference).await
    }

    async fn of_container(&self, caller: &Caller, container: &str) -> Result<Option<Image>> {
        self.image_of(caller, container).await
    }

    async fn pull(
        &self,
        caller: &Caller,
        reference: &str,
        options: &PullOptions,
        events: &dyn EventSink,
    ) -> Result<Image> {
        self.pull_image(caller, reference, options, events).await
    }

    async fn load(&self, caller: &Caller, path: &str) -> Result<Vec<String>> {
        self.load_archive(caller, path).await
    }

    async fn release(&self, caller: &Caller, reference: &str) -> Result<()> {
        images::check_reference(reference)?;
        self.unused.release(&self.engine, &caller.driver, reference);
        Ok(())
    }
}
