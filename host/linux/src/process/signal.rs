//! Names of signals.

use longshore_core::error::{HostError, Result};
use rustix::process::Signal;

const NAMES: [(&str, Signal); 31] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("BUS", Signal::BUS),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("IO", Signal::IO),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("PROF", Signal::PROF),
    ("PWR", Signal::POWER),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("STKFLT", Signal::STKFLT),
    ("STOP", Signal::STOP),
    ("SYS", Signal::SYS),
    ("TERM", Signal::TERM),
    ("TRAP", Signal::TRAP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("VTALRM", Signal::VTALARM),
    ("WINCH", Signal::WINCH),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
];

/// The signal of a name, with or without `SIG`, in any case.
pub(super) fn by_name(name: &str) -> Result<Signal> {
    let upper = name.trim().to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let found = NAMES.iter().find(|(known, _)| *known == short).map(|(_, signal)| *signal);
    found.ok_or_else(|| HostError::Invalid(format!("{name:?} is no signal; write it as in SIGTERM, SIGINT or SIGHUP")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_prefix() {
        for name in ["SIGTERM", "TERM", "sigterm", " term "] {
            assert_eq!(by_name(name).unwrap(), Signal::TERM, "{name}");
        }
        for name in ["", "SIG", "15", "SIGSIGTERM", "TERMINATE"] {
            assert!(by_name(name).is_err(), "{name}");
        }
    }
}
