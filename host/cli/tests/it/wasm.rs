//! Jobs of WebAssembly components.
