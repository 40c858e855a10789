//! Single tasks.

use super::Report;
use crate::model::{Logs, Resources, Task, TaskGroup, format_duration};
use crate::suggest::did_you_mean;

/// Signals by name, without `SIG`.
const SIGNALS: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

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
        self.kill_signal(&task.kill_signal, &format!("{at}/KillSignal"));
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

    /// One that no driver can send would be found when the task is to be stopped.
    fn kill_signal(&mut self, name: &str, at: &str) {
        if name.is_empty() || name.contains("${") || is_signal(name) {
            return;
        }
        let upper = name.to_uppercase();
        let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        let hint = did_you_mean(&full, SIGNALS.map(|known| format!("SIG{known}")).iter().map(String::as_str));
        self.error(at, format!("{name:?} is not the name of a signal, like SIGINT.{hint}"));
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

/// Whether a name is that of a signal: with or without `SIG`, in any case; real-time ones are `RTMIN+3`, `RTMAX-1`.
fn is_signal(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let is_number = |text: &str| text.parse::<u8>().is_ok_and(|number| number <= 15);
    let real_time = bare.strip_prefix("RTMIN").map(|rest| (rest, '+'));
    match real_time.or_else(|| bare.strip_prefix("RTMAX").map(|rest| (rest, '-'))) {
        Some((rest, sign)) => rest.is_empty() || rest.strip_prefix(sign).is_some_and(is_number),
        None => SIGNALS.contains(&bare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        for name in ["SIGINT", "int", "SigUsr1", "RTMIN", "SIGRTMIN+3", "rtmax-1"] {
            assert!(is_signal(name), "{name}");
        }
        for name in ["SIG", "9", "SIGNOSUCH", "RTMIN+99", "RTMIN-1", "RTMAX+1", "INT "] {
            assert!(!is_signal(name), "{name}");
        }
    }
}
