//! `longshore alloc exec ALLOC COMMAND…`

use std::io::{IsTerminal, stdin, stdout};

use clap::{ArgAction, Args};

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
  longshore alloc exec 3f9a /bin/sh              with a terminal, when there is one here
  longshore alloc exec -i=false -t=false 3f9a true
  longshore alloc exec --task web 3f9a env
  echo hello | longshore alloc exec 3f9a wc -c

Exit codes: the command's own; 1, 2, 3 or 4 as for every command when it could not be run.")]
pub struct Arguments {
    /// The task; may be left out when there is only one
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Hand on what this command is given as input
    #[arg(short = 'i', long = "stdin", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    stdin: bool,
    /// Give the command a terminal; true when this command has one
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tty: Option<bool>,
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
        let command = ExecCommand {
            alloc: alloc.stub.id,
            task,
            command: self.command.clone(),
            stdin: self.stdin,
            tty: self.tty.unwrap_or_else(|| self.stdin && stdin().is_terminal() && stdout().is_terminal()),
        };
        match exec(client, &command).await? {
            0 => Ok(()),
            code => Err(Failure::silent(u8::try_from(code).unwrap_or(1))),
        }
    }
}
