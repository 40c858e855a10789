//! Namespaces that are made before there is an allocation for them, so that its start has not to wait for one.
//!
//! Only those that drivers make need it: Docker's is a container's, which has to be created and started first. Once such
//! a driver was used for a group in mode `bridge`, as many are kept for it as the operator says. Each was made in the
//! name of an id that no allocation has yet. It is taken by giving a new allocation that id; from there on all goes as
//! ever: [`network::ensure`] asks the driver for the allocation's namespace, and gets the one that is there or, should
//! it have died meanwhile, another.
//!
//! The journal knows of each before it is made. Those of an earlier agent are removed, as what the operator decided may
//! be otherwise now; those of this one when it ends.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use longshore_core::{caller::AllocId, driver::NetworkRequest};
use longshore_job::model::TaskGroup;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{dir, network};
use crate::{
    Allocation, ClientStatus, Desired,
    shared::{FAREWELL, Shared},
    store::{SpareRecord, Write},
};

/// The network mode they are made for.
const MODE: &str = "bridge";
/// How long starts of allocations go first: what is kept from starting must not keep spares from being made.
const YIELD: Duration = Duration::from_secs(10);
/// How often it is looked whether some start; what has just started has the machine for itself so long.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// All there are, and the drivers they are wanted for.
#[derive(Default)]
pub(crate) struct Spares {
    known: Mutex<Known>,
    wanted: Notify,
}

#[derive(Default)]
struct Known {
    drivers: BTreeSet<String>,
    spares: Vec<Spare>,
}

struct Spare {
    record: SpareRecord,
    state: State,
}

enum State {
    Making,
    /// With the driver's handle.
    Ready(Vec<u8>),
    Leaving,
}

impl Spares {
    /// Takes over what an earlier agent has left, to be removed.
    pub(crate) fn inherit(&self, records: Vec<SpareRecord>) {
        self.known().spares.extend(records.into_iter().map(|record| Spare { record, state: State::Leaving }));
    }

    /// One for an allocation of this driver that is neither taken nor among those that are `promised`, with the
    /// driver's handle. It is not taken before [`Spares::take`].
    pub(crate) fn offer(&self, driver: &str, promised: &[Allocation]) -> Option<(AllocId, Vec<u8>)> {
        let known = self.known();
        let of_driver = known.spares.iter().filter(|spare| spare.record.driver == driver);
        let mut ready = of_driver.filter_map(|spare| match &spare.state {
            State::Ready(handle) => Some((&spare.record.id, handle)),
            _ => None,
        });
        let free = ready.find(|(id, _)| promised.iter().all(|alloc| alloc.id != **id));
        free.map(|(id, handle)| (id.clone(), handle.clone()))
    }

    /// From now on it is the allocation's of this id. Answers whether there was one.
    pub(crate) fn take(&self, id: &AllocId) -> bool {
        let mut known = self.known();
        let before = known.spares.len();
        known.spares.retain(|spare| spare.record.id != *id);
        known.spares.len() < before
    }

    /// Whether it is kept for an allocation to come.
    pub(crate) fn keeps(&self, id: &AllocId) -> bool {
        self.known().spares.iter().any(|spare| spare.record.id == *id && !matches!(spare.state, State::Leaving))
    }

    /// The driver is used: keep some for it.
    pub(crate) fn want(&self, driver: &str) {
        self.known().drivers.insert(driver.to_owned());
        self.wanted.notify_one();
    }

    /// A driver that has fewer than it should, if there is one.
    fn short(&self, count: usize) -> Option<String> {
        let known = self.known();
        let has = |driver: &String| {
            let kept = known.spares.iter().filter(|spare| !matches!(spare.state, State::Leaving));
            kept.filter(|spare| spare.record.driver == *driver).count()
        };
        known.drivers.iter().find(|driver| has(driver) < count).cloned()
    }

    fn set(&self, id: &AllocId, state: State) {
        if let Some(spare) = self.known().spares.iter_mut().find(|spare| spare.record.id == *id) {
            spare.state = state;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The driver whose spares fit a group: it makes the group's namespace, and of that the job wants nothing of its own.
pub(crate) fn driver_of(shared: &Shared, group: &TaskGroup) -> Option<String> {
    let network = group.networks.first()?;
    let fits = network.mode().to_lowercase() == MODE && network.hostname.is_empty();
    let (_, driver) = network::makers(shared, group).into_iter().next().filter(|_| fits)?;
    Some(driver.info().description.name.clone())
}

/// Makes those that are missing whenever one was taken or a driver was used for the first time, after the allocation that
/// is about to start.
pub(crate) async fn keep(shared: &Shared) {
    loop {
        shared.spares.wanted.notified().await;
        let _ = timeout(YIELD, nothing_starts(shared)).await;
        while let Some(driver) = shared.spares.short(shared.config.spare_namespaces) {
            if let Err(error) = make(shared, &driver).await {
                tracing::debug!(driver, error, "no namespace could be made in advance");
                break;
            }
        }
    }
}

/// Looks now and then, which costs less than at every change while many start.
async fn nothing_starts(shared: &Shared) {
    let starts = |alloc: &Arc<Allocation>| alloc.status == ClientStatus::Pending && alloc.desired == Desired::Run;
    loop {
        sleep(LOOK_EVERY).await;
        if !shared.board.allocs("").iter().any(starts) {
            return;
        }
    }
}

async fn make(shared: &Shared, driver: &str) -> Result<(), String> {
    let record = SpareRecord { id: AllocId(crate::id::uuid()), driver: driver.to_owned() };
    shared.spares.known().spares.push(Spare { record: record.clone(), state: State::Making });
    let made = try_make(shared, &record).await;
    match made {
        Ok(handle) => {
            shared.spares.set(&record.id, State::Ready(handle));
            Ok(())
        }
        Err(error) => {
            shared.spares.set(&record.id, State::Leaving);
            remove(shared, &record).await;
            Err(error)
        }
    }
}

async fn try_make(shared: &Shared, record: &SpareRecord) -> Result<Vec<u8>, String> {
    let driver = shared.driver(&record.driver).map_err(|error| error.to_string())?;
    let journalled = shared.board.journal().write(vec![Write::spare(record)]);
    journalled.durable().await.map_err(|error| error.to_string())?;
    dir::build(&shared.config, &record.id.0, [].iter()).map_err(|error| error.to_string())?;
    let made = driver.create_network(&request(shared, record)).await;
    made.map(|made| made.handle).map_err(|error| error.to_string())
}

/// Removes those that nobody shall have any more.
pub(crate) async fn remove_leaving(shared: &Shared) {
    let leaving: Vec<_> = {
        let known = shared.spares.known();
        let leaving = known.spares.iter().filter(|spare| matches!(spare.state, State::Leaving));
        leaving.map(|spare| spare.record.clone()).collect()
    };
    join_all(leaving.iter().map(|record| remove(shared, record))).await;
}

/// The agent ends: removes all.
pub(crate) async fn remove_all(shared: &Shared) {
    shared.spares.known().spares.iter_mut().for_each(|spare| spare.state = State::Leaving);
    if timeout(FAREWELL, remove_leaving(shared)).await.is_err() {
        tracing::warn!("namespaces made in advance are left: they were not removed within {FAREWELL:?}");
    }
}

async fn remove(shared: &Shared, record: &SpareRecord) {
    let removed = match shared.driver(&record.driver) {
        Ok(driver) => driver.destroy_network(&request(shared, record), None).await,
        Err(error) => Err(error),
    };
    let removed = removed
        .map_err(|error| error.to_string())
        .and_then(|()| dir::remove(&shared.config, &record.id.0).map_err(|error| error.to_string()));
    if let Err(error) = removed {
        return tracing::debug!(alloc = %record.id, error, "a namespace made in advance could not be removed yet");
    }
    shared.spares.take(&record.id);
    shared.board.journal().write_lazily(vec![Write::forget_spare(&record.id)]);
}

fn request(shared: &Shared, record: &SpareRecord) -> NetworkRequest {
    NetworkRequest {
        alloc: record.id.clone(),
        dir: shared.config.alloc_dir(&record.id.0),
        mode: MODE.to_owned(),
        hostname: None,
    }
}
