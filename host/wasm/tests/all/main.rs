//! Drivers of every kind against one host: honest ones, broken ones, hostile ones.

mod cache;
mod files;
mod loading;
mod misdeeds;
mod replacing;
mod support;
