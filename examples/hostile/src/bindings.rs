//! The contract, generated.
// The generator's glue between two memories is unsafe, and nothing else here is.
#![allow(unsafe_code, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit/driver",
    inline: r#"
        package longshore:hostile;
        world hostile {
            include longshore:driver/driver@0.1.0;
            include longshore:driver/with-signals@0.1.0;
            include longshore:driver/with-poll@0.1.0;
        }
    "#,
    generate_all,
});

use crate::Hostile;
export!(Hostile with_types_in self);
