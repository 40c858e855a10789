//! Compiled code of components, kept between starts.

use std::{fmt, io};

/// Where compiled code is kept. `E` is the engine it is made for and `C` a component's code, ready to be used by it:
/// types of the engine's, which this crate does not know.
///
/// Code runs as it is read, so whoever keeps it must be sure that what `load` finds is what `keep` was given.
pub trait CodeStore<E, C>: fmt::Debug + Send + Sync {
    /// The code kept under a key; none if there is none that can be trusted and fits the engine.
    fn load(&self, engine: &E, key: &str) -> Option<C>;

    /// Keeps code, as the engine wrote it, under a key, which is made of hex digits and `-`.
    fn keep(&self, key: &str, code: &[u8]) -> io::Result<()>;
}
