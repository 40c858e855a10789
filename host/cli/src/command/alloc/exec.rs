//! `longshore alloc exec ALLOC COMMAND…`

use clap::Args;

use super::{choose_task, resolve};
use crate::{
    client::{Client, ExecCommand, exec},
    failure::{Failure, Outcome},
};

/// Run a command inside a running task
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore alloc exec 3f9a cat /etc/hosts
  longshore alloc exec -t 3f9a /bin/sh           with a terminal
  longshore alloc exec --task web 3f9a env
  echo hello | longshore alloc exec 3f9a wc -c

Exit codes: the command's own; 1, 2, 3 or 4 as for every command when it could not be run.")]
pub struct Arguments {
    /// The task; may be left out when there is only one
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Its id, or how its id begins
    alloc: String,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Arguments {
    pub async fn run(&self, client: &Client) -> Outcome {
        let alloc = resolve(client, &self.alloc).await?;
        let task = choose_task(&alloc, self.task.as_deref())?;
        let command = ExecCommand { alloc: alloc.stub.id, task, command: self.command.clone(), tty: self.tty };
        match exec(client, &command).await? {
            0 => Ok(()),
            code => Err(Failure::silent(u8::try_from(code).unwrap_or(1))),
        }
    }
}
