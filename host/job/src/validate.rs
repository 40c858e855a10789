//! What one value alone cannot show: names used twice, limits against each other, jobs that could not run.

mod cluster;
mod constraint;
mod cron;
mod files;
mod network;
mod policy;
mod published;
mod service;
mod task;
mod traps;

pub(crate) use published::PUBLISHERS;

use std::collections::HashMap;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::model::{Job, JobKind, Service, TaskGroup};

/// Checks a complete job; each diagnostic carries the JSON pointer of what is to blame.
///
/// What drivers' schemas say of `config` is not checked here.
pub fn validate(job: &Job) -> Diagnostics {
    let mut report = Report::default();
    report.job(job);
    report.traps(job);
    report.found
}

/// Bytes that the description of a job may have.
const LONGEST_DESCRIPTION: usize = 1000;

/// Collects what is found.
#[derive(Default)]
struct Report {
    found: Diagnostics,
}

impl Report {
    fn error(&mut self, at: impl Into<String>, summary: impl Into<String>) {
        self.found.push(Diagnostic::error(summary, "").at(at));
    }

    fn warning(&mut self, at: impl Into<String>, summary: impl Into<String>) {
        self.found.push(Diagnostic::warning(summary, "").at(at));
    }

    fn job(&mut self, job: &Job) {
        if job.id.is_empty() {
            self.error("/ID", "Missing job ID");
        }
        if job.id.contains(' ') {
            self.error("/ID", "Job ID contains a space");
        }
        if job.id.contains('\0') {
            self.error("/ID", "Job ID contains a null character");
        }
        if job.datacenters.iter().any(String::is_empty) {
            self.error("/Datacenters", "Job datacenter must be non-empty string");
        }
        if !(1..=100).contains(&job.priority) {
            self.error("/Priority", "job priority must be between [1, 100]");
        }
        self.constraints(&job.constraints, "", false);
        self.started_by(job);
        self.placed(job);
        if let Some(update) = &job.update {
            self.update(job.kind, update, "/Update");
        }
        if let Some(ui) = job.ui.as_ref().filter(|ui| ui.description.len() > LONGEST_DESCRIPTION) {
            let length = ui.description.len();
            let summary = format!("UI description must be under {LONGEST_DESCRIPTION} characters, currently {length}");
            self.error("/UI/Description", summary);
        }
        if job.task_groups.is_empty() {
            self.error("/TaskGroups", "Missing job task groups");
        }
        let names = job.task_groups.iter().map(|group| group.name.as_str());
        for (first, again, name) in repeated(names) {
            self.error(
                format!("/TaskGroups/{again}/Name"),
                format!("Job task group {} redefines '{name}' from group {}", again + 1, first + 1),
            );
        }
        for (index, group) in job.task_groups.iter().enumerate() {
            self.group(job, group, &format!("/TaskGroups/{index}"));
        }
    }

    fn group(&mut self, job: &Job, group: &TaskGroup, at: &str) {
        let name = &group.name;
        if name.is_empty() {
            self.error(format!("{at}/Name"), "Missing task group name");
        }
        if name.contains('\0') {
            self.error(format!("{at}/Name"), "Task group name contains a null character");
        }
        let one_each = matches!(job.kind, JobKind::System | JobKind::Sysbatch);
        if one_each && group.count > 1 {
            let count = group.count;
            let summary =
                format!("Job task group {name} has count {count}. Count cannot exceed 1 with system scheduler");
            self.error(format!("{at}/Count"), summary);
        }
        self.constraints(&group.constraints, at, false);
        self.restart(&group.restart_policy, &format!("{at}/RestartPolicy"), true);
        // The job's own was checked already, and is part of every group's.
        if let Some(update) = group.update.as_ref().filter(|update| Some(*update) != job.update.as_ref()) {
            self.update(job.kind, update, &format!("{at}/Update"));
        }
        self.networks(group, at);
        self.disk(group, at);
        self.volumes(job.kind, group, at);
        self.moved(job, group, at);
        self.scaling(group, at);
        self.services(group, at);
        self.clustered(group, at);
        if group.max_run_duration.is_some() && !job.kind.ends_on_success() {
            let kind = JobKind::NAMES[job.kind as usize];
            self.error(format!("{at}/MaxRunDuration"), format!("Job type {kind:?} does not allow max_run_duration"));
        }
        self.tasks(group, at);
        self.published(group, at);
    }

    fn disk(&mut self, group: &TaskGroup, at: &str) {
        let disk = group.ephemeral_disk.size_mb;
        if disk < 10 {
            let summary = format!("minimum DiskMB value is 10; got {disk}");
            return self.error(format!("{at}/EphemeralDisk/SizeMB"), summary);
        }
        for (index, task) in group.tasks.iter().enumerate() {
            let logs = u64::from(task.logs.max_files) * u64::from(task.logs.max_file_size_mb);
            if logs >= disk {
                let summary = format!("log storage ({logs} MB) must be less than requested disk capacity ({disk} MB)");
                self.error(format!("{at}/Tasks/{index}/LogConfig"), summary);
            }
        }
    }

    fn tasks(&mut self, group: &TaskGroup, at: &str) {
        // Nomad adds a gateway's task itself.
        if group.tasks.is_empty() && group.services.iter().any(is_gateway) {
            return;
        }
        if group.tasks.is_empty() {
            self.error(at, format!("Missing tasks for task group {:?}", group.name));
            return;
        }
        let names = group.tasks.iter().map(|task| task.name.as_str());
        for (first, again, name) in repeated(names) {
            self.error(
                format!("{at}/Tasks/{again}/Name"),
                format!("Task {} redefines '{name}' from task {}", again + 1, first + 1),
            );
        }
        let mut leaders = group.tasks.iter().enumerate().filter(|(_, task)| task.leader).skip(1);
        if let Some((second, _)) = leaders.next() {
            self.error(format!("{at}/Tasks/{second}/Leader"), "Only one task may be marked as leader");
        }
        if group.tasks.iter().all(|task| task.lifecycle.is_some()) {
            self.error(at, format!("Task group {} must have at least one main task", group.name));
        }
        for (index, task) in group.tasks.iter().enumerate() {
            self.task(group, task, &format!("{at}/Tasks/{index}"));
            self.files(group, task, &format!("{at}/Tasks/{index}"));
        }
    }
}

fn is_gateway(service: &Service) -> bool {
    let gateway = service.connect.as_ref().and_then(|connect| connect.get("Gateway"));
    gateway.is_some_and(|gateway| !gateway.is_null())
}

/// Names that stand twice: index of the first and of the repetition, counted from 0.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(usize, usize, &'a str)> {
    let mut seen = HashMap::new();
    let mut found = Vec::new();
    for (index, name) in names.enumerate() {
        match seen.get(name) {
            Some(first) => found.push((*first, index, name)),
            None => {
                seen.insert(name, index);
            }
        }
    }
    found
}
