//! All that knows wasmtime.
#![warn(missing_docs)]

pub mod bindings;
