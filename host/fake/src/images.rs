//! Images in memory: references, no content.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use longshore_core::{
    caller::Caller,
    error::{HostError, Result},
    image::{Image, Images, PullOptions},
    record::EventSink,
};

use crate::{
    Fake,
    plan::{Plan, lock},
    workloads::Workloads,
};

#[derive(Default)]
pub(crate) struct FakeImages(Mutex<BTreeSet<String>>);

impl FakeImages {
    pub(crate) fn add(&self, reference: &str) {
        lock(&self.0).insert(reference.into());
    }

    pub(crate) fn has(&self, reference: &str) -> bool {
        lock(&self.0).contains(reference)
    }
}

pub(crate) struct PlannedImages {
    plan: Arc<Plan>,
    images: Arc<FakeImages>,
    containers: Arc<Workloads>,
}

impl PlannedImages {
    pub(crate) fn new(fake: &Fake) -> Self {
        Self { plan: fake.plan.clone(), images: fake.images.clone(), containers: fake.containers.clone() }
    }
}

fn describe(reference: &str) -> Image {
    Image { id: format!("sha256:{reference}"), digests: Vec::new(), size_bytes: 1, stop_signal: None }
}

#[async_trait]
impl Images for PlannedImages {
    async fn find(&self, _caller: &Caller, reference: &str) -> Result<Option<Image>> {
        self.plan.call("images.find").await?;
        Ok(self.images.has(reference).then(|| describe(reference)))
    }

    async fn of_container(&self, caller: &Caller, container: &str) -> Result<Option<Image>> {
        self.plan.call("images.of_container").await?;
        Ok(Some(describe(&self.containers.own(caller, container)?.image)))
    }

    /// Every registry has every image whose name does not contain `missing`.
    async fn pull(
        &self,
        caller: &Caller,
        reference: &str,
        _options: &PullOptions,
        events: &dyn EventSink,
    ) -> Result<Image> {
        self.plan.call("images.pull").await?;
        if reference.contains("missing") {
            return Err(HostError::NotFound(format!("image {reference} not found in its registry")));
        }
        if let Some(scope) = &caller.task {
            events.driver_event(&scope.id, "Downloading image", &BTreeMap::new());
        }
        self.images.add(reference);
        Ok(describe(reference))
    }

    async fn load(&self, _caller: &Caller, path: &str) -> Result<Vec<String>> {
        self.plan.call("images.load").await?;
        self.images.add(path);
        Ok(vec![path.into()])
    }

    async fn release(&self, _caller: &Caller, _reference: &str) -> Result<()> {
        self.plan.call("images.release").await
    }
}
