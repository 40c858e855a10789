//! `longshore component-task SPEC`: a component as a task, in a process of its own. Started by the agent.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use longshore_core::component::ComponentSpec;
use longshore_linux::code::CodeDirectory;
use longshore_wasm::code::KeptCode;

use crate::failure::{Failure, Outcome, chain};

#[derive(Debug, Args)]
pub struct Arguments {
    /// File with the task's specification, JSON
    spec: PathBuf,
    /// Where compiled code is kept
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,
}

/// Runs the component; the program ends with its exit code.
pub fn run(arguments: &Arguments) -> Outcome {
    let read = std::fs::read(&arguments.spec)
        .map_err(|error| Failure::failed(format!("{}: {error}", arguments.spec.display())))?;
    let spec: ComponentSpec = serde_json::from_slice(&read).map_err(|error| Failure::failed(chain(&error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(chain(&error)))?;
    // Kept code makes a start quick; without any the task starts all the same.
    let kept = arguments.cache.as_deref().and_then(|directory| {
        let opened = CodeDirectory::open(directory);
        opened.inspect_err(|error| tracing::warn!(%error, "starting without a compile cache")).ok()
    });
    let kept = kept.map(|directory| Arc::new(directory) as KeptCode);
    let code = runtime
        .block_on(longshore_wasm::task::run(&spec, kept.as_ref()))
        .map_err(|error| Failure::failed(chain(&error)))?;
    match code {
        0 => Ok(()),
        code => Err(Failure::silent(u8::try_from(code).unwrap_or(1))),
    }
}
