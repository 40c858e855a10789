//! From a component to code: found where it was kept, or compiled and kept.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use longshore_core::code::CodeStore;
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// Where code is kept.
pub type KeptCode = Arc<dyn CodeStore<Engine, Component>>;

/// The key of a component's code: code of another wasmtime, or of other settings, has another one.
pub(crate) fn key(engine: &Engine, digest: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}", hasher.finish())
}

/// Keeps code and takes it from there; none where it cannot be kept, which is told in the log.
pub(crate) fn keep(store: &KeptCode, engine: &Engine, key: &str, code: &[u8]) -> Option<Component> {
    if let Err(error) = store.keep(key, code) {
        tracing::warn!(%error, "compiled code could not be kept; the component is compiled again next time");
        return None;
    }
    store.load(engine, key)
}

/// The code of a component: found, or compiled in this process and kept.
pub(crate) fn find_or_make(store: Option<&KeptCode>, engine: &Engine, component: &[u8]) -> wasmtime::Result<Component> {
    if let Some(store) = store {
        let key = key(engine, &digest(component));
        if let Some(found) = store.load(engine, &key) {
            return Ok(found);
        }
        let compiled = engine.precompile_component(component)?;
        if let Some(kept) = keep(store, engine, &key, &compiled) {
            return Ok(kept);
        }
    }
    Component::new(engine, component)
}

/// SHA-256 in lower-case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
