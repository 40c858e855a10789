//! Control groups: limits, measurements and a sure kill, as far as this machine lets us.
//!
//! Machines come with version 2 (one tree), version 1 (a tree for each controller) or both at once, version 2
//! then often without controllers. So a group here is one name, `longshore/<id>`, made in every tree that is of
//! use: the version 2 tree if there is one (it can kill), and for each controller it lacks the version 1 tree.
//! Where nothing can be written (no root) there are no groups, and tasks run without limits.
//!
//! A group's parent, `longshore`, is made with the first group and stays, as other managers' do.

mod group;
mod kills;
mod mounts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use mounts::Mounts;

pub use group::{Group, GroupUsage};
pub(crate) use kills::{MemoryKills, is_logged};

/// The controllers we use.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "pids"];
/// Name of the group all of ours are in.
const PARENT: &str = "longshore";

/// The control groups of this machine that we may write.
#[derive(Debug, Default)]
pub struct Cgroups {
    unified: Option<Unified>,
    v1: BTreeMap<String, PathBuf>,
    ready: OnceLock<()>,
}

/// The version 2 tree.
#[derive(Debug)]
struct Unified {
    /// Parent of our parent group.
    root: PathBuf,
    /// Those of [`CONTROLLERS`] it can give to groups.
    controllers: BTreeSet<String>,
}

impl Cgroups {
    /// Finds what can be used; never fails, because without any (no root) tasks still run, unlimited.
    pub fn detect() -> Self {
        Self::among(Mounts::here(), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    /// No groups at all, whatever the machine offers.
    pub fn none() -> Self {
        Self::default()
    }

    fn among(mounts: &Mounts, own: &str) -> Self {
        let unified = mounts.unified.as_deref().and_then(|mount| Unified::below(mount, own));
        let lacking = |name: &&str| !unified.as_ref().is_some_and(|tree| tree.controllers.contains(*name));
        let v1 = CONTROLLERS.into_iter().filter(lacking).filter_map(|name| {
            let mount = mounts.v1.get(name).filter(|mount| writable(mount))?;
            Some((name.to_owned(), mount.clone()))
        });
        Self { v1: v1.collect(), unified, ready: OnceLock::new() }
    }

    /// Node attributes: `os.cgroups.version` (`1`, `2`, `1+2`, `none`) and `os.cgroups.controllers` (sorted, by
    /// comma; empty: limits are not enforced here).
    pub fn describe(&self) -> BTreeMap<String, String> {
        let version = match (&self.unified, self.v1.is_empty()) {
            (None, true) => "none",
            (None, false) => "1",
            (Some(_), true) => "2",
            (Some(_), false) => "1+2",
        };
        let unified = self.unified.iter().flat_map(|tree| &tree.controllers);
        let controllers: BTreeSet<_> = unified.chain(self.v1.keys()).map(String::as_str).collect();
        let controllers = controllers.into_iter().collect::<Vec<_>>().join(",");
        BTreeMap::from([("os.cgroups.version".into(), version.into()), ("os.cgroups.controllers".into(), controllers)])
    }

    /// The group of this name, existing or not; none where there are no groups.
    pub fn group(&self, id: &str) -> Option<Group> {
        let unified = self.unified.as_ref().map(|tree| (tree.root.join(PARENT).join(id), tree.controllers.clone()));
        let v1: BTreeMap<_, _> =
            self.v1.iter().map(|(name, mount)| (name.clone(), mount.join(PARENT).join(id))).collect();
        (unified.is_some() || !v1.is_empty()).then_some(Group { unified, v1 })
    }

    /// Makes the parent group ready to have groups with controllers.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if self.ready.get().is_some() {
            return Ok(());
        }
        if let Some(tree) = &self.unified {
            tree.prepare()?;
        }
        for (name, mount) in &self.v1 {
            let parent = mount.join(PARENT);
            fs::create_dir_all(&parent)?;
            if name == "cpuset" {
                inherit_cpuset(mount, &parent)?;
            }
        }
        let _ = self.ready.set(());
        Ok(())
    }
}

impl Unified {
    /// Root writes at the top. Others can only write in what was delegated to them, which is found by going up
    /// from where this process is: beside it, because a group with processes may not have groups with limits.
    fn below(mount: &Path, own: &str) -> Option<Self> {
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let beside = mount.join(own).parent().map(Path::to_owned).filter(|dir| dir.starts_with(mount));
        let root = [Some(mount.to_owned()), beside].into_iter().flatten().find(|dir| writable(dir))?;
        let offered = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let used = |name: &&str| CONTROLLERS.contains(name);
        let controllers = offered.split_ascii_whitespace().filter(used).map(String::from).collect();
        Some(Self { root, controllers })
    }

    fn prepare(&self) -> io::Result<()> {
        let parent = self.root.join(PARENT);
        fs::create_dir_all(&parent)?;
        for controller in &self.controllers {
            for dir in [&self.root, &parent] {
                // Refused in a container whose root group has processes; the limit's file is then missing, and
                // setting that limit says so.
                let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        Ok(())
    }
}

/// Keeps somebody else's control group on these processors: the one a process is in, which has a name in its path.
pub(crate) fn move_to_processors(pid: i64, name: &str, cpus: &str) -> io::Result<()> {
    let of_process = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let group = Mounts::here().group_of("cpuset", &of_process).map(|(dir, _)| dir).unwrap_or_default();
    // In version 2 a runtime may give its processes a group within the container's.
    let named = group.ancestors().filter(|dir| dir.to_string_lossy().contains(name));
    let file = named.map(|dir| dir.join("cpuset.cpus")).find(|file| file.exists());
    fs::write(file.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?, cpus)
}

/// A version 1 cpuset takes nobody in before it has CPUs and memory nodes.
fn inherit_cpuset(from: &Path, to: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if fs::read_to_string(to.join(file))?.trim().is_empty() {
            fs::write(to.join(file), fs::read_to_string(from.join(file))?)?;
        }
    }
    Ok(())
}

fn writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}
