//! Container engines: one folder each, behind the promises of `longshore_core::container` and `image`.

pub mod docker;
