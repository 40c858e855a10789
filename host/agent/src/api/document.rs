//! The JSON documents of the API: Go field names, integer nanoseconds, nothing a client dereferences left null.
//!
//! Each is made from a value of [`crate::status`] and can be read back, which is what the program's own
//! commands do. Fields that a single machine has no use for are there with the value that says so.

mod allocation;
mod evaluation;
mod job;
mod network;
mod node;
mod search;
mod usage;

use std::time::SystemTime;

pub use allocation::{
    AllocStub, AllocatedPort, AllocatedResources, AllocatedTask, Allocation, NetworkStatus, Resources, TaskEvent,
    TaskState,
};
pub use evaluation::{Acknowledged, Evaluation};
pub use job::{
    Annotations, DesiredUpdates, GroupSummary, JobStub, JobSummary, ParseRequest, PlanRequest, PlanResponse,
    RegisterRequest, Submission, ValidateResponse, Validation, Versions,
};
pub use network::{AllocNetwork, BridgeLink, HostPortDocument, MappedPort, Namespace, TaskListener};
pub use node::{DriverDocument, DriverHealth, Node, NodeStub};
pub use search::{SearchRequest, SearchResponse};
pub use usage::{AllocUsage, CpuStats, HostCpu, HostMemory, HostUsage, MemoryStats, ResourceUsage, TaskUsage};

/// Go's zero time, which stands for "not yet".
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Unix nanoseconds, 0 before 1970.
fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// RFC 3339 with nanoseconds, Go's zero time for none.
pub(super) fn rfc3339(time: Option<SystemTime>) -> String {
    match time {
        Some(time) => humantime::format_rfc3339_nanos(time.max(SystemTime::UNIX_EPOCH)).to_string(),
        None => ZERO_TIME.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5);
        assert_eq!(nanoseconds(time), 1_700_000_000_000_000_005);
        assert_eq!(rfc3339(Some(time)), "2023-11-14T22:13:20.000000005Z");
        assert_eq!(rfc3339(None), "0001-01-01T00:00:00Z");
        assert_eq!(nanoseconds(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
    }
}
