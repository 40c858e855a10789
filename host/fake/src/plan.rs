//! What was called, and what shall go wrong.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use longshore_core::error::{HostError, Result};

/// How a call misbehaves.
#[derive(Clone, Debug)]
pub enum Effect {
    /// It answers an error and does nothing.
    Fail(HostError),
    /// It never answers.
    Hang,
    /// It takes its time and then does what it should.
    Delay(Duration),
}

/// The recorder and the faults to come.
#[derive(Default)]
pub(crate) struct Plan(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    calls: Vec<String>,
    faults: Vec<Fault>,
}

struct Fault {
    operation: String,
    countdown: usize,
    effect: Effect,
}

impl Plan {
    pub(crate) fn add(&self, operation: &str, nth: usize, effect: Effect) {
        lock(&self.0).faults.push(Fault { operation: operation.into(), countdown: nth.max(1), effect });
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.0).calls.clone()
    }

    /// Records a call and carries out what is planned for it.
    pub(crate) async fn call(&self, operation: &str) -> Result<()> {
        match self.record(operation) {
            None => Ok(()),
            Some(Effect::Fail(error)) => Err(error),
            Some(Effect::Hang) => std::future::pending().await,
            Some(Effect::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    fn record(&self, operation: &str) -> Option<Effect> {
        let mut inner = lock(&self.0);
        inner.calls.push(operation.into());
        for fault in inner.faults.iter_mut().filter(|fault| fault.operation == operation) {
            fault.countdown = fault.countdown.saturating_sub(1);
        }
        let due = inner.faults.iter().position(|fault| fault.operation == operation && fault.countdown == 0)?;
        Some(inner.faults.remove(due).effect)
    }
}

/// Locks, also after a test thread panicked: a fake's data is whole between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
