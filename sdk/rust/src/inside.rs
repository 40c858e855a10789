//! Where a task that does not see the host's paths finds its directories, as in Nomad.

use crate::{
    Directories, KeyValue, Task, env,
    host::{Mount, MountKind},
};

/// `NOMAD_ALLOC_DIR` inside.
pub const ALLOC_DIR: &str = "/alloc";
/// The group's logs inside.
pub const LOGS_DIR: &str = "/alloc/logs";
/// `NOMAD_TASK_DIR` inside.
pub const LOCAL_DIR: &str = "/local";
/// `NOMAD_SECRETS_DIR` inside.
pub const SECRETS_DIR: &str = "/secrets";

/// A mount of a host path that can be written.
pub fn bind(source: &str, target: &str) -> Mount {
    Mount { source: source.into(), target: target.into(), kind: MountKind::Bind, read_only: false, propagation: None }
}

/// The group's directory. Logs are the host's to write.
pub fn shared(directories: &Directories) -> [Mount; 2] {
    let logs = format!("{}/logs", directories.alloc.trim_end_matches('/'));
    [bind(&directories.alloc, ALLOC_DIR), Mount { read_only: true, ..bind(&logs, LOGS_DIR) }]
}

/// The task's own directories.
pub fn own(directories: &Directories) -> [Mount; 2] {
    [bind(&directories.local, LOCAL_DIR), bind(&directories.secrets, SECRETS_DIR)]
}

/// The task's environment with the directories as it sees them, also where others of its variables name them.
pub fn environment(task: &Task) -> Vec<KeyValue> {
    let mut all = task.env.clone();
    all.iter_mut().for_each(|variable| variable.value = path(&task.directories, &variable.value));
    for (key, place) in
        [("NOMAD_ALLOC_DIR", ALLOC_DIR), ("NOMAD_TASK_DIR", LOCAL_DIR), ("NOMAD_SECRETS_DIR", SECRETS_DIR)]
    {
        env::set(&mut all, key, place);
    }
    all
}

/// A text of the job file as the task is to see it: `${NOMAD_TASK_DIR}/app` was replaced by a path of the host.
pub fn path(directories: &Directories, text: &str) -> String {
    let Directories { alloc, local, secrets, .. } = directories;
    let places = [(local, LOCAL_DIR), (secrets, SECRETS_DIR), (alloc, ALLOC_DIR)];
    places.iter().fold(text.to_owned(), |text, (host, inside)| text.replace(host.as_str(), inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn host_paths_become_those_inside() {
        let mut task = sample::task("{}");
        task.env =
            env::list([("NOMAD_TASK_DIR", "/a/web/local"), ("APP", "/a/web/local/app:/a/alloc/data"), ("X", "/a")]);
        let seen = environment(&task);
        for (key, value) in [
            ("NOMAD_TASK_DIR", "/local"),
            ("NOMAD_SECRETS_DIR", "/secrets"),
            ("NOMAD_ALLOC_DIR", "/alloc"),
            ("APP", "/local/app:/alloc/data"),
            ("X", "/a"),
        ] {
            assert_eq!(env::get(&seen, key), Some(value), "{key}");
        }
    }
}
