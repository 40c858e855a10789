//! `longshore compile-component`: a component from standard input, its code to standard output. Started by the agent.

use std::io::{Read, Write};

use longshore_wasm::engine::{self, INVALID};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::{Failure, Outcome, chain};

/// Most memory the compiler may have, bytes: a component that wants more is not one of ours to run.
const MEMORY: u64 = 2 << 30;

/// Compiles; the program ends with [`INVALID`] for what is no component.
pub fn run() -> Outcome {
    let failed = |error: &dyn std::error::Error| Failure::failed(chain(error));
    let memory = Rlimit { current: Some(MEMORY), ..getrlimit(Resource::Data) };
    setrlimit(Resource::Data, memory).map_err(|error| failed(&error))?;
    let mut component = Vec::new();
    std::io::stdin().read_to_end(&mut component).map_err(|error| failed(&error))?;
    match engine::compile(&component) {
        Ok(code) => std::io::stdout().write_all(&code).map_err(|error| failed(&error)),
        Err(error) => {
            eprintln!("{error}");
            Err(Failure::silent(INVALID))
        }
    }
}
