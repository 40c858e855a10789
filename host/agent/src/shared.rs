//! What every part of the agent has in hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use longshore_core::{
    backends::Backends,
    caller::AllocId,
    driver::{Driver, DriverError, Drivers},
};
use tokio::time::{Instant, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    AgentConfig, AgentError, AgentStore, ControlError, DriverStatus, Node, TaskPhase,
    alloc::{self, AllocControl, spare::Spares},
    board::Board,
    health::HealthBoard,
    reconcile,
    schema::Schemas,
    status::since_epoch,
};

/// How long an agent that ends waits for what is being removed; the next one removes what is left.
pub(crate) const FAREWELL: Duration = Duration::from_secs(10);

/// The agent's parts. Every runner holds it.
pub(crate) struct Shared {
    pub(crate) config: AgentConfig,
    pub(crate) node_id: String,
    pub(crate) board: Arc<Board>,
    pub(crate) backends: Backends,
    pub(crate) drivers: Arc<dyn Drivers>,
    pub(crate) schemas: Schemas,
    pub(crate) health: HealthBoard,
    pub(crate) clock: Clock,
    /// Namespaces for allocations to come.
    pub(crate) spares: Spares,
    /// One decision about jobs at a time.
    pub(crate) deciding: tokio::sync::Mutex<()>,
    runners: Mutex<BTreeMap<AllocId, Arc<AllocControl>>>,
    /// Jobs that somebody waits to forget.
    purging: Mutex<BTreeSet<String>>,
    work: TaskTracker,
    closing: CancellationToken,
}

impl Shared {
    /// Opens for business: restores what the journal had, then looks after it in the background.
    pub(crate) async fn start(
        store: AgentStore,
        config: AgentConfig,
        backends: Backends,
        drivers: Arc<dyn Drivers>,
    ) -> Result<Arc<Self>, AgentError> {
        alloc::dir::make_parent(&config)
            .map_err(|reason| AgentError::DataDir { path: config.allocs_dir().display().to_string(), reason })?;
        let loaded = store.loaded.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let board = Arc::new(Board::new(store.journal.clone(), loaded.index));
        let as_target: Arc<dyn crate::store::RelayTarget> = board.clone();
        store.relay.connect(Arc::downgrade(&as_target));
        let shared = Arc::new(Self {
            node_id: store.node_id().to_owned(),
            config,
            board,
            backends,
            drivers,
            schemas: Schemas::default(),
            health: HealthBoard::default(),
            clock: Clock::new(),
            spares: Spares::default(),
            deciding: tokio::sync::Mutex::default(),
            runners: Mutex::default(),
            purging: Mutex::default(),
            work: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        reconcile::restore(&shared, loaded).await?;
        let looker = shared.clone();
        shared.spawn(async move { crate::health::keep_looking(&looker).await });
        let looker = shared.clone();
        shared.spawn(async move { alloc::network::keep_looking(&looker).await });
        let keeper = shared.clone();
        shared.spawn(async move { alloc::spare::keep(&keeper).await });
        let keeper = shared.clone();
        shared.spawn(async move { alloc::confine::keep_off(&keeper).await });
        Ok(shared)
    }

    /// Ends all supervision, waits until it has ended, and removes what nobody has a use for any more.
    pub(crate) async fn shutdown(&self) {
        if timeout(FAREWELL, self.leaving_is_over()).await.is_err() {
            tracing::warn!(
                "remains of allocations are left to the next agent: they were not removed within {FAREWELL:?}"
            );
        }
        self.closing.cancel();
        self.work.close();
        self.work.wait().await;
        alloc::spare::remove_all(self).await;
        if let Some(networks) = &self.backends.networks
            && let Err(error) = networks.retire().await
        {
            tracing::warn!(%error, "remains of what networks of allocations shared");
        }
    }

    /// Waits for allocations whose tasks are all gone: whoever was told so takes their networks for gone too, and this
    /// agent may be the machine's last.
    async fn leaving_is_over(&self) {
        let mut index = self.board.watch();
        loop {
            index.borrow_and_update();
            let leaves = |alloc: &Arc<crate::Allocation>| {
                !alloc.finished && alloc.tasks.values().all(|task| task.phase == TaskPhase::Dead)
            };
            if !self.board.allocs("").iter().any(leaves) || index.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends all supervision when the agent's last handle goes.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Runs work that ends with the agent.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, work: F) -> tokio::task::JoinHandle<()> {
        let closing = self.closing.clone();
        // Boxed: each async block that takes it by value would have room for it once more.
        let work = Box::pin(work);
        self.work.spawn(async move {
            closing.run_until_cancelled(work).await;
        })
    }

    /// A driver by name.
    pub(crate) fn driver(&self, name: &str) -> Result<Arc<dyn Driver>, DriverError> {
        self.drivers.get(name)
    }

    /// The control of an allocation that has a runner.
    pub(crate) fn control(&self, id: &AllocId) -> Option<Arc<AllocControl>> {
        self.runners().get(id).cloned()
    }

    pub(crate) fn add_control(&self, id: &AllocId, control: Arc<AllocControl>) {
        self.runners().insert(id.clone(), control);
    }

    pub(crate) fn remove_control(&self, id: &AllocId) {
        self.runners().remove(id);
    }

    pub(crate) fn runners(&self) -> std::sync::MutexGuard<'_, BTreeMap<AllocId, Arc<AllocControl>>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits to forget this job yet; from now on somebody does.
    pub(crate) fn begin_purge(&self, job_id: &str) -> bool {
        self.purging.lock().unwrap_or_else(PoisonError::into_inner).insert(job_id.to_owned())
    }

    /// Nobody does any more.
    pub(crate) fn end_purge(&self, job_id: &str) {
        self.purging.lock().unwrap_or_else(PoisonError::into_inner).remove(job_id);
    }

    /// An allocation, or the error that there is none.
    pub(crate) fn alloc(&self, id: &str) -> Result<Arc<crate::Allocation>, ControlError> {
        self.board.alloc(&AllocId(id.to_owned())).ok_or_else(|| ControlError::UnknownAllocation(id.to_owned()))
    }

    /// The machine and its drivers.
    pub(crate) fn node(&self) -> Node {
        let mut attributes = self.config.node_attributes.clone();
        let mut drivers = BTreeMap::new();
        for driver in self.drivers.all() {
            let info = Arc::clone(driver.info());
            let name = info.description.name.clone();
            let fingerprint = self.health.seen(&name);
            if let Some((seen, _)) = &fingerprint {
                attributes.extend(seen.attributes.clone());
            }
            drivers.insert(name, DriverStatus { info, fingerprint });
        }
        Node {
            id: self.node_id.clone(),
            name: self.config.node_name.clone(),
            datacenter: self.config.datacenter.clone(),
            region: self.config.region.clone(),
            attributes,
            meta: self.config.node_meta.clone(),
            drivers,
            reservable_cores: self.config.reservable_cores.clone(),
            obstacles: self.health.obstacles(),
        }
    }
}

/// Unix time that runs with tokio's clock: restarts are counted in it, and tests can turn it.
pub(crate) struct Clock {
    start: Instant,
    start_unix: Duration,
}

impl Clock {
    fn new() -> Self {
        Self { start: Instant::now(), start_unix: since_epoch(SystemTime::now()) }
    }

    /// When this agent began.
    pub(crate) fn began(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.start_unix
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        let now = self.start_unix + self.start.elapsed();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long it is until then; zero when it is past.
    pub(crate) fn until(&self, unix_ms: u64) -> Duration {
        Duration::from_millis(unix_ms.saturating_sub(self.now_ms()))
    }
}
