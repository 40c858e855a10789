//! `cargo xtask bench`: longshore as it is installed and its peers, measured in the same run, turn by turn, medians, as
//! a Markdown table.
//!
//! It is not part of CI: numbers are for people, and machines are noisy.

mod bridge;
mod by_hand;
mod containers;
mod crowd;
mod jobs;
mod memory;
mod networks;
mod operation;
mod tasks;

use crate::agent;
use crate::failure::{Failure, Outcome};
use crate::run::Run;
use crate::setup::{self, engine::Engine};
use crate::workspace::Workspace;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One line of the table.
struct Row {
    what: &'static str,
    ours: String,
    peer: String,
    ratio: String,
    target: &'static str,
}

impl Row {
    /// Our time against a peer's.
    fn times(what: &'static str, ours: Duration, peer_name: &str, peer: Duration, target: &'static str) -> Self {
        Self {
            what,
            ours: human(ours),
            peer: format!("{} ({peer_name})", human(peer)),
            ratio: format!("{:.2}×", ours.as_secs_f64() / peer.as_secs_f64()),
            target,
        }
    }

    /// A number of our own, held against a bound.
    fn alone(what: &'static str, ours: String, target: &'static str) -> Self {
        Self { what, ours, peer: String::new(), ratio: String::new(), target }
    }
}

/// What all benchmarks need.
struct Bed<'a> {
    workspace: &'a Workspace,
    program: &'a Path,
    engine: &'a Engine,
}

type Group = (&'static str, fn(&Bed) -> Outcome<Vec<Row>>);

const GROUPS: &[Group] = &[
    ("operation", |bed| operation::rows(bed.workspace, bed.program)),
    ("tasks", |bed| tasks::rows(bed.workspace, bed.program, bed.engine)),
    ("bridge", |bed| bridge::rows(bed.program, bed.engine)),
    ("containers", |bed| containers::rows(bed.workspace, bed.program, bed.engine)),
    ("crowd", |bed| crowd::rows(bed.workspace, bed.program, bed.engine, crowd::SIZE)),
    ("networks", |bed| networks::rows(bed.workspace)),
    ("memory", |bed| memory::rows(bed.program)),
    ("jobs", |bed| jobs::rows(bed.workspace)),
];

/// Runs the chosen groups, all of them by default, to the end even when some fail, and prints the table.
pub fn chore(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    let groups = chosen(arguments)?;
    setup::for_release(workspace)?;
    let program = agent::build_release(workspace)?;
    let engine = setup::engine::ensure(workspace)?;
    let image = engine.busybox_image(workspace, tasks::IMAGE)?;
    let bed = Bed { workspace, program: &program, engine: &engine };
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for (name, measure) in groups {
        println!("==> {name}");
        match measure(&bed) {
            Ok(measured) => rows.extend(measured),
            Err(failure) => {
                println!("    {failure}");
                failed.push(*name);
            }
        }
        crate::run::check_interrupt()?;
    }
    drop(image);
    print!("{}", table(&rows, &machine()?));
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("not measured: {}", failed.join(", ")))) }
}

fn chosen(arguments: &[&str]) -> Outcome<Vec<&'static Group>> {
    let names = match arguments {
        [] => return Ok(GROUPS.iter().collect()),
        ["--only", names] => names,
        _ => return Err(Failure::new("use `cargo xtask bench [--only group,group]`")),
    };
    let find = |name| {
        let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
        let group = GROUPS.iter().find(|(known, _)| *known == name);
        group.ok_or_else(|| Failure::new(format!("no group `{name}`; there are {}", known.join(", "))))
    };
    names.split(',').map(find).collect()
}

fn table(rows: &[Row], machine: &str) -> String {
    let mut text = format!("{machine}\n\n| | longshore | peer | ratio | target |\n|---|---|---|---|---|\n");
    for row in rows {
        text += &format!("| {} | {} | {} | {} | {} |\n", row.what, row.ours, row.peer, row.ratio, row.target);
    }
    text
}

fn machine() -> Outcome<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> =
        cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).collect();
    let kernel = Run::new("uname").args(&["-sr"]).output()?;
    let date = Run::new("date").args(&["-u", "+%F"]).output()?;
    let model = models.first().copied().unwrap_or("unknown processor");
    Ok(format!("{} × {model}, {}, {}; the static release build", models.len(), kernel.trim(), date.trim()))
}

/// The middle one; the upper of two.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn human(time: Duration) -> String {
    match time.as_micros() {
        0..1000 => format!("{:.1} µs", time.as_secs_f64() * 1e6),
        1000..100_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.0} ms", time.as_secs_f64() * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_per_row_with_its_ratio() {
        let micros = Duration::from_micros;
        let rows = [
            Row::times("call", micros(20), "gRPC", micros(100), "≤ 0.2×"),
            Row::alone("memory", "38 MB".into(), "≤ 40 MB"),
        ];
        let text = table(&rows, "a machine");
        assert!(text.contains("| call | 20.0 µs | 100.0 µs (gRPC) | 0.20× | ≤ 0.2× |\n"), "{text}");
        assert!(text.ends_with("| memory | 38 MB |  |  | ≤ 40 MB |\n"), "{text}");
    }

    #[test]
    fn times_are_written_with_a_fitting_unit() {
        for (micros, text) in [(999, "999.0 µs"), (1_500, "1.5 ms"), (170_000, "170 ms")] {
            assert_eq!(human(Duration::from_micros(micros)), text);
        }
        assert_eq!(median([3, 1, 2].map(Duration::from_secs).to_vec()), Duration::from_secs(2));
    }
}
