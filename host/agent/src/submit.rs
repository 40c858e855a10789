//! A job comes in: checked whole, refused with every reason or accepted, journalled, begun.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use longshore_core::{caller::AllocId, port::Port};
use longshore_job::model::{Job, TaskGroup};

use crate::{
    Allocation, ClientStatus, Desired, SubmitError, SubmitOptions, Submitted, TaskState,
    alloc::{
        cores, dir, network, ports,
        runner::{self, Progress},
        spare,
    },
    board::{self, JobEntry},
    check,
    error::Problem,
    jobs::{self, Changes},
    shared::Shared,
    status::since_epoch,
    store::{RunPhase, TaskRecord, Write},
    task::{
        events,
        launch::{self, Launch},
    },
};

/// Allocations whose directories are made before any of a job starts: about as many as start at once.
const EARLY: usize = 8;

impl Shared {
    /// Checks a job; answers warnings.
    pub(crate) async fn validate(&self, job: &Job) -> Result<Vec<String>, SubmitError> {
        check::job(self, &mut job.clone()).await
    }

    /// Checks a job and begins what it changes.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        mut job: Job,
        options: SubmitOptions,
    ) -> Result<Submitted, SubmitError> {
        let warnings = check::job(self, &mut job).await?;
        let _one = self.deciding.lock().await;
        let known = self.board.job(&job.id);
        enforce(options.enforce_index, known.as_ref())?;
        let newest = known.as_ref().and_then(|entry| entry.newest().cloned());
        let is_new = jobs::settle(&mut job, newest.as_deref());
        if is_new {
            self.stamp(&mut job, newest.as_deref());
        }
        let allocs = self.board.allocs_of_job(&job.id);
        let changes = jobs::changes(&job, &allocs);
        let evaluation = self.evaluation(&job, "job-register");
        let made = self.make(&job, &evaluation.id, &changes, &allocs).await?;
        let mut writes = vec![Write::evaluation(&evaluation), Write::purged(&job.id)];
        if is_new {
            writes.push(Write::job(&job));
        }
        writes.push(Write::submission(&job.id, &options.submission));
        writes.extend(self.stop_writes(changes.stop.iter().map(|(id, why)| (id, *why))));
        let newest = Arc::new(job.clone());
        writes.extend(self.update_writes(&changes.update, &newest));
        let made: Vec<_> = made.into_iter().map(|alloc| self.with_first_starts(alloc, &mut writes)).collect();
        let written = self.board.journal().write(writes);
        let (written, ()) = tokio::join!(written.durable(), self.build_directories(&made));
        if let Err(error) = written {
            self.give_back(made.iter().map(|(alloc, _)| alloc)).await;
            return Err(error.into());
        }
        let submitted = Submitted {
            eval_id: evaluation.id.clone(),
            job_modify_index: job.job_modify_index,
            allocations: made.iter().map(|(alloc, _)| alloc.id.clone()).collect(),
            warnings,
        };
        self.board.put_job(job, Some(options.submission));
        self.board.put_evaluation(evaluation);
        for (id, why) in &changes.stop {
            self.stop_now(id, why);
        }
        for id in &changes.update {
            self.update_now(id, &newest);
        }
        for (alloc, prepared) in made {
            self.begin(alloc, prepared);
        }
        Ok(submitted)
    }

    /// An allocation and the first starts of its tasks, which are journalled with it: one fsync instead of two.
    fn with_first_starts(&self, alloc: Allocation, writes: &mut Vec<Write>) -> (Allocation, BTreeMap<String, Launch>) {
        writes.push(Write::alloc(&board::record(&alloc)));
        // What replaces another gets the rest of its ports when that one is gone, and is prepared then.
        // What has a network of its own is prepared when that is made.
        let now = alloc.previous.is_none() && !network::is_own(&alloc.network_mode);
        let prepared = if now { launch::prepare_first(self, &alloc) } else { BTreeMap::new() };
        for (name, launch) in &prepared {
            let record = TaskRecord {
                phase: RunPhase::Starting,
                driver: launch.driver.clone(),
                state: alloc.tasks.get(name).cloned().unwrap_or_default(),
                ..TaskRecord::default()
            };
            writes.push(Write::snapshot(&launch.task));
            writes.push(Write::task(&launch.task.id, &record));
        }
        (alloc, prepared)
    }

    /// Makes the first directories while the disk is busy with the journal. Their allocations' runners look again and
    /// report what went wrong; those of allocations that never came to be are swept when an agent starts.
    async fn build_directories(&self, made: &[(Allocation, BTreeMap<String, Launch>)]) {
        let config = self.config.clone();
        let wanted: Vec<(AllocId, Vec<String>)> = made
            .iter()
            .take(EARLY)
            .map(|(alloc, _)| (alloc.id.clone(), alloc.tasks.keys().cloned().collect()))
            .collect();
        let built = tokio::task::spawn_blocking(move || {
            wanted.iter().try_for_each(|(id, tasks)| dir::build(&config, &id.0, tasks.iter()))
        });
        if let Ok(Err(error)) = built.await {
            tracing::debug!(%error, "directories of new allocations");
        }
    }

    /// What a version of a job that is new gets from the agent.
    fn stamp(&self, job: &mut Job, newest: Option<&Job>) {
        let index = self.board.upcoming_index();
        job.create_index = newest.map_or(index, |newest| newest.create_index);
        job.modify_index = index;
        job.job_modify_index = index;
        job.submit_time = i64::try_from(since_epoch(SystemTime::now()).as_nanos()).unwrap_or(i64::MAX);
    }

    /// New allocations with their ports, or the reason why they cannot be. Nothing of them is on the board yet.
    async fn make(
        &self,
        job: &Job,
        eval_id: &str,
        changes: &Changes,
        allocs: &[Arc<Allocation>],
    ) -> Result<Vec<Allocation>, SubmitError> {
        let shared_job = Arc::new(job.clone());
        let leaving: BTreeSet<u16> = allocs
            .iter()
            .filter(|alloc| changes.stop.iter().any(|(id, _)| *id == alloc.id))
            .flat_map(|alloc| alloc.ports.iter().map(|port| port.host_port))
            .collect();
        let mut made = Vec::new();
        for (group, index, previous) in &changes.make {
            let alloc = self.new_alloc(&shared_job, eval_id, group, *index, previous.clone(), &made);
            let Some(mut alloc) = alloc else { continue };
            let ports = match self.reserve_cores(&alloc, changes, &made) {
                Ok(cores) => {
                    alloc.cores = cores;
                    self.reserve(&alloc, &leaving).await
                }
                Err(problem) => Err(problem),
            };
            match ports {
                Ok(ports) => alloc.ports = ports,
                Err(problem) => {
                    self.give_back(made.iter()).await;
                    return Err(SubmitError::Unplaceable(vec![problem]));
                }
            }
            made.push(alloc);
        }
        Ok(made)
    }

    /// Finds processors for an allocation's tasks that ask for some of their own. Those of allocations that are about to
    /// end are free: what replaces them starts after that.
    fn reserve_cores(
        &self,
        alloc: &Allocation,
        changes: &Changes,
        made: &[Allocation],
    ) -> Result<BTreeMap<String, Vec<u32>>, Problem> {
        let number = alloc.job.task_groups.iter().position(|group| group.name == alloc.group).unwrap_or(0);
        let Some(group) = alloc.job.task_groups.get(number) else { return Ok(BTreeMap::new()) };
        let leaves = |id: &AllocId| changes.stop.iter().any(|(stopped, _)| stopped == id);
        let known = self.board.allocs("");
        let holders = known.iter().map(|alloc| &**alloc).filter(|alloc| !leaves(&alloc.id));
        let taken = cores::held(holders.chain(made));
        cores::choose(group, &self.config.reservable_cores, &taken).map_err(|(task, message)| {
            Problem::new(format!("/TaskGroups/{number}/Tasks/{task}/Resources/Cores"), message)
        })
    }

    /// Reserves an allocation's ports, except those an allocation that is about to end still has: they are
    /// reserved when it is gone.
    async fn reserve(&self, alloc: &Allocation, leaving: &BTreeSet<u16>) -> Result<Vec<Port>, Problem> {
        let number = alloc.job.task_groups.iter().position(|group| group.name == alloc.group).unwrap_or(0);
        let Some(group) = alloc.job.task_groups.get(number) else { return Ok(Vec::new()) };
        let mut wanted = ports::requests(group);
        wanted.retain(|request| request.static_port.is_none_or(|port| !leaving.contains(&port)));
        let pointer = format!("/TaskGroups/{number}/Networks/0");
        let mut reserved = match &self.backends.ports {
            _ if wanted.is_empty() => Vec::new(),
            None => return Err(Problem::new(pointer, "this host has no ports to give")),
            Some(backend) => {
                backend.reserve(&alloc.id, &wanted).await.map_err(|error| Problem::new(pointer, error.to_string()))?
            }
        };
        reserved.extend(ports::unreserved(group, &self.config, self.backends.ports.as_deref()));
        Ok(reserved)
    }

    async fn give_back(&self, made: impl Iterator<Item = &Allocation>) {
        let Some(backend) = &self.backends.ports else { return };
        for alloc in made {
            if let Err(error) = backend.release(&alloc.id, None).await {
                tracing::warn!(alloc = %alloc.id, %error, "cannot release ports of an allocation that was not begun");
            }
        }
    }

    /// An allocation that nobody knows yet, nor those that are `made` with it: of a namespace that was made in advance
    /// if there is one for it.
    pub(crate) fn new_alloc(
        &self,
        job: &Arc<Job>,
        eval_id: &str,
        group_name: &str,
        index: u32,
        previous: Option<AllocId>,
        made: &[Allocation],
    ) -> Option<Allocation> {
        let group = job.task_groups.iter().find(|group| group.name == group_name)?;
        let spare = spare::driver_of(self, group).and_then(|driver| self.spares.offer(&driver, made));
        let (id, network_handle) = spare.unzip();
        let id = id.unwrap_or_else(|| AllocId(crate::id::uuid()));
        let mut tasks = BTreeMap::new();
        let mut task_dirs = BTreeMap::new();
        for task in &group.tasks {
            let mut state = TaskState::default();
            events::push(&mut state, events::received());
            events::push(&mut state, events::building_directory());
            tasks.insert(task.name.clone(), state);
            task_dirs.insert(task.name.clone(), dir::task_dirs(&self.config, &id.0, &task.name));
        }
        let now = SystemTime::now();
        Some(Allocation {
            name: format!("{}.{group_name}[{index}]", job.id),
            group: group_name.to_owned(),
            index,
            job: job.clone(),
            eval_id: eval_id.to_owned(),
            previous,
            desired: Desired::Run,
            desired_description: String::new(),
            status: ClientStatus::Pending,
            finished: false,
            network_mode: network_mode(group),
            network: None,
            network_handle,
            network_remains: false,
            ports: Vec::new(),
            added_ports: Vec::new(),
            cores: BTreeMap::new(),
            images: BTreeMap::new(),
            tasks,
            dir: self.config.alloc_dir(&id.0),
            task_dirs,
            id,
            create_time: now,
            modify_time: now,
            create_index: self.board.upcoming_index(),
            modify_index: 0,
        })
    }

    /// Begins an allocation that is journalled.
    pub(crate) fn begin(self: &Arc<Self>, alloc: Allocation, prepared: BTreeMap<String, Launch>) {
        self.board.put_alloc(alloc.clone());
        if self.spares.take(&alloc.id) {
            self.board.journal().write_lazily(vec![Write::forget_spare(&alloc.id)]);
        }
        runner::launch(self, &alloc, Progress { prepared, ..Progress::default() });
    }
}

fn network_mode(group: &TaskGroup) -> String {
    group.networks.first().map_or("host", |network| network.mode()).to_lowercase()
}

fn enforce(expected: Option<u64>, known: Option<&JobEntry>) -> Result<(), SubmitError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = known.and_then(|entry| entry.newest()).map(|job| job.job_modify_index);
    let found = match found {
        None if expected == 0 => return Ok(()),
        Some(index) if index == expected => return Ok(()),
        None => "job does not exist".to_owned(),
        Some(_) if expected == 0 => "job already exists".to_owned(),
        Some(index) => format!("job exists with conflicting job modify index: {index}"),
    };
    Err(SubmitError::Conflict { expected, found })
}
