//! The one wasmtime engine of a program: how code is compiled, kept, bounded and interrupted.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use thiserror::Error;
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    sync::{Semaphore, SemaphorePermit, oneshot},
};
use wasmtime::{Config, component::Component};

use crate::{
    code::{self, KeptCode},
    pool,
    trap::one_line,
};

/// How often running guest code is looked at: the precision of every limit on guest time.
pub const TICK: Duration = Duration::from_millis(10);

/// How long nothing runs before the epoch rests, so that who calls often need not wake it.
const QUIET: Duration = Duration::from_secs(1);
/// After so long it is seen whether there still is an engine.
const REST: Duration = Duration::from_secs(5);

/// Starts at once for each processor.
const STARTS: usize = 4;

/// Most compilations at once. Each uses several processors itself.
const COMPILATIONS: usize = 2;

/// How an [`Engine`] is made.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where compiled code is kept; none to compile every time.
    pub code: Option<KeptCode>,
    /// What compiles when code is kept; none to compile in this process.
    pub compiler: Option<Compiler>,
    /// Largest component file, bytes.
    pub max_component_bytes: u64,
    /// Longest compilation of one component.
    pub compile_timeout: Duration,
}

/// A program that calls [`compile`] on its standard input and writes the code to its standard output: what compiling
/// takes is then given back, and a component that makes the compiler crash or hog costs that process. It is told the
/// SHA-256 of the component in hex, and need not read one that it has itself.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; the SHA-256 comes after them.
    pub arguments: Vec<OsString>,
}

impl Default for EngineConfig {
    /// No code is kept, 64 MiB, two minutes.
    fn default() -> Self {
        Self { code: None, compiler: None, max_component_bytes: 64 << 20, compile_timeout: Duration::from_secs(120) }
    }
}

/// Why no engine could be made.
#[derive(Debug, Error)]
pub enum EngineError {
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
    /// The compiler could not be started.
    #[error("cannot start the compiler: {0}")]
    Start(std::io::Error),
}

/// The engine. Clones share it; its ticker thread ends with the last of them.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    config: Arc<EngineConfig>,
    compiled: Arc<AtomicUsize>,
    room: Arc<Semaphore>,
    ticker: Arc<Ticker>,
    starting: Arc<Semaphore>,
    /// For as many compilations as keep the machine busy: each takes memory.
    compiling: Arc<Semaphore>,
}

impl Engine {
    /// Makes the engine and starts its ticker.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let inner = make()?;
        let room = Arc::new(Semaphore::new(pool::OPERATIONS));
        let ticker = Arc::new(Ticker::start(&inner, &room).map_err(EngineError::Thread)?);
        let starting = Arc::new(Semaphore::new(STARTS * thread::available_parallelism().map_or(1, usize::from)));
        let compiling = Arc::new(Semaphore::new(COMPILATIONS));
        Ok(Self { inner, config: Arc::new(config), compiled: Arc::default(), room, ticker, starting, compiling })
    }

    /// Waits until one more operation may run: each holds memory, so there is a most. Never fails, as nobody closes
    /// the semaphore.
    pub(crate) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        let room = self.room.acquire().await.ok();
        self.ticker.wake();
        room
    }

    /// Waits for a turn to start something.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.starting.acquire().await.ok()
    }

    /// Largest component file it takes, bytes.
    pub fn max_component_bytes(&self) -> u64 {
        self.config.max_component_bytes
    }

    /// How many components were compiled, and not found where code is kept.
    pub fn compiled(&self) -> usize {
        self.compiled.load(Ordering::Relaxed)
    }

    /// The code of a component whose SHA-256 is `digest`: found, or compiled and kept.
    pub(crate) async fn code(&self, digest: &str, component: &Bytes) -> Result<Component, CompileError> {
        if let Some(store) = &self.config.code {
            let key = code::key(&self.inner, digest);
            if let Some(found) = store.load(&self.inner, &key) {
                return Ok(found);
            }
            let compiled = self.compile(digest, component).await?;
            if let Some(kept) = code::keep(store, &self.inner, &key, &compiled) {
                return Ok(kept);
            }
        }
        self.compile_here(component, |engine, bytes| Component::new(engine, bytes)).await
    }

    async fn compile(&self, digest: &str, component: &Bytes) -> Result<Vec<u8>, CompileError> {
        let _turn = self.compiling.acquire().await;
        match &self.config.compiler {
            Some(compiler) => self.compile_apart(compiler, digest, component).await,
            None => self.compile_here(component, wasmtime::Engine::precompile_component).await,
        }
    }

    /// On a thread of its own, because nothing bounds the time Cranelift takes; when that is over, the thread is left
    /// behind.
    async fn compile_here<T: Send + 'static>(
        &self,
        component: &Bytes,
        work: fn(&wasmtime::Engine, &[u8]) -> wasmtime::Result<T>,
    ) -> Result<T, CompileError> {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let (engine, component) = (self.inner.clone(), component.clone());
        thread::Builder::new()
            .name("longshore-compile".into())
            .spawn(move || sender.send(work(&engine, &component)).is_ok())
            .map_err(CompileError::Start)?;
        let compiled = tokio::time::timeout(self.config.compile_timeout, receiver).await;
        let compiled = compiled.map_err(|_| CompileError::TimedOut(self.config.compile_timeout))?;
        compiled.map_err(|_| CompileError::Crashed)?.map_err(|error| CompileError::Invalid(one_line(&error)))
    }

    async fn compile_apart(
        &self,
        compiler: &Compiler,
        digest: &str,
        component: &[u8],
    ) -> Result<Vec<u8>, CompileError> {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let mut process = Command::new(&compiler.program)
            .args(&compiler.arguments)
            .arg(digest)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(CompileError::Start)?;
        let input = process.stdin.take();
        let feed = async {
            if let Some(mut input) = input {
                // One that does not read to the end knows it already, or says what is wrong itself.
                let _ = input.write_all(component).await;
            }
        };
        let work = async { tokio::join!(feed, process.wait_with_output()).1 };
        let output = tokio::time::timeout(self.config.compile_timeout, work).await;
        let output = output.map_err(|_| CompileError::TimedOut(self.config.compile_timeout))?;
        let output = output.map_err(CompileError::Start)?;
        match output.status.code() {
            Some(0) => Ok(output.stdout),
            Some(code) if code == i32::from(INVALID) => {
                Err(CompileError::Invalid(String::from_utf8_lossy(&output.stderr).trim().into()))
            }
            _ => Err(CompileError::Crashed),
        }
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }
}

/// Exit code of a [`Compiler`] for what wasmtime does not accept; its standard error then says why, in one line.
pub const INVALID: u8 = 65;

/// Compiles a component to what an [`Engine`] keeps. For the program that is the [`Compiler`].
pub fn compile(component: &[u8]) -> Result<Vec<u8>, CompileError> {
    let engine = make().map_err(|error| CompileError::Invalid(error.to_string()))?;
    engine.precompile_component(component).map_err(|error| CompileError::Invalid(one_line(&error)))
}

fn make() -> Result<wasmtime::Engine, EngineError> {
    let mut settings = Config::new();
    settings.epoch_interruption(true);
    // The contract is plain sync functions: without the bookkeeping of concurrent guests a call is 40 % cheaper.
    settings.concurrency_support(false);
    // Nothing here unwinds through guest code; a load is quicker without telling the C library how to.
    settings.native_unwind_info(false);
    pool::engine(settings).map_err(|error| EngineError::Machine(format!("{error:#}")))
}

/// The thread that advances the epoch for as long as there is an engine, and rests while nothing runs.
struct Ticker {
    thread: thread::Thread,
    rests: Arc<AtomicBool>,
}

impl Ticker {
    /// `room` has all its permits while nothing runs.
    fn start(engine: &wasmtime::Engine, room: &Arc<Semaphore>) -> std::io::Result<Self> {
        let (weak, room, rests) = (engine.weak(), room.clone(), Arc::<AtomicBool>::default());
        let resting = rests.clone();
        let tick = move || {
            let mut quiet = Duration::ZERO;
            let nothing_runs = || room.available_permits() == pool::OPERATIONS;
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                quiet = if nothing_runs() { quiet + TICK } else { Duration::ZERO };
                resting.store(quiet >= QUIET, Ordering::SeqCst);
                // Asked again: who began before this thread was seen to rest does not wake it.
                if quiet >= QUIET && nothing_runs() {
                    thread::park_timeout(REST);
                    resting.store(false, Ordering::SeqCst);
                } else {
                    thread::sleep(TICK);
                }
            }
        };
        let handle = thread::Builder::new().name("longshore-ticker".into()).spawn(tick)?;
        Ok(Self { thread: handle.thread().clone(), rests })
    }

    /// Something runs.
    fn wake(&self) {
        if self.rests.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}
