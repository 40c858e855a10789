//! `longshore driver list`

use clap::Args;
use longshore_agent::api::document::DriverDocument;

use crate::{
    client::Client,
    failure::{EXIT_CODES, Outcome},
    output::{self, Table},
};

/// List the loaded drivers
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore driver list
  longshore driver list --json | jq '.[] | {{Name, Grants}}'

{EXIT_CODES}"))]
pub struct Arguments {
    /// Print the API's document, with each driver's schema of `config`
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        if self.json {
            return output::print_json(&client.get::<serde_json::Value>("/v1/drivers").await?);
        }
        let drivers: Vec<DriverDocument> = client.get("/v1/drivers").await?;
        let mut table = Table::new(&["Name", "Version", "Health", "Grants", "Origin", "Summary"]);
        for driver in drivers {
            let health = driver.health.word().to_owned();
            table.row([driver.name, driver.version, health, driver.grants.join(","), driver.origin, driver.summary]);
        }
        table.print();
        Ok(())
    }
}
