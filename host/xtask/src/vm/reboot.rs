//! The reboot test: the power goes while jobs run; switched on again, the machine runs them again with nobody there.

use super::{Files, Machine, Running};
use crate::failure::{Failure, Outcome};
use crate::workspace::Workspace;
use crate::{agent, demo};
use std::time::Duration;

/// What an emulated machine may take: it is some twenty times slower than this one.
const PATIENCE: Duration = Duration::from_secs(300);

/// Weight of the job in `exec.nomad.hcl` (1000 MHz): its page shows the weight its cgroup (version 2) has. Memory
/// is no measure: like Nomad's, the raw_exec driver asks for no limit of it.
const EXEC_WEIGHT: &str = "39";

const CONFIG: &str = r#"
driver "raw_exec" {
  enabled = true
}
driver "wasm" {
  policy {
    allow_host_binds = ["*"]
  }
}
"#;

/// Boots, runs a native and a WebAssembly job, cuts the power, boots again.
pub fn check(workspace: &Workspace) -> Outcome {
    let files = Files {
        programs: vec![(agent::build(workspace)?, "longshore")],
        texts: vec![
            ("scenario.sh", include_str!("scenario.sh").into()),
            ("etc/agent.hcl", CONFIG.into()),
            ("jobs/exec.nomad.hcl", include_str!("exec.nomad.hcl").into()),
            ("jobs/component.nomad.hcl", include_str!("component.nomad.hcl").into()),
        ],
        copies: vec![("jobs/hello.wasm", demo::hello_component(workspace)?)],
    };
    let machine = Machine::build(workspace, "reboot", &files, 512)?;
    let mut first = machine.boot("first")?;
    jobs_answer(&mut first)?;
    println!("    jobs run; cutting the power");
    first.cut_power();
    let mut second = machine.boot("second")?;
    jobs_answer(&mut second)?;
    println!("    jobs run again with nobody there");
    second.cut_power();
    Ok(())
}

fn jobs_answer(machine: &mut Running) -> Outcome {
    machine.wait_for("READY", PATIENCE)?;
    let weight = machine.wait_for("EXEC", PATIENCE)?;
    if weight != EXEC_WEIGHT {
        return Err(Failure::new(format!("the native task's cgroup has the CPU weight `{weight}`, not {EXEC_WEIGHT}")));
    }
    let page = machine.wait_for("COMPONENT", PATIENCE)?;
    if page.is_empty() {
        return Err(Failure::new("the component answers an empty page"));
    }
    Ok(())
}
