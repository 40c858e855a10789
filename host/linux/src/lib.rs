//! Everything of longshore that touches the Linux kernel or a container engine: the real implementations
//! behind the traits of `longshore-core`.
//!
//! | promise (core) | kept by | with |
//! |---|---|---|
//! | [`Processes`](longshore_core::process::Processes) | [`process::Supervisor`] | one tiny shim per process that outlives the agent, sessions, pidfds |
//! | limits and kills | [`cgroup::Cgroups`] | cgroup v2, v1, a mixture, or none |
//! | [`Components`](longshore_core::component::Components) | [`components::ComponentRunner`] | the same shims, running this program's `component-task` |
//! | [`CodeStore`](longshore_core::code::CodeStore) | [`code::CodeDirectory`] | sealed files, mapped by wasmtime |
//! | [`Containers`](longshore_core::container::Containers), [`Images`](longshore_core::image::Images) | [`engine::docker::Docker`] | bollard |
//! | [`Ports`](longshore_core::port::Ports) | [`ports::PortBook`] | bound sockets |
//! | [`Networks`](longshore_core::network::Networks) | [`network::KernelNetworks`] | rtnetlink, nf_tables |
//! | [`Files`](longshore_core::file::Files) | [`files::AllocFiles`] | cap-std |
//!
//! Read [`process`] first: its page tells the life of a task's process from `spawn` to `remove`.

pub mod cgroup;
pub mod code;
pub mod components;
pub mod engine;
mod failure;
pub mod files;
pub mod limits;
mod listeners;
mod lock;
pub mod memory;
pub mod network;
pub mod ports;
pub mod process;
mod sources;
mod watch;
