//! Write a longshore task driver in Rust.
//!
//! A driver is a WebAssembly component. The host calls it to start, find again, stop and remove tasks; the
//! driver calls the [`host`] for what tasks are made of: containers, processes, components, ports, files.
//! It can reach nothing else: what it imports is what the operator is asked to grant.
//!
//! # The five minutes' tour
//!
//! 1. **Nothing is remembered.** Every call runs on a fresh instance. What has to last goes into the handle
//!    that [`Lifecycle::start`] returns; the host stores it and gives it back to every later call.
//!    [`handle::encode`] and [`handle::decode`] turn a struct into one and back.
//! 2. **Say what you are**: [`About`] gives the name job files use, a JSON Schema of the task's `config` block
//!    (the host refuses wrong jobs by it, with file and line) and what the driver sees of the machine.
//! 3. **Do the work**: [`Lifecycle`] has `start`, `recover`, `stop`, `destroy` and `inspect`. [`config::read`]
//!    parses a task's `config` into a struct of yours; [`host`] holds the host's interfaces. `start` answers
//!    [`Watch`]: the thing whose end is the task's end.
//! 4. **Export it**: `longshore_sdk::export!(MyDriver);`. Optional interfaces ([`Signals`], [`Exec`],
//!    [`Stats`], [`Poll`], [`Network`]) are implemented for the same type and named:
//!    `longshore_sdk::export!(MyDriver with signals, exec);`. The host reads from the component's type what a
//!    driver can do; there are no flags.
//! 5. **Fail well**: every error text is one line for the person who wrote the job. `Error::invalid("…")` and
//!    its siblings make them; `?` turns one into a [`StartError`] that may be tried again exactly when
//!    trying again can help.
//!
//! What drivers have in common is here once: [`process`] for tasks that are one process, [`chroot`] for processes
//! with a root directory of their own, [`inside`] for tasks that see other paths than the host, [`limits`] for what a
//! job file promises, [`loose`] for the spellings of blocks and maps, [`sample`] for tests.
//!
//! The bindings also compile natively, so that a driver's logic is tested with `cargo test`; only calling the
//! host needs a host.
//!
//! # Building
//!
//! `Cargo.toml` says `crate-type = ["cdylib", "rlib"]`. Build for `wasm32-unknown-unknown` and wrap the module:
//!
//! ```sh
//! cargo build --release --target wasm32-unknown-unknown
//! wasm-tools component new target/wasm32-unknown-unknown/release/longshore_driver_shell.wasm -o shell.wasm
//! longshore driver inspect shell.wasm
//! ```
//!
//! # A whole driver
//!
//! It runs a line of shell as a process beside the agent. This is `examples/drivers/rust`.
//!
//! ```
#![doc = include_str!("../../../examples/drivers/rust/src/lib.rs")]
//! ```

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod allocator;
pub mod bindings;
pub mod chroot;
pub mod config;
mod defaults;
pub mod env;
mod error;
mod export;
mod fingerprint;
pub mod handle;
pub mod inside;
pub mod limits;
pub mod loose;
pub mod process;
pub mod sample;

/// What the host offers; the grant each interface needs is in its documentation.
pub mod host {
    pub use crate::bindings::longshore::host::types::{Limits, Mount, MountKind, Protocol, Usage};
    pub use crate::bindings::longshore::host::{
        components, containers, events, files, images, log, networks, ports, processes, settings, state,
    };
}

pub use bindings::{
    exec::exports::longshore::driver::exec::{Guest as Exec, Session},
    exports::longshore::driver::{
        about::{Description, FingerprintResult, Guest as About, Health},
        lifecycle::{Guest as Lifecycle, StopRequest, TaskStatus},
    },
    longshore::{
        driver::types::{
            Device, Directories, Dns, DriverNetwork, Resources, StartError, Started, Task, TaskNetwork, TaskRef, Watch,
        },
        host::types::{Error, ExecRequest, ExitStatus, KeyValue, Port, RunState},
    },
    network::exports::longshore::driver::network::{CreatedNetwork, Guest as Network, NamespaceHolder, NetworkRequest},
    poll::exports::longshore::driver::poll::{Guest as Poll, Observation, OutputChunk},
    signals::exports::longshore::driver::signals::Guest as Signals,
    stats::exports::longshore::driver::stats::Guest as Stats,
};
