//! host/linux against the real machine: real processes, sockets, files and engines, checked from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test is how tests speak")]

mod code;
mod components;
mod docker;
mod exec;
mod files;
mod isolation;
mod network;
mod ports;
mod processes;
mod support;
mod survive;
