//! The contract's vocabulary and core's, one into the other, where both directions share a type.
//!
//! What only one interface needs is converted in that interface's file under [`crate::imports`]; what only a
//! driver's exports need, in [`crate::exports`].

use std::collections::BTreeMap;

use longshore_core::{
    error::HostError,
    exec, port,
    workload::{self, ExitStatus, RunState, Usage},
};

use crate::{
    bindings::longshore::host::types,
    limits::{ENTRIES, ENTRY_BYTES, TEXT_BYTES, cut},
};

impl From<HostError> for types::Error {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Denied(text) => Self::Denied(text),
            HostError::Limit(text) => Self::Limit(text),
            HostError::NotFound(text) => Self::NotFound(text),
            HostError::Conflict(text) => Self::Conflict(text),
            HostError::Invalid(text) => Self::Invalid(text),
            HostError::Unavailable(text) => Self::Unavailable(text),
            HostError::Timeout(text) => Self::Timeout(text),
            HostError::Other(text) => Self::Other(text),
        }
    }
}

impl From<types::Error> for HostError {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(text) => Self::Denied(told(text)),
            types::Error::Limit(text) => Self::Limit(told(text)),
            types::Error::NotFound(text) => Self::NotFound(told(text)),
            types::Error::Conflict(text) => Self::Conflict(told(text)),
            types::Error::Invalid(text) => Self::Invalid(told(text)),
            types::Error::Unavailable(text) => Self::Unavailable(told(text)),
            types::Error::Timeout(text) => Self::Timeout(told(text)),
            types::Error::Other(text) => Self::Other(told(text)),
        }
    }
}

/// A map as the contract writes it.
pub(crate) fn key_values<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<types::KeyValue> {
    let entry = |(key, value): (&String, &String)| types::KeyValue { key: key.clone(), value: value.clone() };
    entries.into_iter().map(entry).collect()
}

/// The contract's map as pairs, in order.
pub(crate) fn pairs(entries: Vec<types::KeyValue>) -> Vec<(String, String)> {
    entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

/// The contract's map; of entries with the same key the last stays.
pub(crate) fn map(entries: Vec<types::KeyValue>) -> BTreeMap<String, String> {
    pairs(entries).into_iter().collect()
}

/// A text for people, cut to size: it is kept in memory and in the journal.
pub(crate) fn told(text: String) -> String {
    kept(text, TEXT_BYTES)
}

/// A map for people, cut to size; the entries beyond it are dropped.
pub(crate) fn told_map(entries: Vec<types::KeyValue>) -> BTreeMap<String, String> {
    let kept = |entry: types::KeyValue| (kept(entry.key, ENTRY_BYTES), kept(entry.value, ENTRY_BYTES));
    entries.into_iter().take(ENTRIES).map(kept).collect()
}

fn kept(text: String, max: usize) -> String {
    if text.len() > max { cut(&text, max).to_owned() } else { text }
}

impl From<ExitStatus> for types::ExitStatus {
    fn from(status: ExitStatus) -> Self {
        let ExitStatus { exit_code, signal, oom_killed, message } = status;
        Self { exit_code, signal, oom_killed, message }
    }
}

impl From<types::ExitStatus> for ExitStatus {
    fn from(status: types::ExitStatus) -> Self {
        let types::ExitStatus { exit_code, signal, oom_killed, message } = status;
        Self { exit_code, signal, oom_killed, message: message.map(told) }
    }
}

impl From<RunState> for types::RunState {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Created => Self::Created,
            RunState::Running => Self::Running,
            RunState::Exited(status) => Self::Exited(status.into()),
            RunState::Other(word) => Self::Other(word),
        }
    }
}

impl From<types::RunState> for RunState {
    fn from(state: types::RunState) -> Self {
        match state {
            types::RunState::Created => Self::Created,
            types::RunState::Running => Self::Running,
            types::RunState::Exited(status) => Self::Exited(status.into()),
            types::RunState::Other(word) => Self::Other(told(word)),
        }
    }
}

impl From<port::Protocol> for types::Protocol {
    fn from(protocol: port::Protocol) -> Self {
        match protocol {
            port::Protocol::Tcp => Self::Tcp,
            port::Protocol::Udp => Self::Udp,
            port::Protocol::Both => Self::Both,
        }
    }
}

impl TryFrom<types::Protocol> for port::Protocol {
    type Error = HostError;

    fn try_from(protocol: types::Protocol) -> Result<Self, HostError> {
        match protocol {
            types::Protocol::Tcp => Ok(Self::Tcp),
            types::Protocol::Udp => Ok(Self::Udp),
            types::Protocol::Both => Ok(Self::Both),
            types::Protocol::Other(name) => {
                Err(HostError::Invalid(format!("protocol {name:?} is not one of tcp, udp and both")))
            }
        }
    }
}

impl From<&port::Port> for types::Port {
    fn from(port: &port::Port) -> Self {
        Self {
            label: port.label.clone(),
            host_ip: port.host_ip.clone(),
            host_port: port.host_port,
            task_port: port.task_port,
            protocol: port.protocol.clone().into(),
        }
    }
}

impl From<types::Limits> for workload::Limits {
    fn from(limits: types::Limits) -> Self {
        let types::Limits { cpu_mhz, cpu_hard_millicores, cpu_cores, memory_mib, memory_reservation_mib, pids } =
            limits;
        Self { cpu_mhz, cpu_hard_millicores, cpu_cores, memory_mib, memory_reservation_mib, pids }
    }
}

impl From<types::Mount> for workload::Mount {
    fn from(mount: types::Mount) -> Self {
        let kind = match mount.kind {
            types::MountKind::Bind => workload::MountKind::Bind,
            types::MountKind::Volume => workload::MountKind::Volume,
            types::MountKind::Tmpfs => workload::MountKind::Tmpfs,
            types::MountKind::Other(name) => workload::MountKind::Other(name),
        };
        let types::Mount { source, target, read_only, propagation, .. } = mount;
        Self { source, target, kind, read_only, propagation }
    }
}

impl From<&workload::Mount> for types::Mount {
    fn from(mount: &workload::Mount) -> Self {
        let workload::Mount { source, target, kind, read_only, propagation } = mount.clone();
        let kind = match kind {
            workload::MountKind::Bind => types::MountKind::Bind,
            workload::MountKind::Volume => types::MountKind::Volume,
            workload::MountKind::Tmpfs => types::MountKind::Tmpfs,
            workload::MountKind::Other(name) => types::MountKind::Other(name),
        };
        Self { source, target, kind, read_only, propagation }
    }
}

impl From<Usage> for types::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            cpu_ms: usage.cpu_ms,
            cpu_percent: usage.cpu_percent,
            memory_bytes: usage.memory_bytes,
            memory_cache_bytes: usage.memory_cache_bytes,
            memory_max_bytes: usage.memory_max_bytes,
            pids: usage.pids,
            extra: key_values(&usage.extra),
        }
    }
}

impl From<types::Usage> for Usage {
    fn from(usage: types::Usage) -> Self {
        Self {
            cpu_ms: usage.cpu_ms,
            cpu_percent: usage.cpu_percent,
            memory_bytes: usage.memory_bytes,
            memory_cache_bytes: usage.memory_cache_bytes,
            memory_max_bytes: usage.memory_max_bytes,
            pids: usage.pids,
            extra: told_map(usage.extra),
        }
    }
}

impl From<types::ExecRequest> for exec::ExecRequest {
    fn from(request: types::ExecRequest) -> Self {
        let types::ExecRequest { command, env, tty, user, working_dir } = request;
        Self { command, env: pairs(env), tty, user, working_dir }
    }
}

impl From<&exec::ExecRequest> for types::ExecRequest {
    fn from(request: &exec::ExecRequest) -> Self {
        let exec::ExecRequest { command, env, tty, user, working_dir } = request.clone();
        let env = env.into_iter().map(|(key, value)| types::KeyValue { key, value }).collect();
        Self { command, env, tty, user, working_dir }
    }
}
