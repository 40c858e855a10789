//! The loaded drivers, and how one takes another's place while tasks run.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use futures_util::future::join_all;
use longshore_core::{
    backends::Backends,
    driver::{Driver, DriverError, Drivers, Task},
    error::HostError,
    grant::{Grants, Refusal},
};
use thiserror::Error;

use crate::{
    driver::LoadedDriver,
    engine::Engine,
    loader::{DriverConfig, LoadError, Loader, Problem, Source},
};

/// The loaded drivers by name.
pub struct Registry {
    loader: Loader,
    drivers: RwLock<BTreeMap<String, Entry>>,
}

struct Entry {
    config: DriverConfig,
    driver: Arc<LoadedDriver>,
}

/// Why a driver was not replaced. The old one stays in place, untouched.
#[derive(Debug, Error)]
pub enum ReplaceError {
    /// There is nothing to replace.
    #[error(transparent)]
    Unknown(DriverError),
    /// It asks for more than the driver was granted.
    #[error("the new version of {name} asks for more than it was granted: {}\n{}", difference(.granted, .refusals), advice(.refusals))]
    MoreGrants {
        /// The driver.
        name: String,
        /// What the operator allows.
        granted: Grants,
        /// What goes beyond it.
        refusals: Vec<Refusal>,
    },
    /// It cannot be loaded for another reason.
    #[error(transparent)]
    Load(LoadError),
    /// It does not find running tasks again.
    #[error("the new version of {name} would lose {} of {} running tasks: {}", .lost.len(), .running, lost_tasks(.lost))]
    Tasks {
        /// The driver.
        name: String,
        /// How many handles were tried.
        running: usize,
        /// What failed, by task.
        lost: Vec<(String, DriverError)>,
    },
}

fn difference(granted: &Grants, refusals: &[Refusal]) -> String {
    let granted = granted.0.iter().map(|grant| format!("  {grant}"));
    let added = refusals.iter().map(|refusal| match refusal {
        Refusal::NotGranted { import, grant } => format!("+ {grant} (it imports `{import}`)"),
        Refusal::NotOffered { import, .. } => format!("+ `{import}`"),
    });
    granted.chain(added).map(|line| format!("\n  {line}")).collect()
}

fn advice(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn lost_tasks(lost: &[(String, DriverError)]) -> String {
    lost.iter().map(|(task, error)| format!("{task}: {error}")).collect::<Vec<_>>().join("; ")
}

impl Registry {
    /// No drivers yet.
    pub fn new(engine: Engine, backends: Backends) -> Self {
        Self { loader: Loader::new(engine, backends), drivers: RwLock::default() }
    }

    /// Loads all that can be loaded; what cannot is told, and disturbs no other.
    pub async fn load(engine: Engine, backends: Backends, configs: Vec<DriverConfig>) -> (Self, Vec<LoadError>) {
        let registry = Self::new(engine, backends);
        let failed = registry.add_all(configs).await.into_iter().filter_map(Result::err).collect();
        (registry, failed)
    }

    /// Loads drivers side by side: each is bound by the time its code takes to come out of the cache. Of those with the
    /// same name the first of the list has it, whichever was loaded first.
    pub async fn add_all(&self, configs: Vec<DriverConfig>) -> Vec<Result<Arc<LoadedDriver>, LoadError>> {
        let loaded = join_all(configs.iter().map(|config| self.loader.load(config))).await;
        let insert = |(config, driver): (DriverConfig, Result<LoadedDriver, _>)| self.insert(config, driver?);
        configs.into_iter().zip(loaded).map(insert).collect()
    }

    /// Loads one more driver.
    pub async fn add(&self, config: DriverConfig) -> Result<Arc<LoadedDriver>, LoadError> {
        let driver = self.loader.load(&config).await?;
        self.insert(config, driver)
    }

    fn insert(&self, config: DriverConfig, driver: LoadedDriver) -> Result<Arc<LoadedDriver>, LoadError> {
        let driver = Arc::new(driver);
        let name = driver.info.description.name.clone();
        let mut drivers = self.write();
        if let Some(other) = drivers.get(&name) {
            let problem = Problem::Duplicate { name, other: other.driver.info.origin.clone() };
            return Err(LoadError { origin: driver.info.origin.clone(), problem });
        }
        drivers.insert(name, Entry { config, driver: driver.clone() });
        Ok(driver)
    }

    /// Replaces a driver under its running tasks: the new version is loaded beside the old, must find every
    /// task of `stored` (the journalled tasks and handles) again, and then takes all later operations.
    /// Operations that are under way finish on the old one.
    pub async fn replace(
        &self,
        name: &str,
        source: Source,
        stored: &[(Task, Vec<u8>)],
    ) -> Result<Arc<LoadedDriver>, ReplaceError> {
        let (config, old) = self.entry(name).map_err(ReplaceError::Unknown)?;
        let config = DriverConfig { source, name: Some(name.to_owned()), ..config };
        let driver = self.loader.load(&config).await.map_err(|error| match error.problem {
            Problem::Imports(refusals) => {
                ReplaceError::MoreGrants { name: name.into(), granted: config.grants.clone(), refusals }
            }
            problem => ReplaceError::Load(LoadError { origin: error.origin, problem }),
        })?;
        let lost = losses(&old, &driver, stored).await;
        if !lost.is_empty() {
            return Err(ReplaceError::Tasks { name: name.into(), running: stored.len(), lost });
        }
        let driver = Arc::new(driver);
        self.write().insert(name.to_owned(), Entry { config, driver: driver.clone() });
        Ok(driver)
    }

    fn entry(&self, name: &str) -> Result<(DriverConfig, Arc<LoadedDriver>), DriverError> {
        let drivers = self.read();
        match drivers.get(name) {
            Some(entry) => Ok((entry.config.clone(), entry.driver.clone())),
            None => {
                let loaded = drivers.keys().cloned().collect::<Vec<_>>().join(", ");
                let loaded = if loaded.is_empty() { "none".into() } else { loaded };
                Err(DriverError::Unknown { driver: name.into(), loaded })
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Entry>> {
        self.drivers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Entry>> {
        self.drivers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tasks that the new driver does not find. One that the old does not find either is gone, and no loss.
async fn losses(old: &LoadedDriver, new: &LoadedDriver, stored: &[(Task, Vec<u8>)]) -> Vec<(String, DriverError)> {
    let mut lost = Vec::new();
    for (task, handle) in stored {
        if let Err(error) = new.recover(task, handle).await {
            let gone = |error: &DriverError| matches!(error.reason(), Some(HostError::NotFound(_)));
            if !gone(&error) || old.recover(task, handle).await.is_ok() {
                lost.push((task.id.to_string(), error));
            }
        }
    }
    lost
}

impl Drivers for Registry {
    fn get(&self, name: &str) -> Result<Arc<dyn Driver>, DriverError> {
        self.entry(name).map(|(_, driver)| driver as Arc<dyn Driver>)
    }

    fn all(&self) -> Vec<Arc<dyn Driver>> {
        self.read().values().map(|entry| entry.driver.clone() as Arc<dyn Driver>).collect()
    }
}
