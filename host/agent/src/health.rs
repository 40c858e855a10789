//! How drivers are: looked at when the agent starts, every 30 s, and whenever it matters.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use futures_util::future::join_all;
use longshore_core::{
    driver::{Driver, Fingerprint, Health},
    network::Obstacle,
};

use crate::{
    alloc::{
        network::{is_own, tear_down_remains},
        spare,
    },
    shared::Shared,
};

/// The last look of each driver at the machine, and what stands in the way of networks of allocations.
#[derive(Default)]
pub(crate) struct HealthBoard {
    obstacles: Mutex<Vec<Obstacle>>,
    seen: Mutex<BTreeMap<String, (Fingerprint, SystemTime)>>,
}

impl HealthBoard {
    /// What a driver saw last, and when.
    pub(crate) fn seen(&self, driver: &str) -> Option<(Fingerprint, SystemTime)> {
        self.lock().get(driver).cloned()
    }

    /// What stood in the way of networks of allocations when it was last looked for.
    pub(crate) fn obstacles(&self) -> Vec<Obstacle> {
        self.obstacles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what was found now. Told in the log when it is new and concerns somebody.
    pub(crate) fn found(&self, obstacles: Vec<Obstacle>, concerns: bool) {
        let mut before = self.obstacles.lock().unwrap_or_else(PoisonError::into_inner);
        for new in obstacles.iter().filter(|new| concerns && !before.contains(new)) {
            tracing::warn!("networks: {new}");
        }
        *before = obstacles;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Fingerprint, SystemTime)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a driver look now. Attributes outside `driver.<name>` are dropped.
    pub(crate) async fn look(&self, driver: &Arc<dyn Driver>) -> Health {
        let name = driver.info().description.name.clone();
        let mut found = driver.fingerprint().await;
        let own = format!("driver.{name}");
        found.attributes.retain(|key, _| {
            let kept = key == &own || key.strip_prefix(&own).is_some_and(|rest| rest.starts_with('.'));
            if !kept {
                tracing::warn!(driver = name, attribute = key, "a driver's attributes begin with its name; dropped");
            }
            kept
        });
        let health = found.health.clone();
        let before = self.lock().insert(name.clone(), (found, SystemTime::now()));
        if before.is_none_or(|(before, _)| before.health != health) {
            tracing::info!(driver = name, ?health, "driver health");
        }
        health
    }

    /// Whether a driver can start tasks: as last seen when that was well, else as seen now.
    pub(crate) async fn check(&self, driver: &Arc<dyn Driver>) -> Health {
        match self.seen(&driver.info().description.name) {
            Some((Fingerprint { health: Health::Healthy, .. }, _)) => Health::Healthy,
            _ => self.look(driver).await,
        }
    }
}

/// Lets all drivers look, and looks after networks, again and again.
pub(crate) async fn keep_looking(shared: &Shared) {
    let mut round = tokio::time::interval(shared.config.fingerprint_interval);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        let drivers = shared.drivers.all();
        join_all(drivers.iter().map(|driver| shared.health.look(driver))).await;
        let own = |alloc: &Arc<crate::Allocation>| !alloc.finished && is_own(&alloc.network_mode);
        let concerns = shared.board.allocs("").iter().any(own);
        shared.health.found(shared.obstacles().await, concerns);
        tear_down_remains(shared).await;
        spare::remove_leaving(shared).await;
    }
}
