//! A component run *as a task*, in a process of its own: `wasi:cli/run` commands and `wasi:http` handlers.
//!
//! The process is started by the host's `components` backend under the same supervisor as any native process,
//! so the task outlives the agent. The component sees its arguments, its environment, the directories it was
//! given, standard output and nothing else; connections go out only when the job allows it.

mod http;
mod limits;

use std::{fs, path::PathBuf};

use longshore_core::{
    component::{ComponentKind, ComponentSpec},
    workload::{Mount, MountKind},
};
use thiserror::Error;
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::bindings::CommandPre};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use self::{http::Outbound, limits::SharedMemory};
use crate::code::{self, KeptCode};

/// Why a component could not be run as a task.
#[derive(Debug, Error)]
pub enum TaskError {
    /// Its file cannot be read or is no component.
    #[error("cannot load component {path}: {reason}")]
    Load {
        /// The file.
        path: PathBuf,
        /// The reason, one line.
        reason: String,
    },
    /// A directory it was given cannot be opened.
    #[error("cannot open {path} for the component: {reason}")]
    Mount {
        /// The host path.
        path: String,
        /// The reason.
        reason: String,
    },
    /// It does not export what its kind says, or imports what tasks do not get.
    #[error("{path} cannot run as {kind}: {reason}")]
    World {
        /// The file.
        path: PathBuf,
        /// `a command (wasi:cli/run)` or `an HTTP handler (wasi:http/incoming-handler)`.
        kind: &'static str,
        /// What is missing.
        reason: String,
    },
    /// The address to serve cannot be bound.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// The guest trapped.
    #[error("the component crashed: {0}")]
    Trapped(String),
}

/// Runs a component until it ends and answers its exit code. An HTTP handler serves until the process is
/// killed. Where compiled code is kept, the next start is quick.
pub async fn run(spec: &ComponentSpec, kept: Option<&KeptCode>) -> Result<i32, TaskError> {
    let host = TaskHost::load(spec, kept)?;
    match spec.kind {
        ComponentKind::Command => run_command(host).await,
        ComponentKind::HttpProxy => http::serve(host).await,
    }
}

/// A loaded component and what each of its instances gets.
struct TaskHost {
    spec: ComponentSpec,
    engine: Engine,
    component: Component,
    linker: Linker<Guest>,
    memory: SharedMemory,
}

/// Data of one instance's store.
struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    memory: limits::Claim,
}

impl TaskHost {
    fn load(spec: &ComponentSpec, kept: Option<&KeptCode>) -> Result<Self, TaskError> {
        let load =
            |error: wasmtime::Error| TaskError::Load { path: spec.path.clone().into(), reason: format!("{error:#}") };
        let engine = Engine::new(&Config::new()).map_err(load)?;
        let component = fs::read(&spec.path).map_err(|error| load(error.into()))?;
        let component = code::find_or_make(kept, &engine, &component).map_err(load)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(load)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(load)?;
        let memory = SharedMemory::new(spec.limits.memory_mib);
        Ok(Self { spec: spec.clone(), engine, component, linker, memory })
    }

    /// A store for one more instance.
    fn store(&self) -> Result<Store<Guest>, TaskError> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.inherit_stdout().inherit_stderr().args(&self.spec.args).envs(&self.spec.env);
        if self.spec.allow_outbound {
            wasi.inherit_network().allow_ip_name_lookup(true);
        } else {
            wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        }
        for mount in &self.spec.mounts {
            open_mount(&mut wasi, mount)?;
        }
        let guest = Guest {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound { allowed: self.spec.allow_outbound },
            memory: self.memory.claim(),
        };
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        Ok(store)
    }

    fn wrong_world(&self, kind: &'static str, error: &wasmtime::Error) -> TaskError {
        TaskError::World { path: self.spec.path.clone().into(), kind, reason: format!("{error:#}") }
    }
}

fn open_mount(wasi: &mut WasiCtxBuilder, mount: &Mount) -> Result<(), TaskError> {
    let failed = |reason: String| TaskError::Mount { path: mount.source.clone(), reason };
    if mount.kind != MountKind::Bind {
        return Err(failed("only directories of the host can be given to a component".into()));
    }
    let permissions = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
    wasi.preopened_dir(&mount.source, &mount.target, permissions).map_err(|error| failed(format!("{error:#}")))?;
    Ok(())
}

async fn run_command(host: TaskHost) -> Result<i32, TaskError> {
    let wrong = |error| host.wrong_world("a command (wasi:cli/run)", &error);
    let pre = host.linker.instantiate_pre(&host.component).and_then(CommandPre::new).map_err(wrong)?;
    let mut store = host.store()?;
    let command = pre.instantiate_async(&mut store).await.map_err(trapped)?;
    match command.wasi_cli_run().call_run(&mut store).await {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => Ok(exit.0),
            None => Err(trapped(error)),
        },
    }
}

fn trapped(error: wasmtime::Error) -> TaskError {
    TaskError::Trapped(format!("{error:#}"))
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}
