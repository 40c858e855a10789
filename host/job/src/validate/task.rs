//! Single tasks.

use super::Report;
use crate::model::{Logs, Resources, Task, TaskGroup, format_duration};

impl Report {
    pub(super) fn task(&mut self, group: &TaskGroup, task: &Task, at: &str) {
        self.task_name(&task.name, &format!("{at}/Name"));
        if task.driver.is_empty() {
            self.error(format!("{at}/Driver"), format!("Missing task driver for task {:?}", task.name));
        }
        if !task.config.is_object() {
            self.error(format!("{at}/Config"), "Config must be an object");
        }
        self.constraints(&task.constraints, at, true);
        // The group's own was checked already, and is part of every task's.
        if task.restart_policy != group.restart_policy {
            self.restart(&task.restart_policy, &format!("{at}/RestartPolicy"), false);
        }
        self.kill_timeout(group, task, &format!("{at}/KillTimeout"));
        self.resources(&task.resources, &format!("{at}/Resources"));
        self.logs(&task.logs, &format!("{at}/LogConfig"));
    }

    /// Only a group that says how it is updated has a deadline.
    fn kill_timeout(&mut self, group: &TaskGroup, task: &Task, at: &str) {
        let Some(deadline) = group.update.as_ref().map(|update| update.progress_deadline) else { return };
        if !deadline.is_zero() && task.kill_timeout > deadline {
            let (timeout, deadline) = (format_duration(task.kill_timeout), format_duration(deadline));
            self.error(at, format!("KillTimout ({timeout}) longer than the group's ProgressDeadline ({deadline})"));
        }
    }

    /// The name becomes a directory.
    fn task_name(&mut self, name: &str, at: &str) {
        match name {
            "" => self.error(at, "Missing task name"),
            "alloc" => self.error(at, "Task cannot be named \"alloc\""),
            "." | ".." => self.error(at, format!("Task cannot be named {name:?}")),
            _ if name.contains(['/', '\\']) => {
                self.error(at, format!("Task name {name:?} cannot include slashes"));
            }
            _ if name.contains('\0') => self.error(at, "Task name contains a null character"),
            _ => {}
        }
    }

    fn resources(&mut self, resources: &Resources, at: &str) {
        let Resources { cpu, cores, memory_mb, memory_max_mb, .. } = *resources;
        if cores > 0 && cpu > 0 {
            self.error(format!("{at}/Cores"), "Task can only ask for 'cpu' or 'cores' resource, not both.");
        }
        if cores == 0 && cpu < 1 {
            self.error(format!("{at}/CPU"), format!("minimum CPU value is 1; got {cpu}"));
        }
        if memory_mb < 10 {
            self.error(format!("{at}/MemoryMB"), format!("minimum MemoryMB value is 10; got {memory_mb}"));
        }
        let below = u64::try_from(memory_max_mb).is_ok_and(|most| most > 0 && most < memory_mb);
        if below {
            self.error(
                format!("{at}/MemoryMaxMB"),
                format!("MemoryMaxMB value ({memory_max_mb}) should be larger than MemoryMB value ({memory_mb})"),
            );
        }
        if !resources.networks.is_empty() {
            self.warning(
                format!("{at}/Networks"),
                "task network resources have been deprecated as of Nomad 0.12.0. Please configure \
                 networking via group network block.",
            );
        }
    }

    fn logs(&mut self, logs: &Logs, at: &str) {
        if logs.max_files < 1 {
            self.error(format!("{at}/MaxFiles"), format!("minimum number of files is 1; got {}", logs.max_files));
        }
        if logs.max_file_size_mb < 1 {
            let size = logs.max_file_size_mb;
            self.error(format!("{at}/MaxFileSizeMB"), format!("minimum file size is 1MB; got {size}"));
        }
    }
}
