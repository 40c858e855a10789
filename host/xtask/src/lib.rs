//! The project's chores as a library: what build scripts and tests share with the `xtask` program.

pub mod component;

#[cfg(feature = "languages")]
pub mod languages;
