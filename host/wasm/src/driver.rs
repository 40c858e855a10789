//! A loaded driver: each operation on a fresh instance, each failure told in words.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use longshore_core::{
    driver::{
        CreatedNetwork, Driver, DriverError, DriverInfo, Fingerprint, Health, NetworkRequest, Observation, StartError,
        Started, StopRequest, Task, TaskStatus,
    },
    error::HostError,
    exec::{ExecRequest, ExecSession},
    record::Level,
    workload::Usage,
};
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    bindings::exports::longshore::driver::lifecycle,
    convert::map,
    exports::{self, Exports},
    store::{DriverHost, Operation},
    trap,
};

/// How long a stop may take beyond the grace it was given.
const STOP_MARGIN: Duration = Duration::from_secs(30);

/// A driver's component, ready to be instantiated.
pub(crate) struct Runner {
    pub(crate) host: Arc<DriverHost>,
    pub(crate) pre: InstancePre<Operation>,
    pub(crate) exports: Exports,
}

/// What an operation of a guest answers, inside what wasmtime says.
type Answer<T> = wasmtime::Result<Result<T, crate::bindings::longshore::host::types::Error>>;

impl Runner {
    /// Runs `body` on a fresh instance within the limits. The store, and all that the guest held, is gone when
    /// this returns, crashed or not.
    pub(crate) async fn run<T, F>(
        &self,
        operation: Operation,
        limit: Duration,
        body: impl FnOnce(Store<Operation>, Instance) -> F,
    ) -> Result<T, DriverError>
    where
        F: Future<Output = wasmtime::Result<T>>,
    {
        let name = operation.name;
        let meter = operation.meter();
        let running = meter.measure(async {
            let mut store = operation.into_store(self.pre.engine());
            let instance = self.pre.instantiate_async(&mut store).await?;
            body(store, instance).await
        });
        match tokio::time::timeout(limit, running).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.trapped(name, &error, meter.memory_reached())),
            Err(_) => Err(DriverError::TimedOut {
                driver: self.host.name.to_string(),
                operation: name.into(),
                limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    fn trapped(&self, operation: &str, error: &wasmtime::Error, memory_reached: bool) -> DriverError {
        let cause = trap::cause(error, memory_reached, &self.host.limits);
        let backtrace = trap::backtrace(error);
        tracing::warn!(driver = %self.host.name, operation, cause, "a driver crashed\n{backtrace}");
        DriverError::Trapped { driver: self.host.name.to_string(), operation: operation.into(), cause, backtrace }
    }

    fn refused(&self, operation: &str, reason: HostError) -> DriverError {
        DriverError::Refused { driver: self.host.name.to_string(), operation: operation.into(), reason }
    }

    fn unsupported(&self, interface: &'static str) -> DriverError {
        DriverError::Unsupported { driver: self.host.name.to_string(), interface }
    }

    /// An operation for a task whose answer is a `result`.
    async fn ask<T, F>(
        &self,
        name: &'static str,
        task: &Task,
        limit: Duration,
        body: impl FnOnce(Store<Operation>, Instance) -> F,
    ) -> Result<T, DriverError>
    where
        F: Future<Output = Answer<T>>,
    {
        self.ask_as(Operation::new(&self.host, name, Some(task)), limit, body).await
    }

    /// The same for anybody.
    async fn ask_as<T, F>(
        &self,
        operation: Operation,
        limit: Duration,
        body: impl FnOnce(Store<Operation>, Instance) -> F,
    ) -> Result<T, DriverError>
    where
        F: Future<Output = Answer<T>>,
    {
        let name = operation.name;
        let answer = self.run(operation, limit, body).await?;
        answer.map_err(|reason| self.refused(name, reason.into()))
    }

    fn operation_limit(&self) -> Duration {
        Duration::from_millis(self.host.limits.operation_ms)
    }
}

/// A driver that was loaded, linked with what it was granted, and described itself.
pub struct LoadedDriver {
    pub(crate) info: DriverInfo,
    pub(crate) runner: Runner,
}

impl LoadedDriver {
    async fn try_fingerprint(&self) -> Result<Fingerprint, DriverError> {
        let runner = &self.runner;
        let operation = Operation::new(&runner.host, "about.fingerprint", None);
        let call = |mut store: Store<Operation>, instance| async move {
            let about = runner.exports.about.load(&mut store, &instance)?;
            about.call_fingerprint(&mut store).await
        };
        let result = runner.run(operation, runner.operation_limit(), call).await?;
        let mut attributes = map(result.attributes);
        let own = format!("driver.{}", self.info.description.name);
        attributes.retain(|key, _| {
            let kept = key == &own || key.strip_prefix(&own).is_some_and(|rest| rest.starts_with('.'));
            if !kept {
                let text = format!("attribute {key:?} dropped: a driver's attributes begin with {own:?}");
                runner.host.backends.log.line(&runner.host.name, None, "about.fingerprint", Level::Warn, &text);
            }
            kept
        });
        Ok(Fingerprint { health: result.health.into(), attributes })
    }

    async fn try_start(&self, task: &Task) -> Result<Started, StartError> {
        const NAME: &str = "lifecycle.start";
        let runner = &self.runner;
        let call = |mut store: Store<Operation>, instance| async move {
            let lifecycle = runner.exports.lifecycle.load(&mut store, &instance)?;
            lifecycle.call_start(&mut store, &task.into()).await
        };
        let limit = Duration::from_millis(runner.host.limits.start_ms);
        // A crash may be a passing one; the restart policy bounds how often that is hoped for.
        let crashed = |error| StartError { error, recoverable: true };
        let answer = runner.run(Operation::new(&runner.host, NAME, Some(task)), limit, call).await.map_err(crashed)?;
        let started = answer.map_err(|refusal| StartError {
            error: runner.refused(NAME, refusal.reason.into()),
            recoverable: refusal.recoverable,
        })?;
        let unusable = |reason| StartError { error: runner.refused(NAME, reason), recoverable: false };
        exports::started(started, self.info.capabilities).map_err(unusable)
    }
}

#[async_trait]
impl Driver for LoadedDriver {
    fn info(&self) -> &DriverInfo {
        &self.info
    }

    async fn fingerprint(&self) -> Fingerprint {
        self.try_fingerprint().await.unwrap_or_else(|error| Fingerprint {
            health: Health::Unhealthy(error.to_string()),
            attributes: Default::default(),
        })
    }

    async fn start(&self, task: &Task) -> Result<Started, StartError> {
        self.try_start(task).await
    }

    async fn recover(&self, task: &Task, handle: &[u8]) -> Result<Started, DriverError> {
        const NAME: &str = "lifecycle.recover";
        let runner = &self.runner;
        let call = |mut store: Store<Operation>, instance| async move {
            let lifecycle = runner.exports.lifecycle.load(&mut store, &instance)?;
            lifecycle.call_recover(&mut store, &task.into(), handle).await
        };
        let started = runner.ask(NAME, task, runner.operation_limit(), call).await?;
        exports::started(started, self.info.capabilities).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn stop(&self, task: &Task, handle: &[u8], request: &StopRequest) -> Result<(), DriverError> {
        let runner = &self.runner;
        let how = lifecycle::StopRequest { signal: request.signal.clone(), grace_ms: request.grace_ms };
        let call = |mut store: Store<Operation>, instance| async move {
            let lifecycle = runner.exports.lifecycle.load(&mut store, &instance)?;
            lifecycle.call_stop(&mut store, &task.into(), handle, &how).await
        };
        let limit = Duration::from_millis(request.grace_ms.into()) + STOP_MARGIN;
        runner.ask("lifecycle.stop", task, limit, call).await
    }

    async fn destroy(&self, task: &Task, handle: Option<&[u8]>) -> Result<(), DriverError> {
        let runner = &self.runner;
        let handle = handle.map(<[u8]>::to_vec);
        let call = |mut store: Store<Operation>, instance| async move {
            let lifecycle = runner.exports.lifecycle.load(&mut store, &instance)?;
            lifecycle.call_destroy(&mut store, &task.into(), handle.as_deref()).await
        };
        runner.ask("lifecycle.destroy", task, runner.operation_limit(), call).await
    }

    async fn inspect(&self, task: &Task, handle: &[u8]) -> Result<TaskStatus, DriverError> {
        let runner = &self.runner;
        let call = |mut store: Store<Operation>, instance| async move {
            let lifecycle = runner.exports.lifecycle.load(&mut store, &instance)?;
            lifecycle.call_inspect(&mut store, &task.into(), handle).await
        };
        runner.ask("lifecycle.inspect", task, runner.operation_limit(), call).await.map(Into::into)
    }

    async fn signal(&self, task: &Task, handle: &[u8], name: &str) -> Result<(), DriverError> {
        let runner = &self.runner;
        let signals = runner.exports.signals.as_ref().ok_or_else(|| runner.unsupported("signals"))?;
        let call = |mut store: Store<Operation>, instance| async move {
            let signals = signals.load(&mut store, &instance)?;
            signals.call_send(&mut store, &task.into(), handle, name).await
        };
        runner.ask("signals.send", task, runner.operation_limit(), call).await
    }

    async fn exec(&self, task: &Task, handle: &[u8], request: &ExecRequest) -> Result<ExecSession, DriverError> {
        const NAME: &str = "exec.open";
        let runner = &self.runner;
        let exec = runner.exports.exec.as_ref().ok_or_else(|| runner.unsupported("exec"))?;
        let call = |mut store: Store<Operation>, instance| async move {
            let exec = exec.load(&mut store, &instance)?;
            exec.call_open(&mut store, &task.into(), handle, &request.into()).await
        };
        let session = runner.ask(NAME, task, runner.operation_limit(), call).await?;
        exports::session(session).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn sample(&self, task: &Task, handle: &[u8]) -> Result<Usage, DriverError> {
        let runner = &self.runner;
        let stats = runner.exports.stats.as_ref().ok_or_else(|| runner.unsupported("stats"))?;
        let call = |mut store: Store<Operation>, instance| async move {
            let stats = stats.load(&mut store, &instance)?;
            stats.call_sample(&mut store, &task.into(), handle).await
        };
        runner.ask("stats.sample", task, runner.operation_limit(), call).await.map(Into::into)
    }

    async fn poll(&self, task: &Task, handle: &[u8]) -> Result<Observation, DriverError> {
        const NAME: &str = "poll.check";
        let runner = &self.runner;
        let poll = runner.exports.poll.as_ref().ok_or_else(|| runner.unsupported("poll"))?;
        let call = |mut store: Store<Operation>, instance| async move {
            let poll = poll.load(&mut store, &instance)?;
            poll.call_check(&mut store, &task.into(), handle).await
        };
        let seen = runner.ask(NAME, task, runner.operation_limit(), call).await?;
        exports::observation(seen).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn create_network(&self, request: &NetworkRequest) -> Result<CreatedNetwork, DriverError> {
        const NAME: &str = "network.create";
        let runner = &self.runner;
        let network = runner.exports.network.as_ref().ok_or_else(|| runner.unsupported("network"))?;
        let call = |mut store: Store<Operation>, instance| async move {
            let network = network.load(&mut store, &instance)?;
            network.call_create(&mut store, &request.into()).await
        };
        let limit = Duration::from_millis(runner.host.limits.start_ms);
        let made = runner.ask_as(Operation::for_network(&runner.host, NAME, request), limit, call).await?;
        exports::created(made).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn destroy_network(&self, request: &NetworkRequest, handle: Option<&[u8]>) -> Result<(), DriverError> {
        let runner = &self.runner;
        let network = runner.exports.network.as_ref().ok_or_else(|| runner.unsupported("network"))?;
        let handle = handle.map(<[u8]>::to_vec);
        let call = |mut store: Store<Operation>, instance| async move {
            let network = network.load(&mut store, &instance)?;
            network.call_destroy(&mut store, &request.alloc.0, handle.as_deref()).await
        };
        let operation = Operation::for_network(&runner.host, "network.destroy", request);
        runner.ask_as(operation, runner.operation_limit(), call).await
    }
}
