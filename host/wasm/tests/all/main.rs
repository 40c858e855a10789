//! Drivers of every kind against one host: honest ones, broken ones, hostile ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test is how tests speak")]

mod files;
mod loading;
mod misdeeds;
mod replacing;
mod support;
