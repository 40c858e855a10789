//! `longshore alloc stop|restart|signal`

use clap::Args;
use serde_json::{Value, json};

use super::{choose_task, resolve};
use crate::{
    client::{Client, segment},
    failure::{EXIT_CODES, Outcome},
    output,
};

/// Stop an allocation; its job replaces it
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore alloc stop 3f9a

To end it for good, stop its job: `longshore job stop JOB`.

{EXIT_CODES}"))]
pub struct Stop {
    /// Its id, or how its id begins
    alloc: String,
    /// Print the API's answer
    #[arg(long)]
    json: bool,
}

/// Restart an allocation's tasks where they are
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore alloc restart 3f9a
  longshore alloc restart 3f9a web         one task

{EXIT_CODES}"))]
pub struct Restart {
    /// Its id, or how its id begins
    alloc: String,
    /// The task; all that run when left out
    task: Option<String>,
    /// Print the API's answer
    #[arg(long)]
    json: bool,
}

/// Send a signal to an allocation's tasks
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore alloc signal --signal SIGHUP 3f9a
  longshore alloc signal -s SIGUSR1 3f9a web

{EXIT_CODES}"))]
pub struct Signal {
    /// Its name
    #[arg(short, long, default_value = "SIGKILL", value_name = "SIGNAL")]
    signal: String,
    /// Its id, or how its id begins
    alloc: String,
    /// The task; all that run when left out
    task: Option<String>,
    /// Print the API's answer
    #[arg(long)]
    json: bool,
}

impl Stop {
    pub async fn run(&self, client: &Client) -> Outcome {
        let id = resolve(client, &self.alloc).await?.stub.id;
        let answer = client.put(&format!("/v1/allocation/{}/stop", segment(&id)), &json!({})).await?;
        done(self.json, &answer, &format!("{} is stopping; its job replaces it", output::short(&id)))
    }
}

impl Restart {
    pub async fn run(&self, client: &Client) -> Outcome {
        let alloc = resolve(client, &self.alloc).await?;
        let task = self.task.as_deref().map(|task| choose_task(&alloc, Some(task))).transpose()?;
        let id = &alloc.stub.id;
        let body = json!({"TaskName": task.as_deref().unwrap_or_default(), "AllTasks": false});
        let answer = client.put(&format!("/v1/client/allocation/{}/restart", segment(id)), &body).await?;
        done(self.json, &answer, &format!("{} restarts", output::short(id)))
    }
}

impl Signal {
    pub async fn run(&self, client: &Client) -> Outcome {
        let alloc = resolve(client, &self.alloc).await?;
        let task = self.task.as_deref().map(|task| choose_task(&alloc, Some(task))).transpose()?;
        let id = &alloc.stub.id;
        let body = json!({"Task": task.as_deref().unwrap_or_default(), "Signal": self.signal});
        let answer = client.put(&format!("/v1/client/allocation/{}/signal", segment(id)), &body).await?;
        done(self.json, &answer, &format!("{} sent to {}", self.signal, output::short(id)))
    }
}

fn done(json: bool, answer: &Value, line: &str) -> Outcome {
    if json {
        return output::print_json(answer);
    }
    anstream::println!("{line}");
    Ok(())
}
