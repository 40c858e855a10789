//! `longshore driver …`

mod inspect;
mod list;
mod replace;

use clap::Subcommand;

pub use inspect::run as inspect;

use crate::{client::Client, failure::Outcome};

#[derive(Debug, Subcommand)]
pub enum Command {
    List(list::Arguments),
    Inspect(inspect::Arguments),
    Replace(replace::Arguments),
}

impl Command {
    /// Runs it.
    pub async fn run(self, client: Client) -> Outcome {
        match self {
            Self::List(arguments) => arguments.run(&client).await,
            Self::Replace(arguments) => arguments.run(&client).await,
            Self::Inspect(arguments) => inspect(&arguments),
        }
    }
}
