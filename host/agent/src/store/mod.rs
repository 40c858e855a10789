//! What must outlive the agent: one redb file, written by one thread.
//!
//! [`AgentStore::open`] comes before everything else, because drivers are loaded with backends that it
//! provides (their state, their events, their log lines).

mod driver_state;
mod journal;
mod records;
mod relay;

use std::{path::Path, sync::Arc};

use longshore_core::{
    added_port::AddedPorts,
    record::{DriverLog, EventSink},
    state::DriverState,
};
use thiserror::Error;

#[cfg(test)]
pub(crate) use journal::Crash;
pub(crate) use journal::{Journal, Pending, Table, Write};
pub(crate) use records::{AllocRecord, Loaded, LogPosition, RunPhase, SpareRecord, TaskRecord};
pub(crate) use relay::{Relay, RelayTarget};

use driver_state::JournalledState;
use relay::TracingLog;

/// Why the journal cannot be used. Every text says what to do.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// Another agent has it open.
    #[error("the journal {path} is in use by another agent; stop that one, or give this one another data directory")]
    InUse {
        /// The file.
        path: String,
    },
    /// It is no journal, or a damaged one.
    #[error(
        "the journal {path} is damaged: {reason}; move it away to start with no jobs (what still runs is then not ours any more)"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be opened or created.
    #[error("cannot open the journal {path}: {reason}")]
    Open {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// It cannot be written now, for instance because the disk is full. Nothing was changed.
    #[error("cannot write the journal {path}: {reason}; is the disk full?")]
    Write {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The agent is ending.
    #[error("the agent is shutting down")]
    Closed,
}

/// The journal and the backends made from it. Cheap to clone; the file is closed with the last clone.
#[derive(Clone)]
pub struct AgentStore {
    pub(crate) journal: Arc<Journal>,
    pub(crate) loaded: Arc<std::sync::Mutex<Option<Loaded>>>,
    pub(crate) relay: Arc<Relay>,
    node_id: Arc<str>,
    driver_state: Arc<JournalledState>,
}

impl AgentStore {
    /// Opens (or makes) `<data_dir>/journal.redb` and reads it whole.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join("journal.redb");
        std::fs::create_dir_all(data_dir)
            .map_err(|error| StoreError::Open { path: path.display().to_string(), reason: error.to_string() })?;
        let (journal, mut tables) = Journal::open(&path)?;
        let journal = Arc::new(journal);
        let entries = tables.take(Table::DriverState);
        let driver_state = Arc::new(JournalledState::new(journal.clone(), entries)?);
        let loaded = Loaded::read(tables, &path)?;
        let node_id = match &loaded.node_id {
            Some(id) => id.clone(),
            None => new_node_id(&journal),
        };
        Ok(Self {
            journal,
            loaded: Arc::new(std::sync::Mutex::new(Some(loaded))),
            relay: Arc::default(),
            node_id: node_id.into(),
            driver_state,
        })
    }

    /// The machine's id: a UUID made with the journal. It tells this agent's containers and processes from
    /// those of any other agent on the machine.
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// Drivers' durable state.
    pub fn driver_state(&self) -> Arc<dyn DriverState> {
        self.driver_state.clone()
    }

    /// Where drivers' task events go: into the task's events once an [`Agent`](crate::Agent) runs on this store.
    pub fn event_sink(&self) -> Arc<dyn EventSink> {
        self.relay.clone()
    }

    /// Where the ports are written down that drivers add to their allocations: with the allocations, once an
    /// [`Agent`](crate::Agent) runs on this store.
    pub fn added_ports(&self) -> Arc<dyn AddedPorts> {
        self.relay.clone()
    }

    /// Where drivers' log lines go: `tracing`, target `driver`.
    pub fn driver_log(&self) -> Arc<dyn DriverLog> {
        Arc::new(TracingLog)
    }
}

/// Not waited for: whatever is made in this id's name is journalled later, and so after it.
fn new_node_id(journal: &Journal) -> String {
    let id = crate::id::uuid();
    journal.write(vec![Write::put(Table::Meta, records::NODE_ID, id.clone().into_bytes())]).forget();
    id
}
