//! `longshore run FILE`

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use longshore_agent::api::document::AllocStub;

use super::job::{self, JobFileArguments, Monitor};
use crate::{
    backends::Mode,
    client::{Client, LogQuery, segment},
    config::{self, Config},
    daemon::{self, Daemon},
    failure::{Failure, Outcome, chain},
    logging::Logging,
};

/// Try a job: agent and job in the foreground, output on the terminal, Ctrl-C ends both and cleans up
#[derive(Debug, Args)]
#[command(after_help = format!("\
Every built-in driver is enabled, and tasks may use the files beside the job file. Nothing is left behind.

Examples:
  longshore run hello.nomad.hcl
  longshore run --var port=8080 web.nomad.hcl

{}", crate::failure::EXIT_CODES))]
pub struct Arguments {
    #[command(flatten)]
    file: JobFileArguments,
    /// Configuration file of the agent
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    logging: Logging,
}

/// Runs the job until it is over or the user ends it.
pub fn run(arguments: Arguments) -> Outcome {
    arguments.logging.start("warn")?;
    let file = arguments.file.read_alone()?;
    let config = arguments.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let home = config::default_data_dir()
        .ok_or_else(|| Failure::input("HOME is not set").remedy("set HOME or XDG_DATA_HOME"))?;
    let data_dir = home.join("run").join(folder(&file.job.id));
    let mode = Mode { dev: true, job_dir: arguments.file.directory(), cache_dir: Some(home.join("cache")) };
    daemon::runtime()?.block_on(async {
        let daemon = Daemon::start(&config, &data_dir, &mode).await?;
        let client = daemon.client();
        let ended = tokio::select! {
            ended = follow(&client, &file) => ended,
            asked = daemon::asked_to_end() => asked,
        };
        let cleaned = clean(daemon, &data_dir).await;
        ended.and(cleaned)
    })
}

/// Name of the directory of a job's agent, which is removed in the end: one component of a path, whatever the id.
fn folder(job: &str) -> String {
    format!("job-{}", segment(job))
}

/// Submits the job, shows where it is and what it says, until all its tasks are over.
async fn follow(client: &Client, file: &job::JobFile) -> Outcome {
    job::submit(client, file, None).await?;
    let allocs = Monitor::new(client, &file.job.id).await?.until_running().await?;
    job::print_addresses(client, &allocs).await?;
    anstream::eprintln!("Ctrl-C stops the job");
    let logs = allocs.iter().flat_map(|alloc| {
        let tasks = alloc.task_states.keys();
        tasks.flat_map(move |task| ["stdout", "stderr"].map(|kind| copy_log(client, alloc, task, kind)))
    });
    for copied in futures_util::future::join_all(logs).await {
        copied?;
    }
    Ok(())
}

/// Copies one log, each line with the task's name before it, until the task is over.
async fn copy_log(client: &Client, alloc: &AllocStub, task: &str, kind: &'static str) -> Outcome {
    let query = LogQuery { alloc: alloc.id.clone(), task: task.into(), kind, follow: true, tail_bytes: None };
    let mut stream = client.logs(&query).await?;
    let mut line = Vec::new();
    while let Some(data) = stream.next().await? {
        for byte in data {
            line.push(byte);
            if byte == b'\n' {
                print_line(task, &mut line)?;
            }
        }
    }
    if line.is_empty() { Ok(()) } else { print_line(task, &mut line) }
}

fn print_line(task: &str, line: &mut Vec<u8>) -> Outcome {
    let mut out = std::io::stdout().lock();
    let text = String::from_utf8_lossy(line);
    let written = writeln!(out, "{task} | {}", text.trim_end_matches('\n'));
    line.clear();
    written.map_err(|error| Failure::failed(chain(&error)))
}

/// Stops every task, ends the agent and removes its directory. A second request to end leaves at once.
async fn clean(daemon: Daemon, data_dir: &Path) -> Outcome {
    anstream::eprintln!("stopping …");
    tokio::select! {
        drained = daemon.agent().drain() => drained.map_err(|error| Failure::failed(chain(&error)))?,
        asked = daemon::asked_to_end() => {
            asked?;
            return Err(Failure::failed("left before all tasks had ended")
                .remedy("the same command takes them up again and cleans up"));
        }
    }
    daemon.stop().await;
    std::fs::remove_dir_all(data_dir).map_err(|error| Failure::failed(format!("{}: {error}", data_dir.display())))
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use super::*;

    #[test]
    fn a_jobs_folder_is_one_below_all_folders() {
        for id in ["web", ".", "..", "../..", "/", "a/../b", "", "\0"] {
            let name = folder(id);
            let parts: Vec<_> = Path::new(&name).components().collect();
            assert!(matches!(parts[..], [Component::Normal(_)]), "{id:?} becomes {name:?}");
        }
        assert_ne!(folder("a/b"), folder("a%2Fb"));
    }
}
