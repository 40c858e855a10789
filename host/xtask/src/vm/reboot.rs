//! The reboot test: the power goes while jobs run; switched on again, the machine runs them again with nobody there.

use super::{Files, Machine, PATIENCE, Running, Size};
use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;
use crate::{agent, demo};

/// Weight of the job in `exec.nomad.hcl` (1000 MHz): its page shows the weight its cgroup (version 2) has. Memory
/// is no measure: like Nomad's, the raw_exec driver asks for no limit of it.
const EXEC_WEIGHT: &str = "39";

/// Who the task in `apart.nomad.hcl` is, and the limits in its cgroup: 64 MiB of which 48 are its own, no swap, 500 MHz.
const APART: &str = "nobody 67108864 50331648 0 19";

/// Drivers that run nothing here are not compiled.
const CONFIG: &str = r#"
driver "docker" {
  enabled = false
}
driver "java" {
  enabled = false
}
driver "raw_exec" {
  enabled = true
}
driver "wasm" {
  policy {
    allow_host_binds = ["*"]
  }
}
"#;

/// Boots, runs native jobs and a WebAssembly one, cuts the power, boots again; then one job eats too much memory and
/// another is stopped.
pub fn check(workspace: &Workspace) -> Outcome {
    let files = Files {
        programs: vec![(agent::build(workspace)?, "longshore")],
        texts: [
            ("scenario.sh", include_str!("reboot/scenario.sh")),
            ("etc/agent.hcl", CONFIG),
            ("jobs/apart.nomad.hcl", include_str!("reboot/apart.nomad.hcl")),
            ("jobs/hungry.nomad.hcl", include_str!("reboot/hungry.nomad.hcl")),
            ("jobs/exec.nomad.hcl", include_str!("reboot/exec.nomad.hcl")),
            ("jobs/component.nomad.hcl", include_str!("reboot/component.nomad.hcl")),
        ]
        .map(|(place, text)| (place.to_owned(), text.to_owned()))
        .into(),
        copies: vec![("jobs/hello.wasm", demo::hello_component(workspace)?)],
        ..Files::default()
    };
    let machine = Machine::build(workspace, "reboot", &files, Size { processors: 2, memory_mib: 1024, disk_mib: 512 })?;
    let mut first = machine.boot("first")?;
    jobs_answer(&mut first)?;
    println!("    jobs run; cutting the power");
    first.cut_power();
    let mut second = machine.boot("second")?;
    jobs_answer(&mut second)?;
    println!("    jobs run again with nobody there");
    second.expect("OOM", "OOM Killed")?;
    // No process of the task is left, nor its cgroup.
    second.expect("STOPPED", "0 0")?;
    second.cut_power();
    Ok(())
}

fn jobs_answer(machine: &mut Running) -> Outcome {
    machine.wait_for("READY", PATIENCE)?;
    machine.expect("EXEC", EXEC_WEIGHT)?;
    machine.expect("APART", APART)?;
    let page = machine.wait_for("COMPONENT", PATIENCE)?;
    if page.is_empty() {
        return Err(Failure::new("the component answers an empty page"));
    }
    Ok(())
}
