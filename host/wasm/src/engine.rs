//! The one wasmtime engine of a program: how code is compiled, cached, bounded and interrupted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use wasmtime::{Cache, CacheConfig, Config, component::Component};

use crate::{
    cache::{self, CacheError},
    pool,
};

/// How often running guest code is looked at: the precision of every limit on guest time.
pub const TICK: Duration = Duration::from_millis(10);

/// How an [`Engine`] is made.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where compiled code is kept; none to compile every time. The directory is made when it is missing.
    pub cache_dir: Option<PathBuf>,
    /// Largest component file, bytes.
    pub max_component_bytes: u64,
    /// Longest compilation of one component.
    pub compile_timeout: Duration,
}

impl Default for EngineConfig {
    /// No cache, 64 MiB, two minutes.
    fn default() -> Self {
        Self { cache_dir: None, max_component_bytes: 64 << 20, compile_timeout: Duration::from_secs(120) }
    }
}

/// Why no engine could be made, or no code.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The cache directory cannot be trusted.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// wasmtime refuses to run here.
    #[error("the WebAssembly engine cannot run on this machine: {0}")]
    Machine(String),
    /// A thread could not be started.
    #[error("cannot start a thread for the WebAssembly engine: {0}")]
    Thread(std::io::Error),
}

/// Why a component did not become code.
#[derive(Debug, Error)]
pub enum CompileError {
    /// wasmtime does not accept it.
    #[error("{0}")]
    Invalid(String),
    /// It took too long.
    #[error("compiling it took longer than {0:?}; components of drivers compile in seconds: is this one of them?")]
    TimedOut(Duration),
    /// The compiler itself failed.
    #[error("the compiler failed on it; please report the component as a bug of wasmtime")]
    Crashed,
}

/// The engine. Clones share it; its ticker thread ends with the last of them.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    config: Arc<EngineConfig>,
    cache: Option<Cache>,
    room: Arc<Semaphore>,
}

impl Engine {
    /// Makes the engine and starts its ticker.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let cache = config.cache_dir.as_deref().map(compile_cache).transpose()?;
        let mut settings = Config::new();
        settings.epoch_interruption(true);
        // The contract is plain sync functions: without the bookkeeping of concurrent guests a call is 40 % cheaper.
        settings.concurrency_support(false);
        // Nothing here unwinds through guest code; a load is quicker without telling the C library how to.
        settings.native_unwind_info(false);
        settings.cache(cache.clone());
        let inner = pool::engine(settings).map_err(|error| EngineError::Machine(format!("{error:#}")))?;
        start_ticker(&inner).map_err(EngineError::Thread)?;
        Ok(Self { inner, config: Arc::new(config), cache, room: Arc::new(Semaphore::new(pool::OPERATIONS)) })
    }

    /// Waits until one more operation may run: each holds memory, so there is a most. Never fails, as nobody closes
    /// the semaphore.
    pub(crate) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    /// Largest component file it takes, bytes.
    pub fn max_component_bytes(&self) -> u64 {
        self.config.max_component_bytes
    }

    /// Compiles, or fetches from the cache. Untrusted code is compiled on a thread of its own, because nothing
    /// bounds the time Cranelift takes; when that is over, the thread is left behind.
    pub async fn compile(&self, bytes: Arc<[u8]>) -> Result<Component, CompileError> {
        let (sender, receiver) = oneshot::channel();
        let engine = self.inner.clone();
        thread::Builder::new()
            .name("longshore-compile".into())
            .spawn(move || sender.send(Component::new(&engine, &bytes)).is_ok())
            .map_err(|error| CompileError::Invalid(format!("cannot start a thread to compile it: {error}")))?;
        let compiled = tokio::time::timeout(self.config.compile_timeout, receiver).await;
        let compiled = compiled.map_err(|_| CompileError::TimedOut(self.config.compile_timeout))?;
        let component = compiled.map_err(|_| CompileError::Crashed)?;
        component.map_err(|error| CompileError::Invalid(crate::trap::one_line(&error)))
    }

    /// Remembers what the cache holds by now, so that the next start trusts it.
    pub(crate) fn seal_cache(&self) {
        if let Some(directory) = &self.config.cache_dir {
            cache::seal(directory);
        }
    }

    /// How often compiled code was found in the cache, and how often it was not; none without a cache.
    pub fn cache_use(&self) -> Option<(usize, usize)> {
        self.cache.as_ref().map(|cache| (cache.cache_hits(), cache.cache_misses()))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }
}

/// The cache in a directory, after everything that cannot be trusted was removed from it.
pub(crate) fn compile_cache(directory: &Path) -> Result<Cache, EngineError> {
    cache::prepare(directory)?;
    let mut config = CacheConfig::new();
    config.with_directory(directory.join(cache::CODE));
    // Entries are never rewritten behind our back: each is sealed with its hash.
    config.with_optimized_compression_usage_counter_threshold(u64::MAX);
    // Quick to unpack before small.
    config.with_baseline_compression_level(1);
    Cache::new(config).map_err(|error| EngineError::Machine(format!("the compile cache: {error:#}")))
}

/// Advances the epoch for as long as there is an engine.
fn start_ticker(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    let tick = move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("longshore-ticker".into()).spawn(tick).map(|_| ())
}
