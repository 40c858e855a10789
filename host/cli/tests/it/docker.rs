//! Jobs of containers.
