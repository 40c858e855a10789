//! The file: ordered writes, one writer thread, one fsync for all who wait at the same time.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, mpsc},
    thread::JoinHandle,
};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use tokio::sync::oneshot;

use super::StoreError;

/// Pages kept in memory; the journal of a machine is a few MiB at most.
const CACHE_BYTES: usize = 2 << 20;
/// Most requests that share one commit.
const MAX_GROUP: usize = 256;

/// Kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// Node id, boot id, last index.
    Meta,
    /// Versions of jobs.
    Jobs,
    /// What jobs were submitted as.
    Submissions,
    /// Evaluations.
    Evaluations,
    /// Allocations.
    Allocs,
    /// Namespaces of allocations to come.
    Spares,
    /// Where each task is.
    Tasks,
    /// Tasks as they were given to their drivers.
    Snapshots,
    /// How far tasks' output was written.
    LogPositions,
    /// Drivers' own state.
    DriverState,
}

impl Table {
    const ALL: [Self; 10] = [
        Self::Meta,
        Self::Jobs,
        Self::Submissions,
        Self::Evaluations,
        Self::Allocs,
        Self::Spares,
        Self::Tasks,
        Self::Snapshots,
        Self::LogPositions,
        Self::DriverState,
    ];

    fn definition(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(match self {
            Self::Meta => "meta",
            Self::Jobs => "jobs",
            Self::Submissions => "submissions",
            Self::Evaluations => "evaluations",
            Self::Allocs => "allocs",
            Self::Spares => "spares",
            Self::Tasks => "tasks",
            Self::Snapshots => "snapshots",
            Self::LogPositions => "log_positions",
            Self::DriverState => "driver_state",
        })
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    table: Table,
    key: String,
    value: Option<Vec<u8>>,
}

impl Write {
    /// Stores bytes under a key.
    pub(crate) fn put(table: Table, key: impl Into<String>, value: Vec<u8>) -> Self {
        Self { table, key: key.into(), value: Some(value) }
    }

    /// Removes a key.
    pub(crate) fn remove(table: Table, key: impl Into<String>) -> Self {
        Self { table, key: key.into(), value: None }
    }
}

/// A write that is on its way to the disk, in its place behind all that were queued before.
#[must_use = "nothing is known to be durable before this is awaited"]
pub(crate) struct Pending(oneshot::Receiver<Result<(), StoreError>>);

impl Pending {
    /// Waits until the write (and all before it) is durable.
    pub(crate) async fn durable(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Does not wait; a failure is only logged.
    pub(crate) fn forget(self) {}
}

struct Request {
    writes: Vec<Write>,
    /// Whether it must reach the disk now or may do so with the next that must.
    durable: bool,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// All records as they were when the journal was opened.
#[derive(Default)]
pub(crate) struct Tables(BTreeMap<Table, Vec<(String, Vec<u8>)>>);

impl Tables {
    /// Takes one kind of records out.
    pub(crate) fn take(&mut self, table: Table) -> Vec<(String, Vec<u8>)> {
        self.0.remove(&table).unwrap_or_default()
    }
}

/// The writing end. Dropping it writes what is queued and closes the file.
pub(crate) struct Journal {
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    path: PathBuf,
    #[cfg(test)]
    crash: std::sync::Arc<Mutex<Option<Crash>>>,
}

impl Journal {
    /// Opens or makes the file, reads all of it and starts the writer.
    pub(crate) fn open(path: &Path) -> Result<(Self, Tables), StoreError> {
        let mut file = File { path: path.to_owned(), database: None };
        let tables = file.read_all()?;
        let (sender, receiver) = mpsc::channel();
        #[cfg(test)]
        let crash = std::sync::Arc::<Mutex<Option<Crash>>>::default();
        #[cfg(test)]
        let crash_of_writer = crash.clone();
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
            #[cfg(test)]
            let mut gate = CrashGate::new(crash_of_writer);
            let mut held = Held::default();
            while let Some(group) = next_group(&receiver) {
                #[cfg(test)]
                let group = match gate.pass(group, &mut held, &mut file) {
                    Some(group) => group,
                    None => continue,
                };
                answer(group, &mut held, &mut file);
            }
            // What fails is told by then.
            let _ = held.write(&[], &mut file);
        });
        let thread = thread.map_err(|error| StoreError::Open { path: file_name(path), reason: error.to_string() })?;
        let journal = Self {
            requests: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            path: path.to_owned(),
            #[cfg(test)]
            crash,
        };
        Ok((journal, tables))
    }

    /// Queues writes that are to be durable; the answer tells when they are.
    pub(crate) fn write(&self, writes: Vec<Write>) -> Pending {
        self.queue(writes, true)
    }

    /// Queues writes that may be lost when the machine or the agent dies: they reach the disk with the next that must.
    pub(crate) fn write_lazily(&self, writes: Vec<Write>) {
        self.queue(writes, false).forget();
    }

    /// Where the journal is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn queue(&self, writes: Vec<Write>, durable: bool) -> Pending {
        let (answer, receiver) = oneshot::channel();
        let requests = self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(sender) = requests.as_ref() {
            // A writer that is gone drops the answer, which reads as `Closed`.
            let _ = sender.send(Request { writes, durable, answer });
        }
        Pending(receiver)
    }

    /// Makes the writer crash as planned.
    #[cfg(test)]
    pub(crate) fn plan_crash(&self, crash: Crash) {
        *self.crash.lock().unwrap() = Some(crash);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// The next request and all that wait behind it; none when the journal is dropped.
fn next_group(receiver: &mpsc::Receiver<Request>) -> Option<Vec<Request>> {
    let mut group = vec![receiver.recv().ok()?];
    while group.len() < MAX_GROUP
        && let Ok(request) = receiver.try_recv()
    {
        group.push(request);
    }
    Some(group)
}

fn answer(group: Vec<Request>, held: &mut Held, file: &mut File) {
    if group.iter().any(|request| request.durable) {
        let result = held.write(&group, file);
        for request in group {
            let _ = request.answer.send(result.clone());
        }
    } else {
        held.add(group);
    }
}

/// Writes that wait for one that must reach the disk, the last of each key: a commit of their own would be for nothing.
#[derive(Default)]
struct Held(BTreeMap<(Table, String), Write>);

impl Held {
    fn add(&mut self, group: Vec<Request>) {
        let writes = group.into_iter().flat_map(|request| request.writes);
        self.0.extend(writes.map(|write| ((write.table, write.key.clone()), write)));
    }

    /// Writes them and those that must be written; what failed is held on.
    fn write(&mut self, group: &[Request], file: &mut File) -> Result<(), StoreError> {
        let writes: Vec<_> = self.0.values().chain(group.iter().flat_map(|request| &request.writes)).collect();
        if writes.is_empty() {
            return Ok(());
        }
        file.commit(&writes).inspect_err(|error| tracing::error!(%error, "journal write failed"))?;
        self.0.clear();
        Ok(())
    }
}

/// The database; reopened after a failed write, because redb refuses to go on with a file that once failed.
struct File {
    path: PathBuf,
    database: Option<Database>,
}

impl File {
    fn database(&mut self) -> Result<&Database, StoreError> {
        if self.database.is_none() {
            let opened = guard(|| Builder::new().set_cache_size(CACHE_BYTES).create_file(open_private(&self.path)?));
            let database = opened.map_err(|reason| self.damaged(reason))?.map_err(|error| self.open_error(error))?;
            self.database = Some(database);
        }
        self.database.as_ref().ok_or(StoreError::Closed)
    }

    fn read_all(&mut self) -> Result<Tables, StoreError> {
        self.database()?;
        let database = self.database.as_ref().ok_or(StoreError::Closed)?;
        match guard(|| read_tables(database)) {
            Ok(Ok(tables)) => Ok(tables),
            Ok(Err(error)) => Err(self.damaged(error.to_string())),
            Err(reason) => Err(self.damaged(reason)),
        }
    }

    fn commit(&mut self, writes: &[&Write]) -> Result<(), StoreError> {
        let path = file_name(&self.path);
        let database = match self.database() {
            Ok(database) => database,
            Err(error) => return Err(StoreError::Write { path, reason: error.to_string() }),
        };
        let outcome = match guard(|| write_tables(database, writes)) {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        outcome.map_err(|reason| {
            self.database = None;
            StoreError::Write { path, reason }
        })
    }

    fn damaged(&self, reason: String) -> StoreError {
        StoreError::Damaged { path: file_name(&self.path), reason }
    }

    fn open_error(&self, error: DatabaseError) -> StoreError {
        let path = file_name(&self.path);
        match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path },
            DatabaseError::Storage(StorageError::Io(error)) if !is_about_content(&error) => {
                StoreError::Open { path, reason: error.to_string() }
            }
            other => StoreError::Damaged { path, reason: other.to_string() },
        }
    }
}

/// Opens or makes a file that nobody else may read: it holds environments, passwords of registries and whole jobs.
fn open_private(path: &Path) -> std::io::Result<fs::File> {
    let file = fs::File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Whether reading went well and what was read is no database.
fn is_about_content(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

/// redb asserts what it reads: a damaged file can make it panic, which is an error like any other here.
fn guard<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "it makes the store library panic".to_owned())
}

fn read_tables(database: &Database) -> Result<Tables, redb::Error> {
    let transaction = database.begin_read()?;
    let mut found = BTreeMap::new();
    for table in Table::ALL {
        let opened = match transaction.open_table(table.definition()) {
            Ok(opened) => opened,
            Err(redb::TableError::TableDoesNotExist(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut rows = Vec::new();
        for row in opened.iter()? {
            let (key, value) = row?;
            rows.push((key.value().to_owned(), value.value().to_owned()));
        }
        found.insert(table, rows);
    }
    Ok(Tables(found))
}

fn write_tables(database: &Database, writes: &[&Write]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for write in writes {
        let mut table = transaction.open_table(write.table.definition())?;
        match &write.value {
            Some(value) => table.insert(write.key.as_str(), value.as_slice())?,
            None => table.remove(write.key.as_str())?,
        };
    }
    transaction.commit()?;
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.display().to_string()
}

/// A planned death of the agent, as the journal sees it: for the tests of recovery.
#[cfg(test)]
pub(crate) struct Crash {
    /// How many durable groups still pass.
    pub(crate) after: usize,
    /// Whether the group at the crash still reaches the disk.
    pub(crate) written: bool,
    /// Told when it happens.
    pub(crate) happened: Option<oneshot::Sender<()>>,
}

/// Lets groups through until the planned crash; from then on nobody is ever answered.
#[cfg(test)]
struct CrashGate {
    plan: std::sync::Arc<Mutex<Option<Crash>>>,
    crashed: bool,
    unanswered: Vec<Request>,
}

#[cfg(test)]
impl CrashGate {
    fn new(plan: std::sync::Arc<Mutex<Option<Crash>>>) -> Self {
        Self { plan, crashed: false, unanswered: Vec::new() }
    }

    fn pass(&mut self, group: Vec<Request>, held: &mut Held, file: &mut File) -> Option<Vec<Request>> {
        let mut plan = self.plan.lock().unwrap();
        if !self.crashed {
            let Some(crash) = plan.as_mut() else { return Some(group) };
            if !group.iter().any(|request| request.durable) || crash.after > 0 {
                crash.after = crash.after.saturating_sub(usize::from(group.iter().any(|request| request.durable)));
                return Some(group);
            }
            self.crashed = true;
            if crash.written {
                held.write(&group, file).unwrap();
            }
            if let Some(happened) = crash.happened.take() {
                let _ = happened.send(());
            }
        }
        self.unanswered.extend(group);
        None
    }
}
