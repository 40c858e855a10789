//! Forced ends.

use std::time::Duration;

use longshore_core::error::Result;
use rustix::process::Signal;

use super::{
    home::Home,
    pid::{ProcessRef, Stat},
};
use crate::{cgroup::Group, failure::because};

/// How long a killed process may take to be gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// Kills the process; its shim then kills the rest. With a group, all at once. Blocks.
pub(super) fn kill(home: &Home, group: Option<&Group>) -> Result<()> {
    if let Some(pids) = home.pids() {
        pids.main.signal(Signal::KILL).map_err(because("killing the process"))?;
    }
    group.map_or(Ok(()), Group::kill)
}

/// Kills the shim itself.
pub(super) fn kill_shim(home: &Home) -> Result<()> {
    let sent = home.pids().map(|pids| pids.shim.signal(Signal::KILL)).transpose();
    sent.map(drop).map_err(because("killing the supervisor"))
}

/// Kills what is left when the shim was killed: the kernel has sent the process along, descendants are found by
/// their group or, without one, by the session the process led. Blocks.
pub(super) fn orphans(home: &Home, group: Option<&Group>) -> Result<()> {
    kill(home, group)?;
    let (None, Some(pids)) = (group, home.pids()) else { return Ok(()) };
    // If somebody else has the process's number now, the session of that number is theirs too.
    let reused = Stat::of(pids.main.pid).is_some_and(|stat| stat.start != pids.main.start);
    if !reused {
        for (pid, stat) in Stat::all().filter(|(_, stat)| stat.session == pids.main.pid) {
            let member = ProcessRef { pid, start: stat.start };
            member.signal(Signal::KILL).map_err(because("killing a descendant"))?;
        }
    }
    Ok(())
}
