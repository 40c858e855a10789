//! `longshore completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Outcome;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore completions bash > /etc/bash_completion.d/longshore
  longshore completions zsh  > ~/.zfunc/_longshore
  longshore completions fish > ~/.config/fish/completions/longshore.fish")]
pub struct Arguments {
    /// Which shell
    shell: Shell,
}

/// Prints the script.
pub fn run(arguments: &Arguments) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Cli::command(), "longshore", &mut script);
    anstream::print!("{}", String::from_utf8_lossy(&script));
    Ok(())
}
