//! The agent: keeps jobs running on one machine, through crashes of itself, of engines and of the machine.
//!
//! ```text
//!   submit ─▶ jobs ─▶ alloc::runner ─▶ task::runner ─▶ driver (host/wasm) ─▶ backends (host/linux)
//!                │          │               │
//!                └──────────┴── board ──────┘── store (journal, one fsync before each side effect)
//! ```
//!
//! | to learn | read |
//! |---|---|
//! | what can be asked of an agent | [`Agent`] |
//! | what it is told | [`AgentConfig`] |
//! | what it shows | [`Allocation`], [`TaskState`], [`Node`] |
//! | what survives it | [`AgentStore`] |
//!
//! An agent is made in this order, because drivers need some backends that the store provides:
//!
//! 1. [`AgentStore::open`] reads the journal;
//! 2. the program fills [`Backends`](longshore_core::backends::Backends) with the machine's backends and the
//!    store's [`driver_state`](AgentStore::driver_state), [`event_sink`](AgentStore::event_sink) and
//!    [`driver_log`](AgentStore::driver_log), and loads the drivers with them;
//! 3. [`Agent::start`] takes up what the journal says should run.
//!
//! The journal and the engine are the truth: every step of a task is journalled before it is taken, and at
//! start each step found half done is finished or undone.

mod agent;
mod alloc;
pub mod api;
mod board;
mod check;
mod config;
mod control;
mod error;
mod health;
mod id;
mod interpolate;
mod jobs;
mod logs;
mod look;
mod machine;
mod plan;
mod reconcile;
mod rehearsal;
mod schema;
mod shared;
mod status;
mod store;
mod submit;
mod task;

pub use agent::{Agent, SubmitOptions, Submitted};
pub use config::{AgentConfig, ENV_DENYLIST};
pub use error::{AgentError, ControlError, Problem, StoreError, SubmitError};
pub use logs::{LogPiece, LogStart, LogStream};
pub use look::{HostPort, PortState};
pub use plan::{GroupUpdates, Plan};
pub use status::{
    Allocation, ClientStatus, Desired, DriverStatus, Evaluation, GroupSummary, JobStatus, Node, Submission, TaskEvent,
    TaskPhase, TaskState,
};
pub use store::AgentStore;

#[cfg(test)]
mod tests;
