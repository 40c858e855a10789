//! One driver operation on a fresh instance, and one load with a warm compile cache, over backends in memory.
//!
//! `cargo xtask bench` runs it as `operation DRIVER.wasm CALLS` and reads the two medians, nanoseconds, beside those of
//! its peer. The driver must need no grant but `processes`, as `raw_exec` does.

use std::{env, error::Error, path::Path, sync::Arc, time::Instant};

use longshore_core::{
    driver::{Driver, Task},
    grant::Grant,
};
use longshore_fake::Fake;
use longshore_linux::code::CodeDirectory;
use longshore_wasm::{
    engine::{Engine, EngineConfig},
    loader::{DriverConfig, Source},
    registry::Registry,
};
use serde_json::json;

/// The program's.
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const LOADS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench` to what it is told to pass on.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [driver, calls] = &arguments[..] else { return Err("usage: operation DRIVER.wasm CALLS".into()) };
    let cache = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Spawned, so that calls are made where the agent makes them: on a worker.
    // Within, because the cache makes its directory itself, readable by nobody else.
    let (driver, calls, cache_dir) = (driver.clone(), calls.parse()?, cache.path().join("compiled"));
    let [operation, load] = runtime
        .block_on(
            async move { tokio::spawn(async move { measure(Path::new(&driver), calls, &cache_dir).await }).await? },
        )
        .map_err(|error| error.to_string())?;
    println!("{operation} {load}");
    Ok(())
}

async fn measure(driver: &Path, calls: usize, cache: &Path) -> Result<[u128; 2], Box<dyn Error + Send + Sync>> {
    let mut loads = Vec::new();
    let registry = fresh(cache)?;
    let config = DriverConfig {
        grants: [Grant::Processes].into_iter().collect(),
        ..DriverConfig::new(Source::File(driver.into()))
    };
    let loaded = registry.add(config.clone()).await?;
    let mut others = Vec::with_capacity(LOADS);
    for _ in 0..LOADS {
        let other = fresh(cache)?;
        let begun = Instant::now();
        other.add(config.clone()).await?;
        loads.push(begun.elapsed().as_nanos());
        // What is taken down would take its time from the next.
        others.push(other);
    }
    // Each has a thread that wakes all the time, and an agent has but one of them.
    drop(others);
    let task = task()?;
    let started = loaded.start(&task).await?;
    let mut operations = Vec::with_capacity(calls);
    for _ in 0..calls + calls / 10 {
        let begun = Instant::now();
        let recovered = loaded.recover(&task, &started.handle).await?;
        operations.push(begun.elapsed().as_nanos());
        if recovered.watch != started.watch {
            return Err("the driver found another task".into());
        }
    }
    // The first calls warm everything up.
    Ok([median(operations.split_off(calls / 10)), median(loads)])
}

fn fresh(cache: &Path) -> Result<Registry, Box<dyn Error + Send + Sync>> {
    let code = CodeDirectory::open(cache)?;
    let engine = Engine::new(EngineConfig { code: Some(Arc::new(code)), ..EngineConfig::default() })?;
    Ok(Registry::new(engine, Fake::new().backends()))
}

/// As much as the peer's message carries: twenty variables, a config, a handle.
fn task() -> Result<Task, serde_json::Error> {
    let env: serde_json::Map<_, _> =
        (0..20).map(|n| (format!("NOMAD_VARIABLE_{n}"), json!(format!("the value of variable {n}")))).collect();
    serde_json::from_value(json!({
        "id": {"alloc": "2f1cbd4e-9d6b-4cf4-8a2e-0c5f4f2f7a10", "task": "web"},
        "origin": {"job_id": "bench"},
        "config": {"command": "/bin/busybox", "args": ["httpd", "-f", "-p", "20000"]},
        "env": env,
        "resources": {"cpu_mhz": 100, "cpu_cores": [], "node_cpu_mhz": 4000, "memory_mib": 64, "memory_max_mib": 0},
        "ports": [],
        "network": {"mode": "host"},
        "dirs": {"task": "/a/task", "alloc": "/a/alloc", "local": "/a/task/local", "secrets": "/a/task/secrets", "logs": "/a/alloc/logs"},
        "mounts": [],
        "devices": [],
        "logs": {"max_files": 10, "max_file_bytes": 1 << 20, "disabled": true},
    }))
}

fn median(mut times: Vec<u128>) -> u128 {
    times.sort_unstable();
    times[times.len() / 2]
}
