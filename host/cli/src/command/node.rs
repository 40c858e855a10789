//! `longshore node …`

use clap::{Args, Subcommand};
use longshore_agent::api::document::{Node, NodeStub};

use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Outcome},
    output::{self, Table},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    Status(Status),
}

/// Show this machine: its drivers, its resources, what tasks may ask about it
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore node status
  longshore node status --verbose       every attribute that job files may name in ${{attr.…}}
  longshore node status --json | jq .Drivers

{EXIT_CODES}"))]
pub struct Status {
    /// Show every attribute
    #[arg(short, long)]
    verbose: bool,
    /// Print the API's document
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Runs it.
    pub async fn run(self, client: Client) -> Outcome {
        match self {
            Self::Status(status) => status.run(&client).await,
        }
    }
}

impl Status {
    async fn run(&self, client: &Client) -> Outcome {
        let nodes: Vec<NodeStub> = client.get("/v1/nodes").await?;
        for stub in nodes {
            let path = format!("/v1/node/{}", segment(&stub.id));
            if self.json {
                output::print_json(&client.get::<serde_json::Value>(&path).await?)?;
            } else {
                self.print(&client.get(&path).await?);
            }
        }
        Ok(())
    }

    fn print(&self, node: &Node) {
        let resource = |pointer| node.node_resources.pointer(pointer).map(ToString::to_string).unwrap_or_default();
        output::print_fields(&[
            ("ID", output::short(&node.stub.id).into()),
            ("Name", node.stub.name.clone()),
            ("Datacenter", node.stub.datacenter.clone()),
            ("Status", node.stub.status.clone()),
            ("Version", node.stub.version.clone()),
            ("CPU", format!("{} MHz in {} cores", resource("/Cpu/CpuShares"), resource("/Cpu/TotalCpuCores"))),
            ("Memory", format!("{} MiB", resource("/Memory/MemoryMB"))),
        ]);
        output::print_heading("Drivers");
        let mut table = Table::new(&["Driver", "Health", "Description"]);
        for (name, driver) in &node.stub.drivers {
            table.row([name.clone(), driver.word().into(), driver.health_description.clone()]);
        }
        table.print();
        output::print_heading("Networks of allocations");
        if node.network_obstacles.is_empty() {
            output::print_fields(&[("Health", "healthy".into())]);
        }
        for obstacle in &node.network_obstacles {
            output::print_fields(&[
                ("Health", "unhealthy".into()),
                ("Problem", obstacle.problem.clone()),
                ("Remedy", obstacle.remedy.clone()),
            ]);
        }
        if self.verbose {
            output::print_heading("Attributes");
            let fields: Vec<_> = node.attributes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            output::print_fields(&fields);
        }
    }
}
