//! The first-party drivers inside the program; `build.rs` builds them.

/// Each driver's name, as job files write it, the SHA-256 of its component in hex, and the component.
pub const DRIVERS: &[(&str, &str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/drivers.rs"));
