//! Container engines: one folder each, behind the promises of `longshore_core::container` and `image`; and
//! [`Engines`], by which each driver finds its own.

pub mod docker;
mod route;

pub use self::route::Engines;
