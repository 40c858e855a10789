//! Drivers from files and directories.

use std::{fs, time::Duration};

use longshore_core::driver::Driver;
use longshore_fake::Fake;
use longshore_wasm::{
    engine::{Engine, EngineConfig},
    loader::{DriverConfig, Problem, Source},
    registry::Registry,
};

use crate::support::{Host, config, hostile};

#[test]
fn a_directory_gives_its_components_in_order() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["b.wasm", "a.wasm", "notes.txt"] {
        fs::write(scratch.path().join(name), b"").unwrap();
    }
    let found: Vec<_> = Source::directory(scratch.path()).unwrap().iter().map(Source::origin).collect();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    assert_eq!(found, [path("a.wasm"), path("b.wasm")]);
    assert!(Source::directory(&scratch.path().join("none")).unwrap().is_empty());
    assert!(Source::directory(&scratch.path().join("notes.txt")).is_err());
}

#[tokio::test]
async fn a_driver_loads_from_a_file() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("driver.wasm");
    fs::write(&file, hostile()).unwrap();
    let host = Host::with(DriverConfig { source: Source::File(file.clone()), ..config() }).await.unwrap();
    assert_eq!(host.driver.info().origin, file.display().to_string());
}

#[tokio::test]
async fn a_component_over_the_size_limit_is_not_compiled() {
    let small = Engine::new(EngineConfig { max_component_bytes: 1_000, ..Default::default() }).unwrap();
    let refused = Registry::new(small, Fake::new().backends()).add(config()).await.err().unwrap();
    assert!(matches!(refused.problem, Problem::TooLarge { limit: 1_000, .. }), "{refused}");
}

#[tokio::test]
async fn a_compilation_without_end_is_given_up() {
    let hurried = EngineConfig { compile_timeout: Duration::ZERO, ..Default::default() };
    let registry = Registry::new(Engine::new(hurried).unwrap(), Fake::new().backends());
    let refused = registry.add(config()).await.err().unwrap().to_string();
    assert!(refused.contains("compiling it took longer than"), "{refused}");
}
