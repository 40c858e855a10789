//! "Nothing special", for records with many fields.

use crate::host::Limits;

/// No limit of any kind.
impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_mhz: 0,
            cpu_hard_millicores: 0,
            cpu_cores: Vec::new(),
            memory_mib: 0,
            memory_reservation_mib: 0,
            pids: 0,
        }
    }
}
