//! The directory of an allocation, made and removed through a capability on its parent, so that no link a
//! task plants leads the agent elsewhere.

use std::{io, path::Path};

use cap_std::{
    ambient_authority,
    fs::{Dir, DirBuilder, DirBuilderExt, Permissions, PermissionsExt},
};
use longshore_core::caller::{ETC_DIR, TaskDirs};

use crate::config::AgentConfig;

/// For directories all tasks of the group may write, whatever user they run as.
const SHARED: u32 = 0o777;
/// For directories of the agent's user alone.
const PRIVATE: u32 = 0o700;
/// For directories others may pass through but not list.
const PASSAGE: u32 = 0o711;
/// For directories others may read.
const READABLE: u32 = 0o755;
/// As `/tmp`.
const TEMPORARY: u32 = 0o1777;

/// Where a task's directories are, made or not.
pub(crate) fn task_dirs(config: &AgentConfig, alloc: &str, task: &str) -> TaskDirs {
    let root = config.alloc_dir(alloc);
    let own = root.join(task);
    TaskDirs {
        local: own.join("local"),
        secrets: own.join("secrets"),
        task: own,
        logs: root.join("alloc").join("logs"),
        alloc: root.join("alloc"),
    }
}

/// Makes the directory of all allocations, and one of an earlier agent as narrow as it is to be.
pub(crate) fn make_parent(config: &AgentConfig) -> io::Result<()> {
    std::fs::create_dir_all(config.allocs_dir())?;
    parent(config)?.set_permissions(".", Permissions::from_mode(PASSAGE))
}

/// Makes what is missing of an allocation's directory.
pub(crate) fn build<'a>(config: &AgentConfig, alloc: &str, tasks: impl Iterator<Item = &'a String>) -> io::Result<()> {
    let parent = parent(config)?;
    let root = subdirectory(&parent, alloc, PASSAGE)?;
    let shared = subdirectory(&root, "alloc", SHARED)?;
    for name in ["data", "logs", "tmp"] {
        subdirectory(&shared, name, if name == "tmp" { TEMPORARY } else { SHARED })?;
    }
    for task in tasks {
        let own = subdirectory(&root, task, SHARED)?;
        subdirectory(&own, "local", SHARED)?;
        subdirectory(&own, "secrets", PRIVATE)?;
        subdirectory(&own, "tmp", TEMPORARY)?;
    }
    Ok(())
}

/// Opens the directory of files that replace the machine's in `/etc`, after making it when it is missing.
pub(crate) fn etc(config: &AgentConfig, alloc: &str) -> io::Result<Dir> {
    subdirectory(&parent(config)?.open_dir(alloc)?, ETC_DIR, READABLE)
}

/// Removes an allocation's directory; gone already is success.
pub(crate) fn remove(config: &AgentConfig, alloc: &str) -> io::Result<()> {
    match parent(config)?.remove_dir_all(alloc) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Names of all allocations' directories.
pub(crate) fn list(config: &AgentConfig) -> io::Result<Vec<String>> {
    let names = parent(config)?.entries()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.collect())
}

/// Opens a directory of an allocation; links in its path may not lead out of the allocation.
pub(crate) fn open(config: &AgentConfig, alloc: &str, path: impl AsRef<Path>) -> io::Result<Dir> {
    parent(config)?.open_dir(alloc)?.open_dir(path)
}

fn parent(config: &AgentConfig) -> io::Result<Dir> {
    Dir::open_ambient_dir(config.allocs_dir(), ambient_authority())
}

/// Opens a directory, after making it when it is missing, with exactly this mode whatever the umask.
fn subdirectory(parent: &Dir, name: &str, mode: u32) -> io::Result<Dir> {
    match parent.create_dir_with(name, DirBuilder::new().mode(mode)) {
        Ok(()) => parent.set_permissions(name, Permissions::from_mode(mode))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    parent.open_dir(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn setup() -> (tempfile::TempDir, AgentConfig) {
        let root = tempfile::tempdir().unwrap();
        let config = AgentConfig::new(root.path());
        make_parent(&config).unwrap();
        (root, config)
    }

    #[test]
    fn modes_are_nomads() {
        let (_root, config) = setup();
        let tasks = ["web".to_owned()];
        build(&config, "a1", tasks.iter()).unwrap();
        build(&config, "a1", tasks.iter()).unwrap();
        for (path, mode) in [
            ("alloc", 0o777),
            ("alloc/data", 0o777),
            ("alloc/logs", 0o777),
            ("alloc/tmp", 0o1777),
            ("web/local", 0o777),
            ("web/secrets", 0o700),
            ("web/tmp", 0o1777),
        ] {
            let found = std::fs::metadata(config.alloc_dir("a1").join(path)).unwrap().mode() & 0o7777;
            assert_eq!(found, mode, "{path} has mode {found:o}");
        }
    }

    #[test]
    fn allocations_are_not_listed_to_others() {
        let (_root, config) = setup();
        let mode = || std::fs::metadata(config.allocs_dir()).unwrap().mode() & 0o7777;
        assert_eq!(mode(), 0o711);
        std::fs::set_permissions(config.allocs_dir(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        make_parent(&config).unwrap();
        assert_eq!(mode(), 0o711, "one that was there before");
    }

    #[test]
    fn links_out_of_the_allocation_are_not_followed() {
        let (root, config) = setup();
        build(&config, "a1", [].iter()).unwrap();
        let victim = root.path().join("victim");
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("kept"), "x").unwrap();
        std::fs::remove_dir(config.alloc_dir("a1").join("alloc/logs")).unwrap();
        symlink(&victim, config.alloc_dir("a1").join("alloc/logs")).unwrap();
        assert!(open(&config, "a1", "alloc/logs").is_err());
        remove(&config, "a1").unwrap();
        remove(&config, "a1").unwrap();
        assert!(victim.join("kept").exists());
        assert!(list(&config).unwrap().is_empty());
    }
}
