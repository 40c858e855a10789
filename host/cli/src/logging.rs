//! What the agent says while it runs.

use clap::{Args, ValueEnum};
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::failure::{Failure, Outcome};

/// How much is logged, and in which form. Everything goes to standard error.
#[derive(Clone, Debug, Args)]
pub struct Logging {
    /// How much: error, warn, info, debug, trace, or per module (`info,longshore_wasm=debug`)
    #[arg(long, env = "LONGSHORE_LOG", value_name = "LEVEL")]
    log_level: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

impl Logging {
    /// Begins to log; `default` is the level unless another was asked for.
    pub fn start(&self, default: &str) -> Outcome {
        let level = self.log_level.as_deref().unwrap_or(default);
        let filter = EnvFilter::try_new(level).map_err(|error| {
            Failure::input(format!("log level {level:?}: {error}")).remedy("use error, warn, info, debug or trace")
        })?;
        let colour = crate::terminal::is_colourful();
        let registry = tracing_subscriber::registry().with(filter);
        match self.log_format {
            Format::Text => registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colour)).init(),
            Format::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).init(),
        }
        Ok(())
    }
}
