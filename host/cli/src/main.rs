//! `longshore`: the agent and the commands that speak to it, in one program.
//!
//! | to learn | read |
//! |---|---|
//! | what the program can do | [`command`], one file per command |
//! | what the agent is told | [`config`] |
//! | which machinery stands behind the drivers | [`backends`], the one place that names it |
//! | how an agent starts and ends | [`daemon`] |
//! | how the commands speak to the agent | [`client`] |

mod backends;
mod client;
mod command;
mod config;
mod daemon;
mod embedded;
mod failure;
mod logging;
mod output;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

/// One heap for all threads. The C library's takes several times as long where it is musl's.
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    match command::Cli::parse_from(command::spelled_out(std::env::args_os())).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
