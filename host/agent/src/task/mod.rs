//! The life of one task.

pub(crate) mod events;
pub(crate) mod restart;
