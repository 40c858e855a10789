//! The state of one operation: who asks, what it may use, what it has used.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use longshore_core::{
    backends::Backends,
    caller::{Caller, DriverName, TaskScope},
    driver::{NetworkRequest, Task},
    error::{HostError, Result},
    policy::Policy,
    record::Level,
};
use wasmtime::{Store, UpdateDeadline, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    http::{EngineRouter, HttpEngine},
    limits::{CALL_BYTES, LOG_LINE_BYTES, MemoryCap, Meter, OperationLimits, cut},
    stdio::LogStream,
};

/// What all operations of one driver share.
pub(crate) struct DriverHost {
    pub(crate) name: DriverName,
    pub(crate) backends: Backends,
    pub(crate) policy: Policy,
    /// The operator's settings for it, JSON text.
    pub(crate) settings: String,
    pub(crate) limits: OperationLimits,
    /// Engines its `http:…` grants name.
    pub(crate) engines: Arc<BTreeMap<String, HttpEngine>>,
}

/// On whose behalf an operation is run.
#[derive(Clone, Copy)]
pub(crate) enum For<'a> {
    /// The driver's own.
    Driver,
    /// The driver's own, without any grant in force: no call to a backend is answered.
    Pure,
    /// A task's.
    Task(&'a Task),
    /// A task's that is not there yet: its start is tried, and nothing is made.
    Rehearsal(&'a Task),
    /// An allocation's for its network, which is none of its tasks'.
    Network(&'a NetworkRequest),
}

/// What answers the calls of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// The backends.
    Real,
    /// Nobody: `describe` and the schemas must not need any.
    None,
    /// Policy alone, and pulls that seem to go well.
    Rehearsal,
}

/// One operation: the data of its store.
pub(crate) struct Operation {
    pub(crate) host: Arc<DriverHost>,
    pub(crate) caller: Caller,
    pub(crate) name: &'static str,
    pub(crate) answers: Answers,
    pub(crate) events: u32,
    logged: Arc<LogBudget>,
    memory: MemoryCap,
    meter: Meter,
    table: ResourceTable,
    wasi: Option<Box<WasiCtx>>,
    http: Option<Box<(WasiHttpCtx, EngineRouter)>>,
}

/// Writes an operation's log lines, as many as it may.
pub(crate) struct LogBudget {
    host: Arc<DriverHost>,
    task: Option<longshore_core::caller::TaskId>,
    operation: &'static str,
    lines: std::sync::atomic::AtomicU32,
}

impl LogBudget {
    /// Writes one line, cut to size, or counts it.
    pub(crate) fn line(&self, level: Level, message: &str) {
        let before = self.lines.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if before < self.host.limits.log_lines {
            self.write(level, cut(message, LOG_LINE_BYTES));
        }
    }

    fn write(&self, level: Level, message: &str) {
        self.host.backends.log.line(&self.host.name, self.task.as_ref(), self.operation, level, message);
    }
}

impl Drop for LogBudget {
    /// Says how many lines were dropped, also when the operation crashed or was given up.
    fn drop(&mut self) {
        let lines = *self.lines.get_mut();
        let limit = self.host.limits.log_lines;
        if lines > limit {
            let dropped = lines - limit;
            self.write(Level::Warn, &format!("{dropped} more log lines dropped: an operation may write {limit}"));
        }
    }
}

impl Operation {
    /// The state of an operation that begins, and what it will have used.
    pub(crate) fn new(host: &Arc<DriverHost>, name: &'static str, whose: For<'_>, meter: &Meter) -> Self {
        let task = match whose {
            For::Driver | For::Pure => None,
            For::Task(task) | For::Rehearsal(task) => Some(scope(task)),
            For::Network(request) => Some(request.scope()),
        };
        let caller = Caller { driver: host.name.clone(), task };
        let logged = LogBudget {
            host: host.clone(),
            task: caller.task.as_ref().map(|task| task.id.clone()),
            operation: name,
            lines: 0.into(),
        };
        let memory_bytes = usize::try_from(u64::from(host.limits.memory_mib) << 20).unwrap_or(usize::MAX);
        Self {
            caller,
            name,
            answers: match whose {
                For::Pure => Answers::None,
                For::Rehearsal(_) => Answers::Rehearsal,
                _ => Answers::Real,
            },
            events: 0,
            logged: Arc::new(logged),
            memory: MemoryCap::new(memory_bytes, meter),
            meter: meter.clone(),
            table: ResourceTable::new(),
            wasi: None,
            http: None,
            host: host.clone(),
        }
    }

    /// A store for it, whose guest code lets others run every tick and stops when its time is over.
    pub(crate) fn into_store(self, engine: &wasmtime::Engine) -> Store<Self> {
        let guest_time = Duration::from_millis(self.host.limits.guest_ms);
        let mut store = Store::new(engine, self);
        store.limiter(|operation| &mut operation.memory);
        store.set_hostcall_fuel(CALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |store| match store.data().meter.guest_time() < guest_time {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Ok(UpdateDeadline::Interrupt),
        });
        store
    }

    /// A backend of this host, by what it is called.
    pub(crate) fn backend<'a, T: ?Sized>(&self, backend: &'a Option<Arc<T>>, what: &str) -> Result<&'a T> {
        match self.answers {
            Answers::Real => {}
            Answers::Rehearsal => return Err(HostError::Unavailable("a start is only rehearsed".into())),
            Answers::None => {
                let text = format!("`{}` is called without any grant in force and cannot use {what}", self.name);
                return Err(HostError::Denied(text));
            }
        }
        backend.as_deref().ok_or_else(|| HostError::Unavailable(format!("this host has no {what}")))
    }

    /// Writes a log line of the driver.
    pub(crate) fn log(&self, level: Level, message: &str) {
        self.logged.line(level, message);
    }
}

/// What backends need to know of a task.
fn scope(task: &Task) -> TaskScope {
    TaskScope {
        id: task.id.clone(),
        dirs: task.dirs.clone(),
        ports: task.ports.clone(),
        logs: task.logs.clone(),
        network_namespace: task.network.namespace_path.as_ref().map(Into::into),
    }
}

impl WasiView for Operation {
    /// What the runtimes of other languages link against. It opens nothing: no directory, no variable, no
    /// argument, no socket; output becomes log lines. Made when first used, as Rust drivers never do.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let logged = &self.logged;
        let wasi = self.wasi.get_or_insert_with(|| {
            let mut wasi = WasiCtxBuilder::new();
            wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
            wasi.stdout(LogStream::new(logged.clone(), Level::Info));
            wasi.stderr(LogStream::new(logged.clone(), Level::Warn));
            Box::new(wasi.build())
        });
        WasiCtxView { ctx: wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Operation {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let engines = || if self.answers == Answers::Real { self.host.engines.clone() } else { Arc::default() };
        let http = self.http.get_or_insert_with(|| Box::new((WasiHttpCtx::new(), EngineRouter::new(engines()))));
        let (ctx, hooks) = &mut **http;
        WasiHttpCtxView { ctx, table: &mut self.table, hooks }
    }
}
