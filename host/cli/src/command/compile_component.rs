//! `longshore compile-component DIGEST`: a component from standard input, its code to standard output. Started by the
//! agent.

use std::{
    borrow::Cow,
    io::{self, Read, Write},
};

use clap::Args;
use longshore_wasm::engine::{self, INVALID};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    embedded,
    failure::{Failure, Outcome, chain},
};

/// Most memory the compiler may have, bytes: a component that wants more is not one of ours to run.
const MEMORY: u64 = 2 << 30;

#[derive(Debug, Args)]
pub struct Arguments {
    /// SHA-256 of the component, hex; a driver of this program's own is not read from standard input
    digest: String,
}

/// Compiles; the program ends with [`INVALID`] for what is no component.
pub fn run(arguments: &Arguments) -> Outcome {
    let failed = |error: &dyn std::error::Error| Failure::failed(chain(error));
    let memory = Rlimit { current: Some(MEMORY), ..getrlimit(Resource::Data) };
    setrlimit(Resource::Data, memory).map_err(|error| failed(&error))?;
    let component = component(&arguments.digest).map_err(|error| failed(&error))?;
    match engine::compile(&component) {
        Ok(code) => io::stdout().write_all(&code).map_err(|error| failed(&error)),
        Err(error) => {
            eprintln!("{error}");
            Err(Failure::silent(INVALID))
        }
    }
}

fn component(digest: &str) -> io::Result<Cow<'static, [u8]>> {
    if let Some((.., own)) = embedded::DRIVERS.iter().find(|(_, known, _)| *known == digest) {
        return Ok(Cow::Borrowed(own));
    }
    let mut component = Vec::new();
    io::stdin().read_to_end(&mut component)?;
    Ok(Cow::Owned(component))
}
