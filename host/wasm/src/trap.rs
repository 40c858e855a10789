//! What a crash is called: one line for people, and a backtrace for the log.

use wasmtime::{Trap, WasmBacktrace};

use crate::limits::{CALL_BYTES, OperationLimits};

/// An error of wasmtime with its causes on one line, without the backtrace.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let is_backtrace = |cause: &str| cause.starts_with("error while executing at wasm backtrace");
    let causes = error.chain().map(ToString::to_string).filter(|cause| !is_backtrace(cause));
    let text = causes.collect::<Vec<_>>().join(": ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why guest code crashed, in words about the limits where one was the reason.
pub(crate) fn cause(error: &wasmtime::Error, memory_reached: bool, limits: &OperationLimits) -> String {
    let trap = error.downcast_ref::<Trap>();
    let line = one_line(error);
    match trap {
        Some(Trap::Interrupt) => format!("its own code ran longer than {} ms", limits.guest_ms),
        Some(Trap::StackOverflow) => "its call stack overflowed".into(),
        _ if memory_reached => format!("it used more than {} MiB of memory", limits.memory_mib),
        Some(Trap::UnreachableCodeReached) => "it panicked or aborted (wasm `unreachable`)".into(),
        _ if line.contains("fuel allocated for hostcalls") => {
            format!("it passed more than {} MiB in one call", CALL_BYTES >> 20)
        }
        _ => line,
    }
}

/// The functions that were running, innermost first, a frame a line, names demangled; empty when none were.
pub(crate) fn backtrace(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let text = backtrace.to_string();
    let frames = text.lines().skip(1).filter(|line| !line.starts_with("note: "));
    frames.map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}
