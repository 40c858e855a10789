//! Native processes under shims that outlive the agent.
//!
//! The life of a task's process:
//!
//! 1. [`Supervisor::spawn`](Processes::spawn) makes a directory under a name that follows from driver, task and
//!    process name (`home`), holding what to run (`spec`) and a locked file. The directory appears whole.
//! 2. It makes the control group, and starts the shim (`launch`): a 400 KB program embedded in this one, run
//!    from memory, which inherits the lock. From here on nothing depends on the agent.
//! 3. The shim starts the program in a session of its own, copies its output to rotated log files, and tells
//!    that the program runs, or why not.
//! 4. When the program ends, the shim kills what it left behind, writes how it ended, and ends too.
//!    [`wait`](Processes::wait) sees that through a pidfd, whichever agent started the shim.
//! 5. [`remove`](Processes::remove) removes group and directory.
//!
//! Killed at any instruction, an agent leaves nothing running, or a locked directory that the next one's `spawn`
//! and `list` find. A killed shim takes its task's process along, and `wait` says so. The agent's own service
//! manager must not kill the shims with it (systemd: `KillMode=process`).
//!
//! A process that is to be kept apart (`isolation`) gets its namespaces, its root directory and its capabilities from
//! the shim (`shim/src/apart.rs`), after the control group and the allocation's network, before its user.

mod command;
mod end;
mod exec;
mod home;
mod isolation;
mod launch;
mod pid;
#[path = "../../shim/src/record.rs"]
#[allow(dead_code, reason = "compiled into both ends, each of which uses its part")]
mod record;
mod signal;
mod spec;
mod usage;
mod user;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use longshore_core::{
    caller::{Caller, DriverName, TaskScope},
    error::{HostError, Result},
    exec::{ExecRequest, ExecStream},
    policy::Policy,
    process::{CommandResult, Process, ProcessSpec, Processes},
    workload::{ExitStatus, RunState, Usage},
};
use rustix::fs::{FlockOperation, flock};
use tokio::time::{sleep, timeout};

use crate::{
    cgroup::{Cgroups, Group},
    failure::{because, blocking},
    lock::NamedLocks,
};
use home::{Home, NEW, OLD};
pub(crate) use home::{slot as slot_name, slot_of as slot_of_id};
use launch::ShimProgram;

/// The signal of a stop that names none, as in Nomad.
const DEFAULT_STOP_SIGNAL: &str = "SIGINT";
/// How often a state is looked at that nothing announces.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Starts and finds processes; all it knows is in its state directory and the kernel.
pub struct Supervisor(Arc<Inner>);

struct Inner {
    state: PathBuf,
    cgroups: Arc<Cgroups>,
    policies: BTreeMap<DriverName, Policy>,
    shim: ShimProgram,
    slots: NamedLocks,
    samples: usage::Samples,
    execs: exec::Sessions,
}

impl Supervisor {
    /// Opens (and makes, 0700) the state directory. A second supervisor on the same directory finds the
    /// processes of the first, which must be gone. A driver without a policy has the usual one.
    pub fn open(state: &Path, cgroups: Arc<Cgroups>, policies: BTreeMap<DriverName, Policy>) -> Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(state);
        made.map_err(because(state.display()))?;
        let state = state.canonicalize().map_err(because(state.display()))?;
        for entry in fs::read_dir(&state).map_err(because(state.display()))?.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(NEW) || name.starts_with(OLD)) {
                fs::remove_dir_all(entry.path()).map_err(because(entry.path().display()))?;
            }
        }
        Ok(Self(Arc::new(Inner {
            shim: ShimProgram::new(&state),
            state,
            cgroups,
            policies,
            slots: NamedLocks::default(),
            samples: usage::Samples::default(),
            execs: exec::Sessions::default(),
        })))
    }

    /// Node attributes: how processes are supervised and limited here.
    pub fn describe(&self) -> BTreeMap<String, String> {
        self.0.cgroups.describe()
    }

    /// Waits for the end and sees to it that nothing is left.
    async fn ended(&self, home: &Home) -> Result<ExitStatus> {
        loop {
            match (home.state(), home.pids()) {
                (RunState::Running, Some(pids)) => {
                    pids.shim.ended().await.map_err(because("waiting for the supervisor"))?;
                    // The lock goes with the shim's last moments; a handle tells a little earlier.
                    if home.shim_lives() {
                        sleep(LOOK_AGAIN).await;
                    }
                }
                (RunState::Running, None) => sleep(LOOK_AGAIN).await,
                (RunState::Exited(status), _) => {
                    self.end_leftovers(home).await?;
                    return Ok(status);
                }
                (other, _) => {
                    let message = Some(format!("it was never started ({other:?})"));
                    return Ok(ExitStatus { exit_code: 1, message, ..ExitStatus::default() });
                }
            }
        }
    }

    /// Kills what a killed shim could not, and commands run beside the process.
    async fn end_leftovers(&self, home: &Home) -> Result<()> {
        self.0.execs.kill_beside(home.id());
        if !home.is_orphaned() {
            return Ok(());
        }
        let (inner, home) = (self.0.clone(), home.clone());
        blocking(move || end::orphans(&home, inner.group(&home).as_ref())).await
    }

    /// SIGKILL to everything, and waits until it is over.
    async fn kill_all(&self, home: &Home) -> Result<()> {
        let (inner, killed) = (self.0.clone(), home.clone());
        blocking(move || end::kill(&killed, inner.group(&killed).as_ref())).await?;
        if timeout(end::PATIENCE, self.ended(home)).await.is_err() {
            // The shim is stopped or stuck; its process has been killed, and dies with it at the latest.
            end::kill_shim(home)?;
            timeout(end::PATIENCE, self.ended(home))
                .await
                .map_err(|_| HostError::Timeout(format!("process {} does not die", home.id())))??;
        }
        Ok(())
    }
}

impl Inner {
    /// The directory of an id the caller owns.
    fn find(&self, caller: &Caller, id: &str) -> Result<Home> {
        let home = home::slot_of(id).and_then(|slot| Home::open(&self.state.join(slot)));
        home.filter(|home| home.id() == id && home.is_of(caller))
            .ok_or_else(|| HostError::NotFound(format!("process {id:?}")))
    }

    fn group(&self, home: &Home) -> Option<Group> {
        self.cgroups.group(home.id())
    }

    /// The blocking part of `spawn`, alone with its slot.
    fn spawn(&self, caller: &Caller, scope: &TaskScope, spec: &ProcessSpec, slot: &str) -> Result<String> {
        let dir = self.state.join(slot);
        match Home::open(&dir) {
            Some(home) if home.shim_lives() => return Ok(home.id().into()),
            Some(home) => self.discard(&home)?,
            None if dir.exists() => fs::remove_dir_all(&dir).map_err(because(dir.display()))?,
            None => {}
        }
        let id = home::new_id(slot)?;
        let mut record = spec::record(&id, &caller.driver.0, scope, spec)?;
        let group = self.cgroups.group(&id);
        if let Some(group) = &group {
            spec::push_group(&mut record, group);
        }
        if let Some(uid) = record.number("uid") {
            user::give_secrets(&scope.dirs.secrets, uid)?;
        }
        let (home, lock) = self.make_home(dir, record)?;
        let started = group
            .map_or(Ok(()), |group| group.create(&self.cgroups, &spec.limits))
            .and_then(|()| launch::supervise(&self.shim, &home.dir, &lock, &home.spec));
        drop(lock);
        if let Err(error) = started {
            if let Err(left) = self.discard(&home) {
                tracing::warn!(process = id, %left, "a start failed, and so did its clean-up");
            }
            return Err(error);
        }
        Ok(id)
    }

    /// Makes the directory, whole and locked.
    fn make_home(&self, dir: PathBuf, spec: record::Record) -> Result<(Home, fs::File)> {
        let new = self.state.join(format!("{NEW}{}", spec.text("id").unwrap_or_default()));
        let make = || {
            fs::DirBuilder::new().mode(0o700).create(&new)?;
            fs::write(new.join("spec"), spec.encode())?;
            let lock = fs::File::create(new.join("lock"))?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            fs::rename(&new, &dir)?;
            Ok::<_, std::io::Error>(lock)
        };
        let lock = make().map_err(because(new.display()))?;
        Ok((Home { dir, spec }, lock))
    }

    /// Removes what an ended process left.
    fn discard(&self, home: &Home) -> Result<()> {
        let group = self.group(home);
        if home.is_orphaned() {
            end::orphans(home, group.as_ref())?;
        }
        if let Some(group) = group {
            group.remove()?;
        }
        self.samples.forget(home.id());
        home.remove().map_err(because(home.dir.display()))
    }

    fn homes(&self) -> Result<Vec<Home>> {
        let entries = fs::read_dir(&self.state).map_err(because(self.state.display()))?;
        Ok(entries.flatten().filter_map(|entry| Home::open(&entry.path())).collect())
    }
}

#[async_trait]
impl Processes for Supervisor {
    async fn run_command(
        &self,
        _caller: &Caller,
        command: &str,
        args: &[String],
        timeout_ms: u32,
    ) -> Result<CommandResult> {
        command::run(command, args, timeout_ms).await
    }

    async fn spawn(&self, caller: &Caller, spec: &ProcessSpec) -> Result<String> {
        let scope = caller.require_task()?.clone();
        let mut spec = spec.clone();
        let (inner, caller) = (self.0.clone(), caller.clone());
        blocking(move || {
            if let Some(isolation) = &mut spec.isolation {
                let policy = inner.policies.get(&caller.driver).cloned().unwrap_or_default();
                isolation::resolve(&policy, &scope, isolation)?;
            }
            let slot = home::slot(&caller, &scope.id, &spec.name);
            inner.slots.with(&slot, || inner.spawn(&caller, &scope, &spec, &slot))
        })
        .await
    }

    async fn stop(&self, caller: &Caller, id: &str, signal: Option<&str>, grace_ms: u32) -> Result<()> {
        let signal = signal::by_name(signal.unwrap_or(DEFAULT_STOP_SIGNAL))?;
        let home = self.0.find(caller, id)?;
        if home.state() == RunState::Running {
            if let Some(pids) = home.pids() {
                pids.main.signal(signal).map_err(because("sending the signal"))?;
            }
            let grace = Duration::from_millis(grace_ms.into());
            match timeout(grace, self.ended(&home)).await {
                Ok(ended) => return ended.map(drop),
                Err(_) => return self.kill_all(&home).await,
            }
        }
        self.end_leftovers(&home).await
    }

    async fn signal(&self, caller: &Caller, id: &str, name: &str) -> Result<()> {
        let signal = signal::by_name(name)?;
        let home = self.0.find(caller, id)?;
        let sent = home.pids().map(|pids| pids.main.signal(signal)).transpose();
        match sent.map_err(because(format_args!("sending {name}")))? {
            Some(true) => Ok(()),
            _ => Err(HostError::NotFound(format!("process {id:?} has ended"))),
        }
    }

    async fn remove(&self, caller: &Caller, id: &str) -> Result<()> {
        let Ok(home) = self.0.find(caller, id) else { return Ok(()) };
        if home.state() == RunState::Running {
            self.kill_all(&home).await?;
        }
        self.0.execs.kill_beside(id);
        let inner = self.0.clone();
        blocking(move || {
            let slot = home::slot_of(home.id()).unwrap_or_default().to_owned();
            inner.slots.with(&slot, || match Home::open(&home.dir) {
                // A new process of the same name may have taken its place meanwhile.
                Some(now) if now.id() == home.id() => inner.discard(&home),
                _ => Ok(()),
            })
        })
        .await
    }

    async fn inspect(&self, caller: &Caller, id: &str) -> Result<Process> {
        Ok(self.0.find(caller, id)?.describe())
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Process>> {
        let (inner, caller) = (self.0.clone(), caller.clone());
        blocking(move || {
            let own = inner.homes()?.into_iter().filter(|home| home.is_of(&caller));
            let mut list: Vec<_> = own.map(|home| home.describe()).collect();
            list.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(list)
        })
        .await
    }

    async fn usage(&self, caller: &Caller, id: &str) -> Result<Usage> {
        let home = self.0.find(caller, id)?;
        let running = home.pids().filter(|_| home.state() == RunState::Running);
        let pids = running.ok_or_else(|| HostError::NotFound(format!("process {id:?} has ended")))?;
        let inner = self.0.clone();
        blocking(move || Ok(inner.samples.take(home.id(), pids, inner.group(&home).as_ref()))).await
    }

    async fn confine(&self, caller: &Caller, id: &str, cpus: &[u32]) -> Result<()> {
        let home = self.0.find(caller, id)?;
        let Some(group) = self.0.group(&home) else { return Ok(()) };
        let cpus = cpus.to_vec();
        blocking(move || group.confine(&cpus)).await
    }

    async fn prepare_exec(&self, caller: &Caller, id: &str, request: &ExecRequest) -> Result<String> {
        let home = self.0.find(caller, id)?;
        if home.state() != RunState::Running {
            return Err(HostError::NotFound(format!("process {id:?} has ended; nothing can run beside it")));
        }
        self.0.execs.prepare(caller, &home, request)
    }

    async fn wait(&self, caller: &Caller, id: &str) -> Result<ExitStatus> {
        let home = self.0.find(caller, id)?;
        self.ended(&home).await
    }

    async fn attach_exec(&self, caller: &Caller, session: &str) -> Result<ExecStream> {
        let (inner, caller, session) = (self.0.clone(), caller.clone(), session.to_owned());
        blocking(move || inner.execs.start(&inner.shim, &caller, &session)).await
    }
}
