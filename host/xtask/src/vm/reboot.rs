//! The reboot test.

use super::{Files, Machine};
use crate::failure::Outcome;
use crate::workspace::Workspace;
use std::time::Duration;

/// Trial.
pub fn check(workspace: &Workspace) -> Outcome {
    let scenario = "echo $stage >> /data/stages; sync; cat /sys/fs/cgroup/cgroup.controllers; echo \"STATE $(cat /data/stages | tr '\\n' ' ')\"; sleep 600\n";
    let files = Files { texts: vec![("scenario.sh", scenario.into())], ..Files::default() };
    let machine = Machine::build(workspace, "reboot", &files, 256)?;
    let mut running = machine.boot("first")?;
    println!("{}", running.wait_for("STATE", Duration::from_secs(60))?);
    running.cut_power();
    let mut running = machine.boot("second")?;
    println!("{}", running.wait_for("STATE", Duration::from_secs(60))?);
    Ok(())
}
