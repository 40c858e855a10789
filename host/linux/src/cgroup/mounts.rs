//! Where the trees of control groups are mounted.

use std::{collections::BTreeMap, path::PathBuf};

/// Mount points.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// Of version 2.
    pub unified: Option<PathBuf>,
    /// Of version 1, by controller.
    pub v1: BTreeMap<String, PathBuf>,
}

impl Mounts {
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
}
