//! `longshore port`

use clap::Args;
use longshore_agent::api::document::HostPortDocument;
use longshore_core::port::Protocol;

use crate::{
    client::Client,
    failure::{EXIT_CODES, Outcome},
    output::{self, Table},
};

/// List the ports of this machine that were given out, with their owners and what becomes of them
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore port
  longshore port --json | jq '.[] | select(.Port == 8080)'

{EXIT_CODES}"))]
pub struct Arguments {
    /// Print the same as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Runs it.
    pub async fn run(self, client: Client) -> Outcome {
        if self.json {
            return output::print_json(&client.get::<serde_json::Value>("/v1/ports").await?);
        }
        let ports: Vec<HostPortDocument> = client.get("/v1/ports").await?;
        if ports.is_empty() {
            anstream::println!("No ports are given out");
            return Ok(());
        }
        let mut table = Table::new(&["Port", "Protocol", "Address", "Label", "Allocation", "State"]);
        for port in ports {
            let number = if port.last == port.port { String::new() } else { format!("-{}", port.last) };
            let protocol = match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Both => "tcp+udp",
            };
            let owner = format!("{} {}", output::short(&port.allocation), port.name).trim().to_owned();
            table.row([
                format!("{}{number}", port.port),
                protocol.into(),
                port.host_ip,
                port.label,
                owner,
                format!("{} {}", port.state, port.detail),
            ]);
        }
        table.print();
        Ok(())
    }
}
