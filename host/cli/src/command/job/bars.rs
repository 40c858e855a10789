//! A spinner and, below it, a bar for each thing that reports its progress. On a terminal: elsewhere a line now and
//! then.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use longshore_agent::api::document::TaskEvent;
use longshore_core::record::{PROGRESS, PROGRESS_TOTAL};

use crate::terminal;

/// How often a line tells of progress where there is no bar.
const LINE: Duration = Duration::from_secs(10);

/// What a person sees while a job starts.
pub struct Bars {
    interactive: bool,
    all: MultiProgress,
    spinner: ProgressBar,
    running: BTreeMap<String, Running>,
}

struct Running {
    bar: ProgressBar,
    /// When a line told of it.
    told: Instant,
}

/// How far something is.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The image; without one, the task.
    what: String,
    done: u64,
    /// 0 when it is not known.
    total: u64,
    message: String,
}

impl Report {
    /// The report that an event of a task is, if it is one.
    pub fn of(task: &str, event: &TaskEvent) -> Option<Self> {
        let number = |key: &str| event.details.get(key)?.parse().ok();
        let total = number(PROGRESS_TOTAL)?;
        let what = event.details.get("image").map_or(task, String::as_str).to_owned();
        Some(Self { what, done: number(PROGRESS).unwrap_or(0), total, message: event.display_message.clone() })
    }
}

impl Bars {
    /// A spinner with a message.
    pub fn new(message: String) -> Self {
        let interactive = terminal::is_interactive();
        let target = if interactive { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(target);
        let spinner = all.add(ProgressBar::new_spinner());
        set_style(&spinner, "{spinner:.cyan} {msg} {elapsed:.dim}");
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner.set_message(message);
        Self { interactive, all, spinner, running: BTreeMap::new() }
    }

    /// Writes a line above all.
    pub fn line(&self, line: &str) {
        self.all.suspend(|| anstream::eprintln!("{line}"));
    }

    /// Shows what goes on now, and nothing else any more.
    pub fn show(&mut self, reports: impl IntoIterator<Item = Report>) {
        let mut before = std::mem::take(&mut self.running);
        let reports: BTreeMap<_, _> = reports.into_iter().map(|report| (report.what.clone(), report)).collect();
        for Report { what, done, total, message } in reports.into_values() {
            let mut running = before.remove(&what).unwrap_or_else(|| self.begin(&what, done, total));
            if total > 0 {
                running.bar.set_length(total);
                running.bar.set_position(done);
            }
            if !self.interactive && running.told.elapsed() > LINE {
                self.line(&format!("  {what}: {message}"));
                running.told = Instant::now();
            }
            self.running.insert(what, running);
        }
        before.values().for_each(|over| over.bar.finish_and_clear());
    }

    /// A bar that is complete when it is first drawn.
    fn begin(&self, what: &str, done: u64, total: u64) -> Running {
        let length = (total > 0).then_some(total);
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden()).with_prefix(what.to_owned());
        set_style(&bar, "  {prefix} {bar:30.cyan/dim} {binary_bytes} of {binary_total_bytes} {eta:.dim}");
        bar.set_position(done);
        Running { bar: self.all.insert_before(&self.spinner, bar), told: Instant::now() }
    }

    /// Takes all off the screen.
    pub fn clear(&mut self) {
        self.show([]);
        self.spinner.finish_and_clear();
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(what: &str, done: u64, total: u64) -> Report {
        Report { what: what.into(), done, total, message: "Pulled 1/2".into() }
    }

    #[test]
    fn an_event_with_a_total_is_a_report() {
        let event = |details: &[(&str, &str)]| TaskEvent {
            display_message: "Pulled 1/2".into(),
            details: details.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            ..TaskEvent::default()
        };
        let table = [
            (vec![("image", "web"), ("progress", "1"), ("progress_total", "2")], Some(report("web", 1, 2))),
            (vec![("progress_total", "0")], Some(report("task", 0, 0))),
            (vec![("progress_total", "x")], None),
            (vec![("image", "web")], None),
        ];
        for (details, expected) in table {
            assert_eq!(Report::of("task", &event(&details)), expected, "{details:?}");
        }
    }

    #[test]
    fn there_is_a_bar_for_each_thing_as_long_as_it_reports() {
        let mut bars = Bars::new("starting".into());
        bars.show([report("web", 0, 0), report("db", 5, 10), report("db", 5, 10)]);
        let of = |bars: &Bars, name: &str| bars.running.get(name).map(|one| (one.bar.position(), one.bar.length()));
        assert_eq!((of(&bars, "web"), of(&bars, "db")), (Some((0, None)), Some((5, Some(10)))));
        bars.show([report("db", 10, 10)]);
        assert_eq!((of(&bars, "web"), of(&bars, "db")), (None, Some((10, Some(10)))));
        bars.clear();
        assert!(bars.running.is_empty() && bars.spinner.is_finished());
    }
}
