//! `longshore driver inspect FILE`

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use clap::Args;
use longshore_core::{
    added_port::{AddedPort, AddedPorts, Change},
    backends::Backends,
    caller::{AllocId, DriverName, TaskId},
    grant::{Grant, Grants},
    record::{DriverLog, EventSink, Level},
};
use longshore_wasm::{
    inspect::{Inspection, inspect},
    loader::Source,
};

use crate::{
    backends,
    config::Config,
    failure::{EXIT_CODES, Failure, Outcome, chain},
    output::{self, Table},
};

/// Show what a driver's component is, what it asks for, and what it may and may not do here
#[derive(Debug, Args)]
#[command(after_help = format!("\
The component is looked at without being given anything. What it may do is decided by its imports and by
what the agent's configuration grants a driver of its name.

Examples:
  longshore driver inspect mine.wasm
  longshore driver inspect mine.wasm --config /etc/longshore.hcl
  longshore driver inspect mine.wasm --grant processes --grant state

{EXIT_CODES}"))]
pub struct Arguments {
    /// The component
    file: PathBuf,
    /// Configuration of the agent it is for
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Grant it this, in place of what the configuration says
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<Grant>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// Looks at the component. Ends with 1 when it could not be loaded here.
pub fn run(arguments: &Arguments) -> Outcome {
    let config = arguments.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(chain(&error)))?;
    let found = runtime.block_on(arguments.look(&config))?;
    if arguments.json {
        output::print_json(&found)?;
    } else {
        print(&found);
    }
    if found.problems.is_empty() { Ok(()) } else { Err(Failure::silent(1)) }
}

impl Arguments {
    async fn look(&self, config: &Config) -> Outcome<Inspection> {
        let engine = backends::engine(None)?;
        let source = Source::File(self.file.clone());
        let look = async |allowed: &Grants| {
            inspect(&engine, &nothing(), &source, allowed).await.map_err(|error| Failure::input(chain(&error)))
        };
        if !self.grants.is_empty() {
            return look(&self.grants.iter().cloned().collect()).await;
        }
        let found = look(&Grants::default()).await?;
        let name = found.description.as_ref().map(|description| description.name.as_str()).unwrap_or_default();
        look(&backends::grants_of(config, name)).await
    }
}

fn print(found: &Inspection) {
    let description = found.description.as_ref();
    let said = |what: fn(&longshore_core::driver::Description) -> String| description.map(what).unwrap_or_default();
    output::print_fields(&[
        ("File", found.origin.clone()),
        ("Digest", found.digest.clone()),
        ("Size", output::bytes(found.size_bytes)),
        ("Name", said(|driver| driver.name.clone())),
        ("Version", said(|driver| driver.version.clone())),
        ("Summary", said(|driver| driver.summary.clone())),
        ("Networks", said(|driver| driver.network_modes.join(", "))),
    ]);
    output::print_heading("Imports");
    let mut table = Table::new(&["Import", "Grant", "Here"]);
    for import in &found.imports {
        let grant = import.grant.clone().unwrap_or_else(|| "-".into());
        table.row([import.import.clone(), grant, if import.allowed { "allowed" } else { "refused" }.into()]);
    }
    table.print();
    output::print_heading("Exports");
    for export in &found.exports {
        anstream::println!("{export}");
    }
    if !found.problems.is_empty() {
        output::print_heading("It cannot be loaded here");
        for problem in &found.problems {
            anstream::println!("{problem}");
        }
    }
}

/// Backends of a machine that has nothing.
fn nothing() -> Backends {
    Backends {
        containers: None,
        images: None,
        processes: None,
        components: None,
        ports: None,
        networks: None,
        added_ports: Arc::new(Nobody),
        files: None,
        state: None,
        events: Arc::new(Nobody),
        log: Arc::new(Nobody),
    }
}

struct Nobody;

impl EventSink for Nobody {
    fn driver_event(&self, _: &TaskId, _: &str, _: &std::collections::BTreeMap<String, String>) {}
}

#[async_trait]
impl AddedPorts for Nobody {
    async fn change(&self, _: &AllocId, _: Change) -> longshore_core::error::Result<Vec<AddedPort>> {
        Ok(Vec::new())
    }
}

impl DriverLog for Nobody {
    fn line(&self, _: &DriverName, _: Option<&TaskId>, _: &str, _: Level, message: &str) {
        tracing::debug!("{message}");
    }
}
