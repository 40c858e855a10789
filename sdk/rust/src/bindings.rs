//! What `wit-bindgen` makes of `wit/`: the required world, and one small world for each optional interface,
//! so that a component exports exactly what its driver implements.

// The generated code is the canonical ABI: pointers into linear memory.
#![allow(unsafe_code, missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit/driver",
    world: "longshore:driver/driver",
    generate_all,
    additional_derives: [PartialEq],
    pub_export_macro: true,
    export_macro_name: "export_driver",
    default_bindings_module: "longshore_sdk::bindings",
});

/// An optional interface; its types are those of the required world.
macro_rules! optional {
    ($module:ident, $world:literal, $macro:literal, $path:literal, { $($interface:literal: $types:path),* }) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit/driver",
                world: $world,
                with: { $($interface: $types),* },
                additional_derives: [PartialEq],
                pub_export_macro: true,
                export_macro_name: $macro,
                default_bindings_module: $path,
            });
        }
    };
    ($module:ident, $world:literal, $macro:literal, $path:literal) => {
        optional!($module, $world, $macro, $path, {
            "longshore:host/types@0.1.0": crate::bindings::longshore::host::types,
            "longshore:driver/types@0.1.0": crate::bindings::longshore::driver::types
        });
    };
}

optional!(signals, "longshore:driver/with-signals", "export_signals", "longshore_sdk::bindings::signals");
optional!(exec, "longshore:driver/with-exec", "export_exec", "longshore_sdk::bindings::exec");
optional!(stats, "longshore:driver/with-stats", "export_stats", "longshore_sdk::bindings::stats");
optional!(poll, "longshore:driver/with-poll", "export_poll", "longshore_sdk::bindings::poll");
optional!(network, "longshore:driver/with-network", "export_network", "longshore_sdk::bindings::network", {
    "longshore:host/types@0.1.0": crate::bindings::longshore::host::types
});
