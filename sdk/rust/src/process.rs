//! Tasks that are one process of the host each. Its supervisor outlives the agent, so recovery is one look.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Error, Exec, ExecRequest, Lifecycle, Session, Signals, StartError, Started, StopRequest, Task, TaskRef, TaskStatus,
    Watch, env, handle,
    host::processes::{self, ProcessSpec},
    limits,
};

/// A driver that only says what to run: [`Lifecycle`], [`Signals`] and [`Exec`] follow.
pub trait RunsProcess {
    /// The process a task is.
    fn process(task: Task) -> Result<ProcessSpec, Error>;
}

/// A driver with something to do before its process starts, ends or is sent a signal, and something to remember until
/// then. [`Lifecycle`], [`Signals`] and [`Exec`] follow, as for [`RunsProcess`], which remembers nothing.
pub trait TendsProcess {
    /// What later operations need besides the process.
    type Note: Serialize + DeserializeOwned;

    /// Makes ready, and answers the process a task is.
    fn prepare(task: Task) -> Result<(ProcessSpec, Self::Note), StartError>;

    /// Ends the process.
    fn end(_: Self::Note, id: &str, request: &StopRequest) -> Result<(), Error> {
        processes::stop(id, request.signal.as_deref(), request.grace_ms)
    }

    /// Sends it a signal.
    fn signal(_: Self::Note, id: &str, name: &str) -> Result<(), Error> {
        processes::signal(id, name)
    }
}

impl<T: RunsProcess> TendsProcess for T {
    type Note = ();

    fn prepare(task: Task) -> Result<(ProcessSpec, ()), StartError> {
        Ok((T::process(task)?, ()))
    }
}

/// What is needed to find a task again.
#[derive(Serialize, Deserialize)]
struct Handle<N> {
    process: String,
    note: N,
}

/// The id of a task's process.
fn id<T: TendsProcess>(bytes: &[u8]) -> Result<String, Error> {
    handle::decode::<Handle<T::Note>>(bytes).map(|known| known.process)
}

fn started(handle: Vec<u8>, id: String) -> Started {
    Started { handle, watch: Watch::Process(id), network: None }
}

impl<T: TendsProcess> Lifecycle for T {
    fn start(task: Task) -> Result<Started, StartError> {
        let (spec, note) = T::prepare(task)?;
        let process = processes::spawn(&spec)?;
        Ok(started(handle::encode(&Handle { process: process.clone(), note })?, process))
    }

    fn recover(task: Task, handle: Vec<u8>) -> Result<Started, Error> {
        // The instance ends with the operation: its texts, dozens of them, need not be given back one by one.
        std::mem::forget(task);
        let id = id::<T>(&handle)?;
        processes::inspect(&id)?;
        Ok(started(handle, id))
    }

    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        let Handle { process, note } = handle::decode(&handle)?;
        T::end(note, &process, &request)
    }

    /// Without a handle, removes whatever a start that was cut short left.
    fn destroy(_: TaskRef, handle: Option<Vec<u8>>) -> Result<(), Error> {
        match handle {
            Some(handle) => processes::remove(&id::<T>(&handle)?),
            None => {
                let removed: Vec<_> = processes::list_own()?.iter().map(|left| processes::remove(&left.id)).collect();
                removed.into_iter().collect()
            }
        }
    }

    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        let process = processes::inspect(&id::<T>(&handle)?)?;
        Ok(TaskStatus { state: process.state, attributes: env::list([("pid", process.pid.to_string())]) })
    }
}

impl<T: TendsProcess> Signals for T {
    fn send(_: TaskRef, handle: Vec<u8>, name: String) -> Result<(), Error> {
        let Handle { process, note } = handle::decode(&handle)?;
        T::signal(note, &process, &name)
    }
}

impl<T: TendsProcess> Exec for T {
    fn open(_: TaskRef, handle: Vec<u8>, request: ExecRequest) -> Result<Session, Error> {
        processes::prepare_exec(&id::<T>(&handle)?, &request).map(Session::Process)
    }
}

/// A process of the machine, not kept apart. It has no limits but those of the machine: CPU is a weight, memory is not
/// enforced.
pub fn plain(task: Task, command: impl Into<String>, args: Vec<String>) -> ProcessSpec {
    ProcessSpec {
        name: task.identity.name,
        command: command.into(),
        args,
        env: task.env,
        working_dir: None,
        user: task.user.filter(|user| !user.is_empty()),
        limits: limits::cpu(&task.resources),
        isolation: None,
        options: Vec::new(),
    }
}
