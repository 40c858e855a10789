//! `longshore job status [JOB]`

use clap::Args;
use longshore_agent::api::document::{AllocStub, JobStub, JobSummary};
use longshore_job::model::Job;

use super::resolve;
use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Outcome},
    output::{self, Table},
};

/// List the jobs, or show one and its allocations
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore job status
  longshore job status web
  longshore job status web --json | jq -r .Status

{EXIT_CODES}"))]
pub struct Arguments {
    /// Its id, or how its id begins
    job: Option<String>,
    /// Show allocations of earlier versions that are over, too
    #[arg(short, long)]
    all: bool,
    /// Print the API's document
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        match &self.job {
            Some(job) => self.one(client, job).await,
            None => self.list(client).await,
        }
    }

    async fn list(&self, client: &Client) -> Outcome {
        if self.json {
            return output::print_json(&client.get::<serde_json::Value>("/v1/jobs").await?);
        }
        let jobs: Vec<JobStub> = client.get("/v1/jobs").await?;
        if jobs.is_empty() {
            anstream::println!("No running jobs");
            return Ok(());
        }
        let mut table = Table::new(&["ID", "Type", "Priority", "Status", "Submitted"]);
        for job in jobs {
            let status = if job.stop { format!("{} (stopped)", job.status) } else { job.status };
            table.row([job.id, job.kind, job.priority.to_string(), status, output::ago(job.submit_time)]);
        }
        table.print();
        Ok(())
    }

    async fn one(&self, client: &Client, given: &str) -> Outcome {
        let id = resolve(client, given).await?;
        let path = format!("/v1/job/{}", segment(&id));
        if self.json {
            return output::print_json(&client.get::<serde_json::Value>(&path).await?);
        }
        let job: Job = client.get(&path).await?;
        let summary: JobSummary = client.get(&format!("{path}/summary")).await?;
        let allocs: Vec<AllocStub> = client.get(&format!("{path}/allocations")).await?;
        print_job(&job);
        print_summary(&summary);
        print_allocations(allocs.iter().filter(|alloc| self.all || is_current(alloc, &job)));
        Ok(())
    }
}

fn is_current(alloc: &AllocStub, job: &Job) -> bool {
    alloc.job_version == job.version || matches!(alloc.client_status.as_str(), "pending" | "running")
}

fn print_job(job: &Job) {
    output::print_fields(&[
        ("ID", job.id.clone()),
        ("Name", job.name.clone()),
        ("Submitted", output::ago(job.submit_time)),
        (
            "Type",
            serde_json::to_value(job.kind).ok().and_then(|kind| kind.as_str().map(Into::into)).unwrap_or_default(),
        ),
        ("Datacenters", job.datacenters.join(",")),
        ("Status", if job.stop { format!("{} (stopped)", job.status) } else { job.status.clone() }),
        ("Version", job.version.to_string()),
    ]);
}

fn print_summary(summary: &JobSummary) {
    output::print_heading("Summary");
    let mut table = Table::new(&["Group", "Queued", "Starting", "Running", "Failed", "Complete"]);
    for (group, count) in &summary.summary {
        table.row([
            group.clone(),
            count.queued.to_string(),
            count.starting.to_string(),
            count.running.to_string(),
            count.failed.to_string(),
            count.complete.to_string(),
        ]);
    }
    table.print();
}

fn print_allocations<'a>(allocs: impl Iterator<Item = &'a AllocStub>) {
    output::print_heading("Allocations");
    let mut table = Table::new(&["ID", "Group", "Version", "Desired", "Status", "Created", "Modified"]);
    let mut any = false;
    for alloc in allocs {
        any = true;
        table.row([
            output::short(&alloc.id).into(),
            alloc.task_group.clone(),
            alloc.job_version.to_string(),
            alloc.desired_status.clone(),
            alloc.client_status.clone(),
            output::ago(alloc.create_time),
            output::ago(alloc.modify_time),
        ]);
    }
    if any {
        table.print();
    } else {
        anstream::println!("No allocations placed");
    }
}
