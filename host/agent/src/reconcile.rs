//! What the journal says should run, taken up again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;
use longshore_core::caller::{AllocId, TaskId};

use crate::{
    AgentError, Allocation,
    alloc::{
        dir, network,
        runner::{self, Progress},
    },
    board::{JobEntry, client_status},
    jobs,
    shared::Shared,
    store::{AllocRecord, Loaded, TaskRecord, Write},
};

/// Puts everything back on the board, and starts to look after what is not over.
pub(crate) async fn restore(shared: &Arc<Shared>, mut loaded: Loaded) -> Result<(), AgentError> {
    let rebooted = matches!((&loaded.boot_id, &shared.config.boot_id), (Some(then), Some(now)) if then != now);
    if let Some(boot) = &shared.config.boot_id
        && loaded.boot_id.as_ref() != Some(boot)
    {
        shared.board.journal().write(vec![Write::boot_id(boot)]).durable().await?;
    }
    for ((id, _), job) in std::mem::take(&mut loaded.jobs) {
        let submission = loaded.submissions.get(&id).cloned();
        shared.board.restore_job(Arc::new(job), submission);
    }
    for evaluation in std::mem::take(&mut loaded.evaluations) {
        shared.board.put_evaluation(evaluation);
    }
    let mut open = Vec::new();
    let taken: BTreeSet<AllocId> = loaded.allocs.iter().map(|record| record.id.clone()).collect();
    let (taken, left): (Vec<_>, Vec<_>) =
        std::mem::take(&mut loaded.spares).into_iter().partition(|spare| taken.contains(&spare.id));
    shared.board.journal().write_lazily(taken.iter().map(|spare| Write::forget_spare(&spare.id)).collect());
    shared.spares.inherit(left);
    for record in std::mem::take(&mut loaded.allocs) {
        let Some((alloc, progress)) = restore_alloc(shared, record, &mut loaded, rebooted) else { continue };
        shared.board.put_alloc(alloc.clone());
        if !alloc.finished {
            open.push((alloc, progress));
        }
    }
    if !open.is_empty() {
        tracing::info!(allocations = open.len(), rebooted, "taking up what the journal says should run");
    }
    join_all(open.iter().map(|(alloc, _)| hold_ports(shared, alloc))).await;
    network::reconcile(shared, open.iter().map(|(alloc, _)| alloc)).await;
    for (alloc, progress) in open {
        runner::launch(shared, &alloc, progress);
    }
    for job in std::mem::take(&mut loaded.purging) {
        let purger = shared.clone();
        shared.spawn(async move { jobs::purge(&purger, &job).await });
    }
    // Listed before the first submission, so that none of its directories is among them.
    let found = dir::list(&shared.config)
        .map_err(|reason| AgentError::DataDir { path: shared.config.data_dir.display().to_string(), reason })?;
    let known = |name: &String| shared.board.alloc(&AllocId(name.clone())).is_some();
    let forgotten: Vec<String> = found.into_iter().filter(|name| !known(name)).collect();
    let sweeper = shared.clone();
    shared.spawn(async move { sweep(&sweeper, forgotten).await });
    let sweeper = shared.clone();
    shared.spawn(async move { sweep_containers(&sweeper).await });
    Ok(())
}

/// An allocation as it was, and how far its tasks got.
fn restore_alloc(
    shared: &Shared,
    record: AllocRecord,
    loaded: &mut Loaded,
    rebooted: bool,
) -> Option<(Allocation, Progress)> {
    let job =
        shared.board.job(&record.job_id).and_then(|entry: JobEntry| entry.versions.get(&record.job_version).cloned());
    let group = job.as_ref().and_then(|job| job.task_groups.iter().find(|group| group.name == record.group).cloned());
    let (Some(job), Some(group)) = (job, group) else {
        tracing::error!(alloc = %record.id, job = record.job_id, "the journal has an allocation without its job; ignored");
        return None;
    };
    let mut progress = Progress { rebooted, ..Progress::default() };
    let mut tasks = BTreeMap::new();
    let mut task_dirs = BTreeMap::new();
    for task in &group.tasks {
        let id = TaskId { alloc: record.id.clone(), task: task.name.clone() };
        let key = id.to_string();
        let found: TaskRecord = loaded.tasks.remove(&key).unwrap_or_default();
        tasks.insert(task.name.clone(), found.state.clone());
        task_dirs.insert(task.name.clone(), dir::task_dirs(&shared.config, &record.id.0, &task.name));
        progress.records.insert(task.name.clone(), found);
        if let Some(snapshot) = loaded.snapshots.remove(&key) {
            progress.snapshots.insert(task.name.clone(), snapshot);
        }
        if let Some(position) = loaded.log_positions.remove(&key) {
            shared.board.set_log_position(&id, position);
        }
    }
    let alloc = Allocation {
        status: client_status(tasks.values()),
        dir: shared.config.alloc_dir(&record.id.0),
        id: record.id,
        name: record.name,
        group: record.group,
        index: record.index,
        job,
        eval_id: record.eval_id,
        previous: record.previous,
        desired: record.desired,
        desired_description: record.desired_description,
        finished: record.finished,
        network_mode: record.network_mode,
        network: record.network,
        network_handle: record.network_handle,
        network_remains: record.network_remains,
        ports: record.ports,
        added_ports: record.added_ports,
        cores: record.cores,
        images: record.images,
        tasks,
        task_dirs,
        create_time: record.create_time,
        modify_time: record.create_time,
        create_index: record.create_index,
        modify_index: record.create_index,
    };
    Some((alloc, progress))
}

/// Takes the allocation's ports again. Those its running tasks listen on cannot be taken, and need not be.
async fn hold_ports(shared: &Shared, alloc: &Allocation) {
    let ports: Vec<_> = alloc.ports.iter().chain(alloc.added_ports.iter().map(|added| &added.port)).cloned().collect();
    let Some(backend) = shared.backends.ports.as_ref().filter(|_| !ports.is_empty()) else { return };
    for (port, result) in ports.iter().zip(backend.restore(&alloc.id, &ports).await) {
        if let Err(error) = result {
            tracing::debug!(alloc = %alloc.id, port = port.host_port, %error, "a port is in use, likely by its task");
        }
    }
}

/// Removes directories of allocations that nobody knows any more.
async fn sweep(shared: &Shared, forgotten: Vec<String>) {
    let config = shared.config.clone();
    let swept = tokio::task::spawn_blocking(move || forgotten.iter().try_for_each(|name| dir::remove(&config, name)));
    if let Ok(Err(error)) = swept.await {
        tracing::warn!(%error, "cannot remove the directories of forgotten allocations");
    }
}

/// Has the engine's containers removed that belong to no allocation that goes on, every few minutes.
async fn sweep_containers(shared: &Shared) {
    let Some(containers) = &shared.backends.containers else { return };
    let is_known = |id: &TaskId| {
        shared.board.alloc(&id.alloc).is_some_and(|alloc| !alloc.finished) || shared.spares.keeps(&id.alloc)
    };
    loop {
        tokio::time::sleep(shared.config.sweep_interval).await;
        // An engine that is away has its own place in the drivers' health.
        if let Err(error) = containers.sweep(&is_known).await {
            tracing::debug!(%error, "cannot look for containers that belong to no task");
        }
    }
}
