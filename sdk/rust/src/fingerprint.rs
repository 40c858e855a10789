//! What [`About::fingerprint`](crate::About::fingerprint) answers.

use crate::{Error, FingerprintResult, Health, KeyValue, host::processes};

impl FingerprintResult {
    /// A driver whose tasks can run.
    pub fn healthy(attributes: Vec<KeyValue>) -> Self {
        Self { health: Health::Healthy, attributes }
    }

    /// One whose tasks cannot, and why.
    pub fn unable(health: Health) -> Self {
        Self { health, attributes: Vec::new() }
    }

    /// One that needs a program, which is asked by a short command; `attributes` reads what it said on standard output
    /// and standard error.
    pub fn of_program(
        program: &str,
        argument: &str,
        timeout_ms: u32,
        attributes: impl FnOnce(&str, &str) -> Vec<KeyValue>,
    ) -> Self {
        match processes::run_command(program, &[argument.into()], timeout_ms) {
            Ok(said) => Self::healthy(attributes(
                &String::from_utf8_lossy(&said.stdout),
                &String::from_utf8_lossy(&said.stderr),
            )),
            Err(Error::NotFound(said)) => Self::unable(Health::Undetected(said)),
            Err(error) => Self::unable(Health::Unhealthy(error.text().into())),
        }
    }
}
