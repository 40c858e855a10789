//! `longshore alloc status [ALLOC]`

use clap::Args;
use longshore_agent::api::document::{AllocStub, AllocUsage, Allocation, TaskState};

use super::resolve;
use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Outcome},
    output::{self, Table},
};

/// List the allocations, or show one: ports, tasks, events
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore alloc status
  longshore alloc status 3f9a
  longshore alloc status --stats 3f9a      with what its tasks use now
  longshore alloc status --json 3f9a | jq .AllocatedResources.Shared.Ports

{EXIT_CODES}"))]
pub struct Arguments {
    /// Its id, or how its id begins
    alloc: Option<String>,
    /// Show what its tasks use now
    #[arg(long, requires = "alloc")]
    stats: bool,
    /// Print the API's document
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let Some(given) = &self.alloc else { return self.list(client).await };
        let alloc = resolve(client, given).await?;
        let id = segment(&alloc.stub.id);
        if self.json {
            let path =
                if self.stats { format!("/v1/client/allocation/{id}/stats") } else { format!("/v1/allocation/{id}") };
            return output::print_json(&client.get::<serde_json::Value>(&path).await?);
        }
        print_allocation(&alloc);
        if self.stats {
            print_usage(&client.get(&format!("/v1/client/allocation/{id}/stats")).await?);
        }
        for (task, state) in &alloc.stub.task_states {
            print_task(task, state, &facts(&alloc, task));
        }
        Ok(())
    }

    async fn list(&self, client: &Client) -> Outcome {
        if self.json {
            return output::print_json(&client.get::<serde_json::Value>("/v1/allocations").await?);
        }
        let allocs: Vec<AllocStub> = client.get("/v1/allocations").await?;
        if allocs.is_empty() {
            anstream::println!("No allocations");
            return Ok(());
        }
        let mut table = Table::new(&["ID", "Job", "Group", "Desired", "Status", "Created"]);
        for alloc in allocs {
            let id = output::short(&alloc.id).to_owned();
            let created = output::ago(alloc.create_time);
            table.row([id, alloc.job_id, alloc.task_group, alloc.desired_status, alloc.client_status, created]);
        }
        table.print();
        Ok(())
    }
}

fn print_allocation(alloc: &Allocation) {
    let stub = &alloc.stub;
    output::print_fields(&[
        ("ID", stub.id.clone()),
        ("Name", stub.name.clone()),
        ("Job", stub.job_id.clone()),
        ("Job Version", stub.job_version.to_string()),
        ("Status", stub.client_status.clone()),
        ("Desired", stub.desired_status.clone()),
        ("Reason", stub.desired_description.clone()),
        ("Created", output::ago(stub.create_time)),
        ("Modified", output::ago(stub.modify_time)),
        ("Directory", alloc.alloc_dir.clone()),
    ]);
    let ports = &alloc.allocated_resources.shared.ports;
    if !ports.is_empty() {
        output::print_heading("Ports");
        let mut table = Table::new(&["Label", "Address", "To"]);
        for port in ports {
            let to = if port.to == 0 { port.value } else { port.to };
            table.row([port.label.clone(), output::address(&port.host_ip, port.value), to.to_string()]);
        }
        table.print();
    }
}

fn print_usage(usage: &AllocUsage) {
    output::print_heading("Use");
    let mut table = Table::new(&["Task", "CPU", "Memory", "Highest"]);
    for (task, usage) in &usage.tasks {
        let usage = &usage.resource_usage;
        let has_highest = usage.memory_stats.measured.iter().any(|name| name == "Max Usage");
        table.row([
            task.clone(),
            format!("{:.0} %", usage.cpu_stats.percent),
            output::bytes(usage.memory_stats.usage),
            if has_highest { output::bytes(usage.memory_stats.max_usage) } else { "-".into() },
        ]);
    }
    table.print();
}

/// What is known of a task beside its events.
fn facts(alloc: &Allocation, task: &str) -> Vec<(String, String)> {
    let image = alloc.task_images.get(task).cloned().unwrap_or_default();
    let digest = image.digest.unwrap_or_default();
    let said = alloc.task_facts.get(task).into_iter().flatten();
    let said = said.map(|(name, value)| (name.clone(), value.clone()));
    [("image_id".to_owned(), image.id), ("image_digest".to_owned(), digest)].into_iter().chain(said).collect()
}

fn print_task(task: &str, state: &TaskState, facts: &[(String, String)]) {
    let failed = if state.failed { ", failed" } else { "" };
    output::print_heading(&format!("Task {task:?} is {}{failed}", state.state));
    let restarts = if state.restarts > 0 { state.restarts.to_string() } else { String::new() };
    let facts = facts.iter().map(|(name, value)| (name.as_str(), value.clone()));
    output::print_fields(&[("Restarts", restarts)].into_iter().chain(facts).collect::<Vec<_>>());
    let mut table = Table::new(&["Time", "Event", "Description"]);
    for event in &state.events {
        table.row([output::ago(event.time), event.kind.clone(), event.display_message.clone()]);
    }
    table.print();
}
