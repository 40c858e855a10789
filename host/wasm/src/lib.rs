//! All that knows wasmtime: drivers are components, and this room loads, bounds, links and calls them.
//!
//! # From a file to an answer
//!
//! 1. An [`Engine`](engine::Engine) is made once: it compiles, and keeps the code where it is told
//!    ([`KeptCode`](code::KeptCode)).
//! 2. A [`Registry`](registry::Registry) loads drivers, each from a [`DriverConfig`](loader::DriverConfig): its
//!    [`Source`](loader::Source), what the operator grants it, policy, settings and limits. Loading checks all
//!    that can be checked ([`loader::Problem`] lists it) and asks the component to describe itself.
//! 3. The agent looks a driver up ([`Drivers::get`]) for each operation and calls it ([`Driver`]). Every call
//!    runs on a fresh instance within [`OperationLimits`](limits::OperationLimits); a crash costs that call.
//! 4. What the component calls goes through `imports`, one file per interface, to the
//!    [`Backends`](longshore_core::backends::Backends), after policy.
//!
//! [`inspect`](inspect::inspect) looks at a component without giving it anything;
//! [`task`] runs one that is not a driver but a task.
//!
//! [`Driver`]: longshore_core::driver::Driver
//! [`Drivers::get`]: longshore_core::driver::Drivers::get
//!
//! ```no_run
//! use longshore_core::{backends::Backends, driver::Drivers, grant::Grant};
//! use longshore_wasm::{
//!     engine::{Engine, EngineConfig},
//!     loader::{DriverConfig, Source},
//!     registry::Registry,
//! };
//!
//! # async fn example(backends: Backends) -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new(EngineConfig::default())?;
//! let raw_exec = DriverConfig {
//!     grants: [Grant::Processes].into_iter().collect(),
//!     ..DriverConfig::new(Source::File("raw_exec.wasm".into()))
//! };
//! let (registry, failed) = Registry::load(engine, backends, vec![raw_exec]).await;
//! for error in failed {
//!     eprintln!("{error}");
//! }
//! let fingerprint = registry.get("raw_exec")?.fingerprint().await;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod bindings;
pub mod code;
mod convert;
pub mod driver;
pub mod engine;
mod exports;
mod function;
mod http;
mod imports;
pub mod inspect;
pub mod limits;
mod linker;
pub mod loader;
mod parameters;
mod pool;
pub mod registry;
mod stdio;
mod store;
pub mod task;
mod trap;

pub use http::HttpEngine;
