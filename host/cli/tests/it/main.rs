//! The program as its users drive it: a real agent in a directory of its own, commands, curl, docker, ps.
//!
//! Each test starts its own agent ([`harness::Station`]) and leaves nothing behind. Waiting is always for a
//! state, with a generous end; no test measures time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test is how tests speak")]

mod api;
mod attached;
mod code;
mod cores;
#[path = "../../../linux/tests/it/docker/daemon.rs"]
mod daemon;
mod docker;
mod docker_files;
mod docker_images;
mod docker_networks;
mod docker_options;
mod docker_outside;
mod docker_terminal;
mod engine_restart;
mod exec;
mod harness;
mod help;
mod hostile;
mod java;
mod jobs;
mod life;
mod limits;
mod mock;
mod network;
mod network_end;
mod network_refused;
mod podman;
mod qemu;
mod raw_exec;
mod refusals;
mod spares;
mod tcp;
mod wasm;
