//! The names and promises every room of longshore shares.
//!
//! Nothing here does I/O: these are the nouns of the system (tasks, handles, containers, ports,
//! grants), the traits whose implementations do the work, and the pure decisions about who may do what.
//!
//! | to learn | read |
//! |---|---|
//! | what a driver is to the agent | [`driver::Driver`] |
//! | what the machine offers drivers | [`backends::Backends`] and the traits it holds |
//! | who is asking | [`caller::Caller`] |
//! | what a component may import | [`grant`] |
//! | what it may ask of an engine | [`policy`] |
//!
//! The WIT contract (`wit/`) is the same vocabulary seen from a driver; `host/wasm` translates between
//! the two, `host/linux` and `host/fake` implement the traits, `host/agent` drives it all.

pub mod added_port;
pub mod backends;
pub mod caller;
pub mod code;
pub mod component;
pub mod container;
pub mod driver;
pub mod error;
pub mod exec;
pub mod file;
pub mod grant;
pub mod image;
pub mod network;
pub mod policy;
pub mod port;
pub mod process;
pub mod record;
pub mod state;
pub mod workload;
