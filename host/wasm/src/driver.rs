//! A loaded driver: each operation on a fresh instance, each failure told in words.

use std::{pin::pin, sync::Arc, time::Duration};

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
    convert::told_map,
    engine::Engine,
    exports::{self, Answer, Exports},
    function::{Function, Parameters, Results},
    limits::Meter,
    store::{DriverHost, For, Operation},
    trap,
};

/// How long a stop may take beyond the grace it was given.
const STOP_MARGIN: Duration = Duration::from_secs(30);
/// How long a start keeps others waiting.
const TURN: Duration = Duration::from_secs(2);

/// A driver's component, ready to be instantiated.
pub(crate) struct Runner {
    pub(crate) engine: Engine,
    pub(crate) host: Arc<DriverHost>,
    pub(crate) pre: InstancePre<Operation>,
    pub(crate) exports: Exports,
}

impl Runner {
    /// Runs `body` on a fresh instance within the limits. The store, and all that the guest held, is gone when
    /// this returns, crashed or not. What is large is made where it stays: moving it about takes as long as the work of a
    /// small operation.
    pub(crate) async fn run<T>(
        &self,
        name: &'static str,
        whose: For<'_>,
        limit: Duration,
        body: impl AsyncFnOnce(&mut Store<Operation>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, DriverError> {
        let meter = Meter::new();
        let _room = self.engine.room().await;
        let running = pin!(async {
            let mut store = Operation::new(&self.host, name, whose, &meter).into_store(self.pre.engine());
            let instance = self.pre.instantiate_async(&mut store).await?;
            body(&mut store, &instance).await
        });
        match tokio::time::timeout(limit, meter.measure(running)).await {
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

    /// Calls one function on an instance of its own.
    async fn call<P: Parameters, R: Results>(
        &self,
        function: &Function<P, R>,
        name: &'static str,
        whose: For<'_>,
        limit: Duration,
        parameters: impl FnOnce() -> P,
    ) -> Result<R, DriverError> {
        self.run(name, whose, limit, async |store, instance| function.call(store, instance, parameters()).await).await
    }

    /// Calls one that may refuse.
    async fn ask<P: Parameters, T: Results>(
        &self,
        function: &Function<P, Answer<T>>,
        name: &'static str,
        whose: For<'_>,
        limit: Duration,
        parameters: impl FnOnce() -> P,
    ) -> Result<T, DriverError> {
        let answer = self.call(function, name, whose, limit, parameters).await?;
        answer.map_err(|reason| self.refused(name, reason.into()))
    }

    /// Starts something. Starts come in crowds, all at once would be no quicker, and what memory each has meanwhile is
    /// kept for operations to come: so there are turns. Whose turn takes long, as a pull does, gives it up and goes on.
    async fn in_turn<T>(&self, start: impl Future<Output = T>) -> T {
        let turn = self.engine.turn().await;
        let mut start = std::pin::pin!(start);
        if let Ok(answer) = tokio::time::timeout(TURN, &mut start).await {
            return answer;
        }
        drop(turn);
        start.await
    }

    fn operation_limit(&self) -> Duration {
        Duration::from_millis(self.host.limits.operation_ms)
    }
}

/// A driver that was loaded, linked with what it was granted, and described itself.
pub struct LoadedDriver {
    pub(crate) info: Arc<DriverInfo>,
    pub(crate) runner: Runner,
}

impl LoadedDriver {
    async fn try_fingerprint(&self) -> Result<Fingerprint, DriverError> {
        let runner = &self.runner;
        let limit = runner.operation_limit();
        let result = runner.call(&runner.exports.fingerprint, "about.fingerprint", For::Driver, limit, || ()).await?;
        let mut attributes = told_map(result.attributes);
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
        let limit = Duration::from_millis(runner.host.limits.start_ms);
        // A crash may be a passing one; the restart policy bounds how often that is hoped for.
        let crashed = |error| StartError { error, recoverable: true };
        let answer =
            runner.in_turn(runner.call(&runner.exports.start, NAME, For::Task(task), limit, || (task.into(),)));
        let answer = answer.await.map_err(crashed)?;
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
    fn info(&self) -> &Arc<DriverInfo> {
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

    async fn rehearse(&self, task: &Task) -> Option<String> {
        let runner = &self.runner;
        if !self.info.is_rehearsed() {
            return None;
        }
        let whose = For::Rehearsal(task);
        let limit = runner.operation_limit();
        match runner.call(&runner.exports.start, "lifecycle.start", whose, limit, || (task.into(),)).await {
            Ok(Err(refusal)) => match refusal.reason.into() {
                HostError::Denied(why) => Some(why),
                _ => None,
            },
            _ => None,
        }
    }

    async fn recover(&self, task: &Task, handle: &[u8]) -> Result<Started, DriverError> {
        const NAME: &str = "lifecycle.recover";
        let runner = &self.runner;
        let limit = runner.operation_limit();
        let parameters = || (task.into(), handle);
        let started = runner.ask(&runner.exports.recover, NAME, For::Task(task), limit, parameters).await?;
        exports::started(started, self.info.capabilities).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn stop(&self, task: &Task, handle: &[u8], request: &StopRequest) -> Result<(), DriverError> {
        let runner = &self.runner;
        let how = lifecycle::StopRequest { signal: request.signal.clone(), grace_ms: request.grace_ms };
        let limit = Duration::from_millis(request.grace_ms.into()) + STOP_MARGIN;
        runner.ask(&runner.exports.stop, "lifecycle.stop", For::Task(task), limit, || (task.into(), handle, how)).await
    }

    async fn destroy(&self, task: &Task, handle: Option<&[u8]>) -> Result<(), DriverError> {
        let runner = &self.runner;
        let limit = runner.operation_limit();
        let parameters = || (task.into(), handle);
        runner.ask(&runner.exports.destroy, "lifecycle.destroy", For::Task(task), limit, parameters).await
    }

    async fn inspect(&self, task: &Task, handle: &[u8]) -> Result<TaskStatus, DriverError> {
        let runner = &self.runner;
        let limit = runner.operation_limit();
        let parameters = || (task.into(), handle);
        runner
            .ask(&runner.exports.inspect, "lifecycle.inspect", For::Task(task), limit, parameters)
            .await
            .map(Into::into)
    }

    async fn signal(&self, task: &Task, handle: &[u8], name: &str) -> Result<(), DriverError> {
        let runner = &self.runner;
        let send = runner.exports.send_signal.as_ref().ok_or_else(|| runner.unsupported("signals"))?;
        let limit = runner.operation_limit();
        runner.ask(send, "signals.send", For::Task(task), limit, || (task.into(), handle, name)).await
    }

    async fn exec(&self, task: &Task, handle: &[u8], request: &ExecRequest) -> Result<ExecSession, DriverError> {
        const NAME: &str = "exec.open";
        let runner = &self.runner;
        let open = runner.exports.open_exec.as_ref().ok_or_else(|| runner.unsupported("exec"))?;
        let limit = runner.operation_limit();
        let parameters = || (task.into(), handle, request.into());
        let session = runner.ask(open, NAME, For::Task(task), limit, parameters).await?;
        exports::session(session).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn sample(&self, task: &Task, handle: &[u8]) -> Result<Usage, DriverError> {
        let runner = &self.runner;
        let sample = runner.exports.sample.as_ref().ok_or_else(|| runner.unsupported("stats"))?;
        let limit = runner.operation_limit();
        let parameters = || (task.into(), handle);
        runner.ask(sample, "stats.sample", For::Task(task), limit, parameters).await.map(Into::into)
    }

    async fn poll(&self, task: &Task, handle: &[u8]) -> Result<Observation, DriverError> {
        const NAME: &str = "poll.check";
        let runner = &self.runner;
        let check = runner.exports.poll.as_ref().ok_or_else(|| runner.unsupported("poll"))?;
        let limit = runner.operation_limit();
        let parameters = || (task.into(), handle);
        let seen = runner.ask(check, NAME, For::Task(task), limit, parameters).await?;
        exports::observation(seen).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn create_network(&self, request: &NetworkRequest) -> Result<CreatedNetwork, DriverError> {
        const NAME: &str = "network.create";
        let runner = &self.runner;
        let create = runner.exports.create_network.as_ref().ok_or_else(|| runner.unsupported("network"))?;
        let limit = Duration::from_millis(runner.host.limits.start_ms);
        let made = runner.in_turn(runner.ask(create, NAME, For::Network(request), limit, || (request.into(),))).await?;
        exports::created(made).map_err(|reason| runner.refused(NAME, reason))
    }

    async fn destroy_network(&self, request: &NetworkRequest, handle: Option<&[u8]>) -> Result<(), DriverError> {
        let runner = &self.runner;
        let destroy = runner.exports.destroy_network.as_ref().ok_or_else(|| runner.unsupported("network"))?;
        let limit = runner.operation_limit();
        let parameters = || (&*request.alloc.0, handle);
        runner.ask(destroy, "network.destroy", For::Network(request), limit, parameters).await
    }
}
