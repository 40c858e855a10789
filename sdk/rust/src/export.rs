//! The `export!` macro.

/// Makes a type the driver of this component: `export!(MyDriver)`, or with optional interfaces
/// `export!(MyDriver with signals, exec, stats, poll, network)`.
///
/// The type implements [`About`](crate::About) and [`Lifecycle`](crate::Lifecycle), and the trait of each
/// interface named. Natively nothing is exported (a native linker takes no such names), but the traits are
/// checked all the same.
#[macro_export]
macro_rules! export {
    ($driver:ident) => { $crate::export!($driver with); };
    ($driver:ident with $($interface:ident),* $(,)?) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        mod longshore_exports {
            use super::$driver;
            $crate::bindings::export_driver!($driver with_types_in $crate::bindings);
            $($crate::export!(@optional $driver $interface);)*
        }
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            const fn implements<T: $crate::About + $crate::Lifecycle>() {}
            implements::<$driver>();
            $($crate::export!(@check $driver $interface);)*
        };
    };
    (@optional $driver:ident signals) => { $crate::bindings::signals::export_signals!($driver with_types_in $crate::bindings::signals); };
    (@optional $driver:ident exec) => { $crate::bindings::exec::export_exec!($driver with_types_in $crate::bindings::exec); };
    (@optional $driver:ident stats) => { $crate::bindings::stats::export_stats!($driver with_types_in $crate::bindings::stats); };
    (@optional $driver:ident poll) => { $crate::bindings::poll::export_poll!($driver with_types_in $crate::bindings::poll); };
    (@optional $driver:ident network) => { $crate::bindings::network::export_network!($driver with_types_in $crate::bindings::network); };
    (@check $driver:ident signals) => { const fn signals<T: $crate::Signals>() {} signals::<$driver>(); };
    (@check $driver:ident exec) => { const fn exec<T: $crate::Exec>() {} exec::<$driver>(); };
    (@check $driver:ident stats) => { const fn stats<T: $crate::Stats>() {} stats::<$driver>(); };
    (@check $driver:ident poll) => { const fn poll<T: $crate::Poll>() {} poll::<$driver>(); };
    (@check $driver:ident network) => { const fn network<T: $crate::Network>() {} network::<$driver>(); };
}
