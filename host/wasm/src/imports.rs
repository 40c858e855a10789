//! What the host offers drivers: one file per interface of `wit/host`, each of which only converts, checks
//! policy where the contract says so, and calls the backend.

mod components;
mod containers;
mod events;
mod files;
mod images;
mod log;
mod networks;
mod ports;
mod processes;
mod settings;
mod state;

use longshore_core::error::HostError;

use crate::{
    bindings::longshore::{driver, host},
    store::Operation,
};

impl host::types::Host for Operation {
    fn convert_error(&mut self, error: HostError) -> wasmtime::Result<host::types::Error> {
        Ok(error.into())
    }
}

impl driver::types::Host for Operation {}
