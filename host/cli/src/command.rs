//! The commands: one file each.

pub mod agent;
mod alloc;
mod compile_component;
mod completions;
mod component_task;
mod driver;
mod job;
mod network;
mod node;
mod port;
mod run;

use std::{ffi::OsString, future::Future, path::PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    client::{Address, Client},
    config,
    failure::{EXIT_CODES, Failure, Outcome, chain},
};

/// Run jobs on this machine; every task driver is a sandboxed WebAssembly component.
#[derive(Debug, Parser)]
#[command(
    name = "longshore",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = format!("\
Examples:
  longshore run hello.nomad.hcl         try a job: agent and job in the foreground, Ctrl-C ends both
  longshore agent                       serve this machine
  longshore job run web.nomad.hcl       hand the agent a job and wait until it runs
  longshore job status web              see it
  longshore alloc logs -f 3f9a          read along

{EXIT_CODES}")
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command that speaks to an agent.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Where the agent is: unix:///path/to/api.sock or http://host:port
    #[arg(long, global = true, env = "LONGSHORE_ADDR", value_name = "ADDRESS", hide_env_values = true)]
    address: Option<Address>,
    /// File whose first line is the agent's token; LONGSHORE_TOKEN may hold the token itself
    #[arg(long, global = true, env = "LONGSHORE_TOKEN_FILE", value_name = "FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(agent::Arguments),
    Run(run::Arguments),
    /// Submit, see, stop and check jobs
    #[command(subcommand, visible_alias = "jobs")]
    Job(job::Command),
    /// See allocations, read their logs, run commands in them, stop and restart them
    #[command(subcommand, visible_alias = "allocs")]
    Alloc(alloc::Command),
    /// See this machine
    #[command(subcommand)]
    Node(node::Command),
    /// See what stands in the way of networks of allocations
    #[command(subcommand)]
    Network(network::Command),
    Port(port::Arguments),
    /// See, inspect and replace task drivers
    #[command(subcommand)]
    Driver(driver::Command),
    Completions(completions::Arguments),
    #[command(hide = true)]
    ComponentTask(component_task::Arguments),
    #[command(hide = true, name = COMPILE)]
    CompileComponent(compile_component::Arguments),
}

/// The command that compiles a component.
pub const COMPILE: &str = "compile-component";

/// Long options of `job` commands, and of `run`, that people used to Nomad write with one dash.
const ONE_DASH: [&str; 11] = [
    "-output",
    "-json",
    "-detach",
    "-var",
    "-var-file",
    "-check",
    "-check-index",
    "-purge",
    "-diff",
    "-hcl",
    "-hcl2-strict",
];

/// The command line, with `job run -output` written as `job run --output`.
pub fn spelled_out(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let program = Cli::command();
    // The first command decides: what `alloc exec` runs may be called `job` and have options of its own.
    let mut command = None;
    let spell = |argument: OsString| {
        command =
            command.take().or_else(|| program.find_subcommand(&argument).map(|found| found.get_name().to_owned()));
        match argument.to_str() {
            Some(text) if matches!(command.as_deref(), Some("job" | "run")) => match text.split('=').next() {
                Some(option) if ONE_DASH.contains(&option) => format!("-{text}").into(),
                _ => argument,
            },
            _ => argument,
        }
    };
    arguments.map(spell).collect()
}

impl Cli {
    /// Runs what was asked for.
    pub fn run(self) -> Outcome {
        match self.command {
            Command::Agent(arguments) => agent::run(arguments),
            Command::Run(arguments) => run::run(arguments),
            Command::Completions(arguments) => completions::run(&arguments),
            Command::ComponentTask(arguments) => component_task::run(&arguments),
            Command::CompileComponent(arguments) => compile_component::run(&arguments),
            Command::Job(command) => self.global.with_agent(|client| command.run(client)),
            Command::Alloc(command) => self.global.with_agent(|client| command.run(client)),
            Command::Node(command) => self.global.with_agent(|client| command.run(client)),
            Command::Network(command) => self.global.with_agent(|client| command.run(client)),
            Command::Port(arguments) => self.global.with_agent(|client| arguments.run(client)),
            Command::Driver(driver::Command::Inspect(arguments)) => driver::inspect(&arguments),
            Command::Driver(command) => self.global.with_agent(|client| command.run(client)),
        }
    }
}

impl Global {
    /// Runs a command that speaks to the agent.
    fn with_agent<F: Future<Output = Outcome>>(&self, command: impl FnOnce(Client) -> F) -> Outcome {
        let client = self.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(chain(&error)))?;
        let outcome = runtime.block_on(command(client));
        // A read from the terminal cannot be given up; it ends with the program.
        runtime.shutdown_background();
        outcome
    }

    fn client(&self) -> Outcome<Client> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => {
                let data_dir = config::default_data_dir()
                    .ok_or_else(|| Failure::input("HOME is not set").remedy("say where the agent is with --address"))?;
                Address::Unix(config::socket_in(&data_dir))
            }
        };
        Ok(Client::new(address, self.token()?))
    }

    fn token(&self) -> Outcome<Option<String>> {
        match (std::env::var("LONGSHORE_TOKEN"), &self.token_file) {
            (_, Some(path)) => config::read_token(path).map(Some),
            (Ok(token), None) if !token.is_empty() => Ok(Some(token)),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::spelled_out;

    #[test]
    fn one_dash_will_do_for_jobs_alone() {
        let table = [
            ("longshore job run -output -var a=b x.hcl", "longshore job run --output --var a=b x.hcl"),
            (
                "longshore --address unix:///x jobs plan -diff=false x",
                "longshore --address unix:///x jobs plan --diff=false x",
            ),
            ("longshore alloc exec 3f9a nomad job run -output x", "longshore alloc exec 3f9a nomad job run -output x"),
            ("longshore job status -x", "longshore job status -x"),
            ("longshore run -var a=b x.hcl", "longshore run --var a=b x.hcl"),
            ("longshore job plan -hcl2-strict=false x.hcl", "longshore job plan --hcl2-strict=false x.hcl"),
        ];
        for (typed, expected) in table {
            let spelled = spelled_out(typed.split(' ').map(Into::into));
            assert_eq!(spelled.join(" ".as_ref()), expected);
        }
    }
}
