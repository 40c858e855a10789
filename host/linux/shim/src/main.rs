//! The shim: supervises one process of a task and outlives the agent that started it.
//!
//! `supervise DIR` reads `DIR/spec`, starts the task's process in a session of its own, copies its output to
//! rotated log files, and when it has ended kills its descendants, writes `DIR/exit` and ends. It keeps the
//! locked file the agent gave it as standard input open all its life: a locked `DIR/lock` means "alive".
//! Whether the start worked is told on standard output, as a [`record`].
//!
//! `exec FILE` becomes a command beside such a process (same cgroups, user, directory).
//!
//! Every agent's machine runs one of these for each process, so it is small on purpose: no threads, no
//! allocation in its loop, `libc` only.

mod apart;
mod image;
mod logs;
mod record;
mod supervise;
mod sys;

use std::{env, path::Path, process::exit};

fn main() {
    let args: Vec<_> = env::args_os().collect();
    let code = match (args.get(1).and_then(|mode| mode.to_str()), args.get(2)) {
        (Some("supervise"), Some(dir)) => supervise::run(Path::new(dir)),
        (Some("exec"), Some(file)) => image::run_exec(Path::new(file)),
        _ => {
            eprintln!("usage: longshore-shim supervise DIR | exec FILE");
            64
        }
    };
    exit(code)
}
