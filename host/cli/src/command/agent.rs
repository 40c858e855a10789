//! `longshore agent`

use std::path::PathBuf;

use clap::Args;

use crate::{
    backends::Mode,
    config::{self, Config},
    daemon::{self, Daemon},
    failure::{Failure, Outcome},
    logging::Logging,
};

/// Serve this machine: run jobs, keep them running, answer the commands
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore agent
  longshore agent --config /etc/longshore.hcl
  longshore agent --dev --data-dir /tmp/longshore       raw_exec enabled, for trying things out

Ending the agent (SIGINT, SIGTERM) leaves all tasks running; the next one takes them up again.
One that ends when all jobs were stopped leaves nothing but its data directory.
A configuration, every key optional:

  data_dir = \"/var/lib/longshore\"
  http {
    address    = \"127.0.0.1:4646\"       # TCP beside the Unix socket; needs a token
    token_file = \"/etc/longshore.token\"
  }
  docker { endpoint = \"unix:///var/run/docker.sock\" }
  driver \"raw_exec\" { enabled = true }  # programs without isolation: only when asked for
  driver \"mine\" {
    path   = \"/usr/lib/longshore/mine.wasm\"
    grants = [\"processes\", \"state\"]
  }")]
pub struct Arguments {
    /// Configuration file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything durable lives [default: /var/lib/longshore for root, ~/.local/share/longshore otherwise]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Enable drivers that give no isolation
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    logging: Logging,
}

/// Serves until asked to end.
pub fn run(arguments: Arguments) -> Outcome {
    arguments.logging.start("info")?;
    let config = arguments.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let data_dir = arguments
        .data_dir
        .or(config.data_dir.clone())
        .or_else(config::default_data_dir)
        .ok_or_else(|| Failure::input("HOME is not set").remedy("say where data may go with --data-dir"))?;
    let data_dir = std::path::absolute(&data_dir).unwrap_or(data_dir);
    daemon::runtime()?.block_on(async {
        let mode = Mode { dev: arguments.dev, ..Mode::default() };
        let daemon = Daemon::start(&config, &data_dir, &mode).await?;
        daemon::asked_to_end().await?;
        tracing::info!("ending; tasks keep running");
        daemon.stop().await;
        Ok(())
    })
}
