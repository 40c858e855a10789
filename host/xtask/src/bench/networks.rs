//! Networks of allocations: one against the plugins Nomad runs and against a bare namespace, one more among many,
//! connections, and a full machine.

use super::{Row, human};
use crate::agent::STATIC;
use crate::failure::{Failure, Outcome};
use crate::setup;
use crate::workspace::Workspace;
use std::collections::BTreeMap;
use std::time::Duration;

/// One run of `host/linux/benches/networks.rs`, which touches nothing of the machine.
pub fn rows(workspace: &Workspace) -> Outcome<Vec<Row>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(vec![Row::alone("networks of allocations", "needs root".into(), "")]);
    }
    setup::for_networks()?;
    // The whole workspace, so that its dependencies have the features they were compiled with already.
    let bench = ["bench", "--quiet", "--target", STATIC, "--workspace", "--bench", "networks"];
    let report = Report::read(&workspace.cargo(&bench).output()?)?;
    let (add, chain) = (report.time("add")?, report.time("chain")?);
    let crowd = format!(
        "added {}, {} of 16000 answers {}, removed {}, {} left",
        seconds(report.time("crowd_added")?),
        report.number("crowd_answering")?,
        seconds(report.time("crowd_asked")?),
        seconds(report.time("crowd_removed")?),
        report.number("crowd_left")?,
    );
    Ok(vec![
        Row {
            ratio: format!("1/{:.0}", chain.as_secs_f64() / add.as_secs_f64()),
            ..Row::times("bridge network with 2 ports, TCP and UDP", add, "CNI chain", chain, "≤ 1/100")
        },
        Row::times("the same", add, "bare namespace", report.time("bare")?, "≤ 4×"),
        Row::times("the same beside 500 others", report.time("add_among_many")?, "beside none", add, "≤ 1.5×"),
        Row::times(
            "connection through the 1,000th mapped port",
            report.time("connect_thousandth")?,
            "first",
            report.time("connect_first")?,
            "≤ 1.1×",
        ),
        Row::alone("400 such networks, one after the other", human(report.time("bulk")?), "≤ 3 s"),
        Row::alone("4,000 such networks", crowd, "all answer, 0 left"),
    ])
}

fn seconds(time: Duration) -> String {
    format!("in {:.1} s", time.as_secs_f64())
}

/// What the program printed: names and numbers.
struct Report(BTreeMap<String, u64>);

impl Report {
    fn read(text: &str) -> Outcome<Self> {
        let line = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        let lines: Option<BTreeMap<_, _>> = text.lines().map(line).collect();
        lines.map(Self).ok_or_else(|| Failure::new(format!("the benchmark of networks printed `{}`", text.trim())))
    }

    fn number(&self, name: &str) -> Outcome<u64> {
        self.0.get(name).copied().ok_or_else(|| Failure::new(format!("the benchmark of networks measured no {name}")))
    }

    fn time(&self, name: &str) -> Outcome<Duration> {
        Ok(Duration::from_nanos(self.number(name)?))
    }
}
