//! `longshore:host/settings`.

use crate::{bindings::longshore::host::settings, store::Operation};

impl settings::Host for Operation {
    fn read(&mut self) -> wasmtime::Result<String> {
        Ok(self.host.settings.clone())
    }
}
