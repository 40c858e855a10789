//! A task to test a driver with.

use crate::{Directories, Resources, Task, TaskNetwork, TaskRef, env};

/// Task `web` of allocation `a1`, in host mode, with its directories below `/a`.
pub fn task(config: &str) -> Task {
    Task {
        identity: TaskRef { id: "a1/web".into(), name: "web".into(), alloc_id: "a1".into() },
        origin: vec![],
        config: config.into(),
        env: env::list([("NOMAD_TASK_DIR", "/a/web/local"), ("KEY", "value")]),
        user: None,
        resources: Resources {
            cpu_mhz: 500,
            cpu_cores: vec![],
            node_cpu_mhz: 4000,
            memory_mib: 256,
            memory_max_mib: 0,
        },
        ports: vec![],
        network: TaskNetwork { mode: "host".into(), namespace_path: None, holder_container: None, hostname: None },
        dns: None,
        directories: Directories {
            task: "/a/web".into(),
            alloc: "/a/alloc".into(),
            local: "/a/web/local".into(),
            secrets: "/a/web/secrets".into(),
        },
        mounts: vec![],
        devices: vec![],
    }
}
