//! Reading job files, against the parser of hcl-edit alone.

use super::{Row, human};
use crate::agent::STATIC;
use crate::failure::{Doing, Failure, Outcome};
use crate::workspace::Workspace;
use std::time::Duration;

/// How many files the benchmark reads one after the other.
const FILES: f64 = 1_000.0;
/// The largest example there is.
const LARGEST: &str = "examples/jobs/shop.nomad.hcl";

/// Parse and check of one file and of a thousand, and the memory it takes.
pub fn rows(workspace: &Workspace) -> Outcome<Vec<Row>> {
    // The whole workspace, so that its dependencies have the features they were compiled with already.
    let bench = ["bench", "--quiet", "--target", STATIC, "--workspace", "--bench", "files", "--"];
    let printed = workspace.cargo(&bench).args(&[workspace.root.join(LARGEST)]).output()?;
    let numbers: Outcome<Vec<u64>> =
        printed.split_whitespace().map(|number| number.parse().doing(|| format!("`{number}` is no number"))).collect();
    let [parser, whole, all, bytes, peak]: [u64; 5] =
        numbers?.try_into().map_err(|_| Failure::new(format!("the benchmark of job files printed `{printed}`")))?;
    let (whole, all) = (Duration::from_nanos(whole), Duration::from_nanos(all));
    let rate = FILES / all.as_secs_f64();
    Ok(vec![
        Row::times(
            "job file, parsed and checked",
            whole,
            "hcl-edit, parse alone",
            Duration::from_nanos(parser),
            "≤ 3×",
        ),
        Row::alone("1,000 job files of that kind", format!("{}, {rate:.0} per second", human(all)), ""),
        Row::alone("their size and the memory of reading them", format!("{bytes} B each, {peak} KiB at most"), ""),
    ])
}
