//! `longshore network …`

use clap::{Args, Subcommand};
use longshore_core::network::Obstacle;

use crate::{
    client::Client,
    failure::{EXIT_CODES, Failure, Outcome},
    output,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(Check),
}

/// Say what on this machine stands in the way of networks of allocations, and what to do about it
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore network check
  longshore network check --json | jq -r '.[].Remedy'

Ends with 1 when something is in the way.

{EXIT_CODES}"))]
pub struct Check {
    /// Print the same as JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    /// Runs it.
    pub async fn run(self, client: Client) -> Outcome {
        match self {
            Self::Check(check) => check.run(&client).await,
        }
    }
}

impl Check {
    async fn run(&self, client: &Client) -> Outcome {
        let found: Vec<Obstacle> = client.get("/v1/network/obstacles").await?;
        if self.json {
            output::print_json(&found)?;
        } else {
            anstream::print!("{}", report(&found));
        }
        if found.is_empty() { Ok(()) } else { Err(Failure::silent(1)) }
    }
}

/// Every obstacle with its remedy, commands one a line.
fn report(found: &[Obstacle]) -> String {
    if found.is_empty() {
        return "Nothing stands in the way of networks of allocations\n".into();
    }
    let mut text = String::new();
    for (number, obstacle) in found.iter().enumerate() {
        text += &format!("{}. {}\n", number + 1, obstacle.problem);
        obstacle.remedy.split("; ").for_each(|line| text += &format!("     {line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_come_with_their_remedies() {
        let found = [
            Obstacle { problem: "chain inet mine x drops".into(), remedy: "nft insert one; nft insert two".into() },
            Obstacle { problem: "the resolver is on loopback".into(), remedy: "set servers".into() },
        ];
        insta::assert_snapshot!(report(&found), @"
        1. chain inet mine x drops
             nft insert one
             nft insert two
        2. the resolver is on loopback
             set servers
        ");
        insta::assert_snapshot!(report(&[]), @"Nothing stands in the way of networks of allocations");
    }
}
