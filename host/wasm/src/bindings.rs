//! The contract in Rust, generated from `wit/`. Nothing here is written by hand.
//!
//! One expansion of the world with every optional export: each exported interface then has its own
//! `GuestIndices`, which the loader looks for one by one, and all share one set of types. Calls that may wait
//! are `async`; calls that fail do so with [`HostError`], which the generated code turns into the contract's
//! `error`.
//!
//! [`HostError`]: longshore_core::error::HostError
#![allow(missing_docs, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit/driver",
    world: "longshore:driver/full-driver",
    imports: {
        "longshore:host/log": trappable,
        "longshore:host/settings": trappable,
        "longshore:host/events": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    trappable_error_type: {
        "longshore:host/types.error" => longshore_core::error::HostError,
    },
});
