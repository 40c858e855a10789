//! Where the trees of control groups are mounted.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Mount points.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// Of version 2.
    pub unified: Option<PathBuf>,
    /// Of version 1, by controller.
    pub v1: BTreeMap<String, PathBuf>,
}

impl Mounts {
    /// Those of this machine, as they were when first asked for: the list grows with each container, and is long then.
    pub fn here() -> &'static Self {
        static HERE: LazyLock<Mounts> = LazyLock::new(|| {
            // Without it there are none to be seen, and limits are not enforced.
            Mounts::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
        });
        &HERE
    }

    /// Reads `/proc/self/mountinfo`; the first mount of a tree counts.
    pub fn parse(mountinfo: &str) -> Self {
        let mut mounts = Self::default();
        for line in mountinfo.lines() {
            let Some((place, kind)) = line.split_once(" - ") else { continue };
            let Some(path) = place.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut kind = kind.split(' ');
            match kind.next() {
                Some("cgroup2") => {
                    mounts.unified.get_or_insert(path);
                }
                Some("cgroup") => {
                    for controller in kind.nth(1).unwrap_or_default().split(',') {
                        mounts.v1.entry(controller.to_owned()).or_insert_with(|| path.clone());
                    }
                }
                _ => {}
            }
        }
        mounts
    }

    /// Where the group is by which a controller limits a process, given its `/proc/<pid>/cgroup`; whether that is of
    /// version 2.
    pub fn group_of(&self, controller: &str, of_process: &str) -> Option<(PathBuf, bool)> {
        let group = |mount: &Path, name: &str| Some(mount.join(name.strip_prefix('/')?));
        let lines = of_process.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let of = |wanted: &str| {
            let has = |controllers: &str| controllers.split(',').any(|name| name == wanted);
            lines.clone().find_map(|(controllers, name)| has(controllers).then_some(name))
        };
        match (self.v1.get(controller), &self.unified) {
            (Some(mount), _) => Some((group(mount, of(controller)?)?, false)),
            (None, Some(mount)) => Some((group(mount, of("")?)?, true)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_tree() {
        let both = "24 1 0:22 / /proc rw - proc proc rw\n\
            30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            31 24 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
            33 24 0:28 / /elsewhere rw - cgroup2 cgroup2 rw\n";
        let mounts = Mounts::parse(both);
        assert_eq!(mounts.unified, Some("/sys/fs/cgroup/unified".into()));
        for controller in ["cpu", "cpuacct"] {
            assert_eq!(mounts.v1.get(controller), Some(&"/sys/fs/cgroup/cpu,cpuacct".into()), "{controller}");
        }
        assert!(!mounts.v1.contains_key("memory"));
        assert_eq!(Mounts::parse("nonsense\n - \n1 2 - cgroup\n"), Mounts::default());
    }
    #[test]
    fn the_group_that_limits_memory_is_where_its_controller_is() {
        let v1 = "33 24 0:29 / /cg/memory rw - cgroup cgroup rw,memory\n32 24 0:28 / /cg/all rw - cgroup2 cgroup2 rw\n";
        let v2 = "32 24 0:28 / /cg rw - cgroup2 cgroup2 rw\n";
        let process = "12:cpu,cpuacct:/x\n4:memory:/docker/ab:c\n0::/docker/d\n";
        let table = [
            (v1, process, Some(("/cg/memory/docker/ab:c".into(), false))),
            (v2, process, Some(("/cg/docker/d".into(), true))),
            (v1, "0::/docker/d\n", None),
            ("", process, None),
        ];
        for (mounts, process, expected) in table {
            assert_eq!(Mounts::parse(mounts).group_of("memory", process), expected, "{mounts:?} {process:?}");
        }
    }
}
