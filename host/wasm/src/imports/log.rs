//! `longshore:host/log`.

use longshore_core::record::Level;

use crate::{bindings::longshore::host::log, store::Operation};

impl log::Host for Operation {
    fn write(&mut self, severity: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match severity {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
            log::Level::Other(name) => {
                self.log(Level::Info, &format!("[{name}] {message}"));
                return Ok(());
            }
        };
        self.log(level, &message);
        Ok(())
    }
}
