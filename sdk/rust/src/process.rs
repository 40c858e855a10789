//! Tasks that are one process of the host each. Its supervisor outlives the agent, so recovery is one look.

use crate::{
    Error, Exec, ExecRequest, Lifecycle, Session, Signals, StartError, Started, StopRequest, Task, TaskRef, TaskStatus,
    Watch, env, handle,
    host::processes::{self, ProcessSpec},
};

/// A driver that only says what to run: [`Lifecycle`], [`Signals`] and [`Exec`] follow.
pub trait RunsProcess {
    /// The process a task is.
    fn process(task: Task) -> Result<ProcessSpec, Error>;
}

impl<T: RunsProcess> Lifecycle for T {
    fn start(task: Task) -> Result<Started, StartError> {
        start(&T::process(task)?)
    }

    fn recover(_: Task, handle: Vec<u8>) -> Result<Started, Error> {
        recover(handle)
    }

    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        processes::stop(&id(&handle)?, request.signal.as_deref(), request.grace_ms)
    }

    fn destroy(_: TaskRef, handle: Option<Vec<u8>>) -> Result<(), Error> {
        destroy(handle)
    }

    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        inspect(&handle)
    }
}

impl<T: RunsProcess> Signals for T {
    fn send(_: TaskRef, handle: Vec<u8>, name: String) -> Result<(), Error> {
        processes::signal(&id(&handle)?, &name)
    }
}

impl<T: RunsProcess> Exec for T {
    fn open(_: TaskRef, handle: Vec<u8>, request: ExecRequest) -> Result<Session, Error> {
        processes::prepare_exec(&id(&handle)?, &request).map(Session::Process)
    }
}

/// Starts the process; its id is the handle.
pub fn start(spec: &ProcessSpec) -> Result<Started, StartError> {
    let id = processes::spawn(spec)?;
    Ok(started(handle::encode(&id)?, id))
}

/// Finds it again.
pub fn recover(handle: Vec<u8>) -> Result<Started, Error> {
    let id = id(&handle)?;
    processes::inspect(&id)?;
    Ok(started(handle, id))
}

/// Removes it, and without a handle whatever a start that was cut short left.
pub fn destroy(handle: Option<Vec<u8>>) -> Result<(), Error> {
    match handle {
        Some(handle) => processes::remove(&id(&handle)?),
        None => {
            let removed: Vec<_> = processes::list_own()?.iter().map(|left| processes::remove(&left.id)).collect();
            removed.into_iter().collect()
        }
    }
}

/// What is known of it.
pub fn inspect(handle: &[u8]) -> Result<TaskStatus, Error> {
    let process = processes::inspect(&id(handle)?)?;
    Ok(TaskStatus { state: process.state, attributes: env::list([("pid", process.pid.to_string())]) })
}

/// The process's id.
pub fn id(handle: &[u8]) -> Result<String, Error> {
    handle::decode(handle)
}

fn started(handle: Vec<u8>, id: String) -> Started {
    Started { handle, watch: Watch::Process(id), network: None }
}
