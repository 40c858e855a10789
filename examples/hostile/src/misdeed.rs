//! What can be done wrong.

use std::hint::black_box;

use crate::bindings::longshore::host::{
    events, log, ports, processes,
    types::{Error, KeyValue, Limits},
};

pub const NO_LIMITS: Limits = Limits {
    cpu_mhz: 0,
    cpu_hard_millicores: 0,
    cpu_cores: Vec::new(),
    memory_mib: 0,
    memory_reservation_mib: 0,
    pids: 0,
};

/// Does what `text` asks of `operation`, if anything.
pub fn commit(operation: &str, text: &str) -> Result<(), Error> {
    let Some((_, rest)) = text.split_once(&format!("{operation}:")) else { return Ok(()) };
    let end = rest.find(['"', ' ', ',']).unwrap_or(rest.len());
    match &rest[..end] {
        "trap" => panic!("this driver was told to crash"),
        "loop" => spin(),
        "recurse" => {
            black_box(recurse(black_box(1)));
        }
        "hog" => hog(),
        "giant-string" => log::write(&log::Level::Info, &"x".repeat(1 << 30)),
        "long-call" => log::write(&log::Level::Info, &"x".repeat(24 << 20)),
        "flood" => flood(),
        "events" => return events_until_refused(),
        "long-event" => return long_event(),
        "long-error" => return Err(Error::Invalid("é".repeat(1 << 20))),
        "wait" => return processes::signal("a process", "SIGHUP"),
        "other-id" => return other_id(rest),
        "release" => return ports::release("http"),
        "error" => return Err(Error::Invalid("as it was told".into())),
        _ => {}
    }
    Ok(())
}

fn spin() {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Deep in calls, shallow in memory: it is the call stack that ends first.
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { depth } else { recurse(depth + 1).wrapping_mul(3) }
}

fn hog() {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn flood() {
    log::write(&log::Level::Info, &"é".repeat(50_000));
    for line in 0..5_000 {
        log::write(&log::Level::Info, &format!("line {line}"));
    }
}

fn events_until_refused() -> Result<(), Error> {
    (0..1_000).try_for_each(|number| {
        let annotations = [KeyValue { key: "number".into(), value: number.to_string() }];
        events::emit("one more", &annotations)
    })
}

/// An event as long as a call may be.
fn long_event() -> Result<(), Error> {
    let annotation = |number: u32| KeyValue { key: format!("{number}{}", "-".repeat(4096)), value: "é".repeat(4096) };
    events::emit(&"é".repeat(1 << 20), &(0..1_000).map(annotation).collect::<Vec<_>>())
}

/// Reaches for a process that may be somebody else's: `other-id <id>`.
fn other_id(rest: &str) -> Result<(), Error> {
    let id = rest.split([' ', '"']).nth(1).unwrap_or_default();
    for reach in [processes::remove(id), processes::signal(id, "SIGKILL"), processes::stop(id, None, 0)] {
        match reach {
            Err(Error::NotFound(_)) => {}
            Ok(()) | Err(_) => return Err(Error::Other(format!("reached {id}: {reach:?}"))),
        }
    }
    processes::inspect(id).map(|_| ())
}
