//! Removing images some time after their last task is gone.
//!
//! Who uses an image is the engine's to know: it refuses to remove one that any container was made of. An image
//! that no registry knows is kept, since it could not be fetched again; and so is one that the driver that gives it
//! back did not have itself. What a driver had is known from its pulls and containers, those of an agent before this
//! one too, whose containers are looked at before they are removed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bollard::query_parameters::RemoveImageOptions;
use longshore_core::{caller::DriverName, error::HostError};
use tokio::{sync, task::AbortHandle};

use super::super::connect::Engine;

/// What becomes of images that no task needs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageGc {
    /// Whether they are removed at all.
    pub enabled: bool,
    /// How long after their last task.
    pub delay: Duration,
}

impl Default for ImageGc {
    /// Nomad's: after three minutes.
    fn default() -> Self {
        Self { enabled: true, delay: Duration::from_secs(180) }
    }
}

/// References remembered for each driver; the oldest are forgotten, and their images stay.
const REMEMBERED: usize = 512;

/// Images that will be removed, by reference.
pub(in super::super) struct Unused {
    settings: ImageGc,
    removals: Arc<Removals>,
    /// What each driver pulled or made containers of, newest last.
    had: Mutex<BTreeMap<DriverName, VecDeque<String>>>,
}

impl Unused {
    pub(in super::super) fn new(settings: ImageGc) -> Self {
        Self { settings, removals: Arc::default(), had: Mutex::default() }
    }

    /// Somebody needs the image: it stays. If its removal is under way, waits for the end of it, so that what is
    /// pulled next is not removed with it.
    pub(in super::super) async fn keep(&self, reference: &str) {
        let Some(removal) = self.removals.of(reference) else { return };
        let _not_before_this = removal.under_way.lock().await;
        removal.task.abort();
        self.removals.forget(reference, &removal.under_way);
    }

    /// A driver pulls the image or makes a container of it: it may give it back.
    pub(in super::super) fn has(&self, driver: &DriverName, reference: &str) {
        let mut had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        let had = had.entry(driver.clone()).or_default();
        had.retain(|other| other != reference);
        had.push_back(reference.to_owned());
        if had.len() > REMEMBERED {
            had.pop_front();
        }
    }

    fn had(&self, driver: &DriverName, reference: &str) -> bool {
        let had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        had.get(driver).is_some_and(|had| had.iter().any(|other| other == reference))
    }

    /// A driver needs it no more: if nobody asks for it in time, and no container is of it, it goes.
    pub(in super::super) fn release(&self, engine: &Arc<Engine>, driver: &DriverName, reference: &str) {
        if !self.settings.enabled {
            return;
        }
        if !self.had(driver, reference) {
            return tracing::debug!(%driver, image = reference, "kept an image that the driver did not have");
        }
        self.removals.begin(engine, reference, self.settings.delay);
    }
}

/// Removals that wait for their time or are under way, by reference.
#[derive(Default)]
struct Removals(Mutex<HashMap<String, Removal>>);

#[derive(Clone)]
struct Removal {
    task: AbortHandle,
    /// Held while the engine removes.
    under_way: Arc<sync::Mutex<()>>,
}

impl Removals {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Removal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, reference: &str) -> Option<Removal> {
        self.all().get(reference).cloned()
    }

    /// Forgets a removal, unless another took its place.
    fn forget(&self, reference: &str, under_way: &Arc<sync::Mutex<()>>) {
        let mut all = self.all();
        if all.get(reference).is_some_and(|removal| Arc::ptr_eq(&removal.under_way, under_way)) {
            all.remove(reference);
        }
    }

    /// Takes the place of a removal that waits; one that is under way goes on instead.
    fn begin(self: &Arc<Self>, engine: &Arc<Engine>, reference: &str, delay: Duration) {
        let mut all = self.all();
        if let Some(earlier) = all.get(reference) {
            let Ok(_not_before_this) = earlier.under_way.try_lock() else { return };
            earlier.task.abort();
        }
        let under_way = Arc::<sync::Mutex<()>>::default();
        let (removals, engine, name, began) =
            (Arc::clone(self), Arc::clone(engine), reference.to_owned(), Arc::clone(&under_way));
        let removal = tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _until_removed = began.lock().await;
            remove(&engine, &name).await;
            removals.forget(&name, &began);
        });
        all.insert(reference.to_owned(), Removal { task: removal.abort_handle(), under_way });
    }
}

async fn remove(engine: &Engine, reference: &str) {
    let seen = engine.retry(|client| async move { client.inspect_image(reference).await }).await;
    let fetched = seen.is_ok_and(|image| image.repo_digests.is_some_and(|digests| !digests.is_empty()));
    if !fetched {
        return;
    }
    let options = RemoveImageOptions { force: false, noprune: false, ..RemoveImageOptions::default() };
    let removed = engine.retry(|client| {
        let options = options.clone();
        async move { client.remove_image(reference, Some(options), None).await }
    });
    match removed.await {
        Ok(_) => tracing::debug!(image = reference, "removed an image that no task needs"),
        // In use by another container, or gone already.
        Err(HostError::Conflict(_) | HostError::NotFound(_)) => {}
        Err(error) => tracing::warn!(image = reference, %error, "cannot remove an image that no task needs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_driver_had_is_its_own_and_bounded() {
        let unused = Unused::new(ImageGc::default());
        let (docker, other) = (DriverName("docker".into()), DriverName("other".into()));
        assert!(!unused.had(&docker, "web:0"));
        unused.has(&docker, "web:0");
        assert!(unused.had(&docker, "web:0") && !unused.had(&other, "web:0"));
        for number in 0..=REMEMBERED {
            unused.has(&other, &format!("web:{number}"));
        }
        assert!(!unused.had(&other, "web:0") && unused.had(&other, "web:1"));
        assert!(unused.had(&docker, "web:0"));
    }
}
