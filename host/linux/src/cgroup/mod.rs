//! Control groups: limits, measurements and a sure kill, as far as this machine lets us.

use std::collections::BTreeMap;

/// The control groups of this machine that we may write.
#[derive(Clone, Debug, Default)]
pub struct Cgroups {}

impl Cgroups {
    /// Finds what can be used; never fails, because without any (no root) tasks still run, unlimited.
    pub fn detect() -> Self {
        Self {}
    }

    /// Node attributes: `os.cgroups.version` (`1`, `2`, `1+2`, `none`), `os.cgroups.controllers`, …
    pub fn describe(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}
