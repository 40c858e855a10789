//! `longshore:host/state`.

use longshore_core::{
    error::{HostError, Result},
    state::{DriverState, MAX_KEY_BYTES, MAX_VALUE_BYTES},
};

use crate::{bindings::longshore::host::state, store::Operation};

impl Operation {
    fn state(&self) -> Result<&dyn DriverState> {
        self.backend(&self.host.backends.state, "store for drivers' state")
    }
}

impl state::Host for Operation {
    async fn get(&mut self, key: String) -> Result<Option<state::Entry>> {
        check_key(&key)?;
        let entry = self.state()?.get(&self.caller.driver, &key).await?;
        Ok(entry.map(|entry| state::Entry { value: entry.value, revision: entry.revision }))
    }

    async fn compare_and_swap(&mut self, key: String, expected: u32, value: Option<Vec<u8>>) -> Result<u32> {
        check_key(&key)?;
        let bytes = value.as_ref().map_or(0, Vec::len);
        if bytes > MAX_VALUE_BYTES {
            return Err(HostError::Limit(format!("a value may have {MAX_VALUE_BYTES} bytes, this one has {bytes}")));
        }
        self.state()?.compare_and_swap(&self.caller.driver, &key, expected, value.as_deref()).await
    }

    async fn keys(&mut self, prefix: String) -> Result<Vec<String>> {
        self.state()?.keys(&self.caller.driver, &prefix).await
    }
}

fn check_key(key: &str) -> Result<()> {
    match key.len() {
        1..=MAX_KEY_BYTES => Ok(()),
        bytes => Err(HostError::Invalid(format!("a key has 1 to {MAX_KEY_BYTES} bytes, this one has {bytes}"))),
    }
}
