//! `longshore job fmt FILE`

use std::path::PathBuf;

use clap::Args;

use crate::failure::{EXIT_CODES, Failure, Outcome};

/// Write job files in the usual form, comments kept
#[derive(Debug, Args)]
#[command(after_help = format!("\
Examples:
  longshore job fmt web.nomad.hcl               rewrites the file
  longshore job fmt --upgrade old.nomad         also replaces what newer versions write differently
  longshore job fmt --check *.nomad.hcl         changes nothing, names the files that would change, ends with 1
  longshore job fmt --print web.nomad.hcl       prints the result instead

{EXIT_CODES}"))]
pub struct Arguments {
    /// Job files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Replace old forms: a task's own network, lists of ports, port_map, $attr without braces, tasks without group
    #[arg(long)]
    upgrade: bool,
    /// Change nothing; end with 1 if a file would change
    #[arg(long, conflicts_with = "print")]
    check: bool,
    /// Print the result, change nothing
    #[arg(long)]
    print: bool,
}

impl Arguments {
    pub fn run(&self) -> Outcome {
        let mut changed = false;
        for file in &self.files {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).map_err(|error| Failure::input(format!("{name}: {error}")))?;
            let (new, notes) = if self.upgrade {
                longshore_job::upgrade(&name, &text).map_err(Failure::places)?
            } else {
                (longshore_job::format(&name, &text).map_err(Failure::places)?, Vec::new())
            };
            for note in notes {
                anstream::eprintln!("{name}: {note}");
            }
            if self.print {
                anstream::print!("{new}");
            } else if new != text {
                changed = true;
                anstream::println!("{name}");
                if !self.check {
                    std::fs::write(file, new).map_err(|error| Failure::failed(format!("{name}: {error}")))?;
                }
            }
        }
        if self.check && changed { Err(Failure::silent(1)) } else { Ok(()) }
    }
}
