//! `longshore driver replace NAME FILE`

use std::path::PathBuf;

use clap::Args;
use longshore_agent::api::document::DriverDocument;

use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Failure, Outcome},
    output,
};

/// Put a new version in the place of a loaded driver, under its running tasks
#[derive(Debug, Args)]
#[command(after_help = format!("\
The new version must find every running task again and may not ask for more than the old was granted;
otherwise the old stays. It is kept in the agent's data directory (drivers/NAME.wasm) and used from then on;
remove that file and restart the agent to go back to the configured one.

Examples:
  longshore driver replace docker ./docker.wasm

{EXIT_CODES}"))]
pub struct Arguments {
    /// Name of the loaded driver
    name: String,
    /// The new component
    file: PathBuf,
    /// Print the API's answer
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let component =
            std::fs::read(&self.file).map_err(|error| Failure::input(format!("{}: {error}", self.file.display())))?;
        let path = format!("/v1/driver/{}/replace", segment(&self.name));
        let driver: DriverDocument = client.put_bytes(&path, component).await?;
        if self.json {
            return output::print_json(&driver);
        }
        anstream::println!("{} is now version {} ({})", driver.name, driver.version, output::short(&driver.digest));
        Ok(())
    }
}
