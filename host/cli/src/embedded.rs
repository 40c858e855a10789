//! The first-party drivers inside the program.

/// Each driver's name, as job files write it, and its component.
pub const DRIVERS: &[(&str, &[u8])] = &[];
