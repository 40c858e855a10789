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

/// Who the task in `apart.nomad.hcl` is, and the limits in its cgroup: 64 MiB of which 48 are its own, no swap, 500 MHz.
const APART: &str = "nobody 67108864 50331648 0 19";

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

/// Boots, runs native jobs and a WebAssembly one, cuts the power, boots again; then one job eats too much memory and
/// another is stopped.
pub fn check(workspace: &Workspace) -> Outcome {
    let files = Files {
        programs: vec![(agent::build(workspace)?, "longshore")],
        texts: vec![
            ("scenario.sh", include_str!("scenario.sh").into()),
            ("etc/agent.hcl", CONFIG.into()),
            ("etc/passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n".into()),
            ("etc/group", "root:x:0:\nnogroup:x:65534:\n".into()),
            ("jobs/apart.nomad.hcl", include_str!("apart.nomad.hcl").into()),
            ("jobs/hungry.nomad.hcl", include_str!("hungry.nomad.hcl").into()),
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
    expect(&mut second, "OOM", "OOM Killed")?;
    // No process of the task is left, nor its cgroup.
    expect(&mut second, "STOPPED", "0 0")?;
    second.cut_power();
    Ok(())
}

fn jobs_answer(machine: &mut Running) -> Outcome {
    machine.wait_for("READY", PATIENCE)?;
    expect(machine, "EXEC", EXEC_WEIGHT)?;
    expect(machine, "APART", APART)?;
    let page = machine.wait_for("COMPONENT", PATIENCE)?;
    if page.is_empty() {
        return Err(Failure::new("the component answers an empty page"));
    }
    Ok(())
}

/// Looks at a line of the console that is there already.
fn expect(machine: &mut Running, marker: &str, expected: &str) -> Outcome {
    let said = machine.wait_for(marker, PATIENCE)?;
    if said == expected { Ok(()) } else { Err(Failure::new(format!("{marker}: `{said}`, not `{expected}`"))) }
}
