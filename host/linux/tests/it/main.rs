//! host/linux against the real machine.

mod docker;
