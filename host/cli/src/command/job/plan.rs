//! `longshore job plan FILE`

use anstyle::{AnsiColor, Style};
use clap::Args;
use longshore_agent::api::document::{PlanRequest, PlanResponse};
use longshore_job::diff::{Change, Diff, Field};

use super::JobFileArguments;
use crate::{
    client::{Client, segment},
    failure::{Failure, Outcome},
    output,
};

/// Show what submitting a job file would change, and change nothing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore job plan web.nomad.hcl
  longshore job plan --diff=false web.nomad.hcl     the exit code alone

Exit codes:
  0    nothing would change
  1    something would
  255  the file is wrong, the job cannot be placed, or no agent answers")]
pub struct Arguments {
    #[command(flatten)]
    file: JobFileArguments,
    /// Whether to show what differs
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    diff: bool,
    /// Print the API's answer
    #[arg(long)]
    json: bool,
}

/// Exit code of a plan that would change something.
const CHANGES: u8 = 1;
/// Exit code of a plan that could not be made.
const NO_PLAN: u8 = 255;

const ADDED: Style = AnsiColor::Green.on_default();
const DELETED: Style = AnsiColor::Red.on_default();
const EDITED: Style = AnsiColor::Yellow.on_default();

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let plan = self.plan(client).await.map_err(|failure| failure.with_code(NO_PLAN))?;
        if self.json {
            output::print_json(&plan)?;
        } else {
            self.print(&plan);
        }
        let quiet = |count: &longshore_agent::api::document::DesiredUpdates| {
            count.place + count.stop + count.destructive_update == 0
        };
        let differs = plan.diff.as_ref().is_some_and(|diff| diff.change != Change::None);
        let changes = differs || !plan.annotations.desired_tg_updates.values().all(quiet);
        if changes { Err(Failure::silent(CHANGES)) } else { Ok(()) }
    }

    async fn plan(&self, client: &Client) -> Outcome<PlanResponse> {
        let file = self.file.read(client).await?;
        file.check(client).await?;
        let request = PlanRequest { job: longshore_job::to_json(&file.job), diff: true };
        client.put(&format!("/v1/job/{}/plan", segment(&file.job.id)), &request).await
    }

    fn print(&self, plan: &PlanResponse) {
        if let Some(diff) = plan.diff.as_ref().filter(|_| self.diff) {
            for line in job(diff) {
                anstream::println!("{line}");
            }
            anstream::println!();
        }
        if !plan.warnings.is_empty() {
            anstream::eprintln!("{}", plan.warnings);
        }
        let index = plan.job_modify_index;
        let file = self.file.name();
        anstream::println!("Job Modify Index: {index}");
        anstream::println!("To submit exactly this: longshore job run --check-index {index} {file}");
    }
}

fn job(diff: &Diff) -> Vec<String> {
    let mut lines = vec![format!("{} Job: {:?}", mark(diff.change), diff.id)];
    inner(diff, 0, false, &mut lines);
    for group in &diff.task_groups {
        let updates = group.updates.iter().flatten().map(|(name, count)| format!("{count} {name}"));
        let updates = updates.collect::<Vec<_>>().join(", ");
        let updates = if updates.is_empty() { String::new() } else { format!(" ({updates})") };
        lines.push(format!("{} Task Group: {:?}{updates}", mark(group.change), group.name));
        inner(group, 1, false, &mut lines);
        for task in &group.tasks {
            let follows = follows(task.annotations.as_deref());
            lines.push(format!("  {} Task: {:?}{follows}", mark(task.change), task.name));
            inner(task, 2, false, &mut lines);
        }
    }
    lines
}

/// Fields and blocks; of what is new or gone, only what says something, or was `written` by people in any case.
fn inner(diff: &Diff, depth: usize, written: bool, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth + 1);
    let whole = matches!(diff.change, Change::Added | Change::Deleted);
    let written = written || ["Config", "Env", "Meta"].contains(&diff.name.as_str());
    let shown = |field: &&Field| !whole || written || says_something(field);
    let fields: Vec<&Field> = diff.fields.iter().flatten().filter(shown).collect();
    let width = fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
    for field in fields {
        let name = format!("{}:{}", field.name, " ".repeat(width - field.name.len()));
        let values = match field.change {
            Change::Added => format!("{:?}", field.new),
            Change::Deleted => format!("{:?}", field.old),
            Change::Edited | Change::None => format!("{:?} => {:?}", field.old, field.new),
        };
        let follows = follows(field.annotations.as_deref());
        lines.push(format!("{indent}{} {name} {values}{follows}", mark(field.change)));
    }
    for object in diff.objects.iter().flatten() {
        let mut inside = Vec::new();
        inner(object, depth + 1, written, &mut inside);
        if whole && inside.is_empty() {
            continue;
        }
        lines.push(format!("{indent}{} {} {{", mark(object.change), object.name));
        lines.append(&mut inside);
        lines.push(format!("{indent}  }}"));
    }
}

/// Whether a field that is new or gone holds more than the zero of its type.
fn says_something(field: &Field) -> bool {
    let value = if field.change == Change::Deleted { &field.old } else { &field.new };
    !["", "0", "0s", "false"].contains(&value.as_str())
}

/// What follows from a change, in brackets.
fn follows(annotations: Option<&[String]>) -> String {
    annotations.map(|annotations| format!(" ({})", annotations.join(", "))).unwrap_or_default()
}

/// The sign of a change, in its colour.
fn mark(change: Change) -> String {
    match change {
        Change::Added => format!("{ADDED}+{ADDED:#}"),
        Change::Deleted => format!("{DELETED}-{DELETED:#}"),
        Change::Edited => format!("{EDITED}+/-{EDITED:#}"),
        Change::None => " ".into(),
    }
}
