//! The first-party drivers inside the program; `build.rs` builds them.

/// Each driver's name, as job files write it, and its component.
pub const DRIVERS: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/drivers.rs"));
