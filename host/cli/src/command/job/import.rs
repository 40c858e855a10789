//! `longshore job import compose FILE`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::failure::{EXIT_CODES, Failure, Outcome};

/// Write a job file from a file of another program
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Compose(Compose),
}

/// Write a job file from a Docker Compose file; what it could not carry is said on standard error
#[derive(Debug, Args)]
#[command(after_help = format!("\
Every service becomes a task of one group, which shares one network: services reach each other by name, and no two
may listen on the same port.

Examples:
  longshore job import compose compose.yaml > shop.nomad.hcl
  longshore job import compose --name shop compose.yaml

{EXIT_CODES}"))]
struct Compose {
    /// Compose file
    file: PathBuf,
    /// Name of the job; the file's own, or its directory's, unless given
    #[arg(long)]
    name: Option<String>,
}

impl Arguments {
    pub fn run(&self) -> Outcome {
        let From::Compose(compose) = &self.from;
        let shown = compose.file.display();
        let text =
            std::fs::read_to_string(&compose.file).map_err(|error| Failure::input(format!("{shown}: {error}")))?;
        let file = compose.file.canonicalize().ok();
        let folder = file.as_deref().and_then(Path::parent);
        let imported = longshore_job::compose::import(&text, compose.name.as_deref(), folder)
            .map_err(|why| Failure::input(format!("{shown}: {why}")))?;
        for note in &imported.notes {
            anstream::eprintln!("{note}");
        }
        anstream::print!("{}", imported.job);
        Ok(())
    }
}
