//! What can be loaded, and what every other file is told.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use longshore_core::{
    code::CodeStore,
    driver::{Driver, Drivers, Health},
    grant::{Grant, Grants},
};
use longshore_fake::Fake;
use longshore_wasm::{
    engine::{self, EngineConfig},
    inspect::inspect,
    loader::{DriverConfig, LoadError, Problem, Source},
    registry::Registry,
};
use serde_json::json;
use wasmtime::{Engine, component::Component};

use crate::support::{self, Host, config, hostile, its_grants, made, source, task};

async fn refusal(config: DriverConfig) -> String {
    Host::with(config).await.err().expect("it must not load").to_string()
}

/// A component with every grant of an interface.
fn granted(bytes: &[u8]) -> DriverConfig {
    DriverConfig { grants: Grant::all_interfaces().collect(), ..DriverConfig::new(source(bytes)) }
}

#[tokio::test]
async fn an_honest_driver_loads_and_describes_itself() {
    let host = Host::new().await;
    let info = host.driver.info();
    assert_eq!(info.description.name, "hostile");
    assert_eq!(info.config_schema, json!({ "type": "object" }));
    assert_eq!(info.origin, "embedded");
    assert_eq!(info.grants, its_grants());
    assert_eq!(info.digest.len(), 64);
}

#[tokio::test]
async fn optional_interfaces_are_read_from_the_component() {
    let host = Host::new().await;
    let has = host.driver.info().capabilities;
    assert!(has.signals && has.poll);
    assert!(!has.exec && !has.stats && !has.network);
    let told = host.driver.sample(&task("t", ""), b"").await.unwrap_err().to_string();
    assert!(told.contains("does not export `stats`"), "{told}");
}

#[tokio::test]
async fn files_that_are_no_drivers_are_told_what_they_are() {
    let truncated = &hostile()[..hostile().len() / 2];
    let nothing_of_ours = made("package made:made; world made { export run: func(); }");
    let half = made("package made:made; world made { export longshore:driver/about@0.1.0; }");
    let escape = made(
        "package made:made;
         world made { include longshore:driver/driver@0.1.0; import evil:escape/hatch; }
         package evil:escape { interface hatch { open: func(); } }",
    );
    let later = made(
        "package made:made;
         world made { export longshore:driver/about@0.2.0; }
         package longshore:driver@0.2.0 { interface about { describe: func() -> string; } }",
    );
    let table: [(&[u8], &[&str]); 9] = [
        (b"", &["is empty"]),
        (b"#!/bin/sh\n", &["is not a WebAssembly component", "begins with 23 21"]),
        (b"(component)", &["WebAssembly text", "wasm-tools parse"]),
        (b"\0asm\x01\0\0\0", &["core WebAssembly module", "wasm-tools component new"]),
        (truncated, &["not a valid component", "cut short"]),
        (&nothing_of_ours, &["`longshore:driver/about@0.1.0` and `longshore:driver/lifecycle@0.1.0`", "world"]),
        (&half, &["does not export `longshore:driver/lifecycle@0.1.0`"]),
        (&escape, &["evil:escape/hatch", "does not offer"]),
        (&later, &["longshore:driver/about@0.2.0", "rebuild"]),
    ];
    for (bytes, expected) in table {
        let told = refusal(granted(bytes)).await;
        for text in expected {
            assert!(told.contains(text), "{text:?} is not in: {told}");
        }
        assert!(!told.contains('\n'), "more than a line: {told}");
    }
}

#[tokio::test]
async fn a_missing_file_is_told_with_its_path() {
    let told = refusal(DriverConfig::new(Source::File("/nowhere/driver.wasm".into()))).await;
    assert!(told.starts_with("/nowhere/driver.wasm: cannot be read:"), "{told}");
    let told = refusal(DriverConfig::new(Source::File(env!("CARGO_MANIFEST_DIR").into()))).await;
    assert!(told.contains("it is not a file"), "{told}");
}

#[tokio::test]
async fn each_ungranted_import_is_told_with_its_remedy() {
    let told = refusal(DriverConfig { grants: Grants::default(), ..config() }).await;
    for grant in ["processes", "ports", "state"] {
        assert!(told.contains(&format!("add \"{grant}\" to `grants`")), "{grant} is not in: {told}");
    }
}

#[tokio::test]
async fn a_later_host_contract_is_refused_by_name() {
    let later = made(
        "package made:made;
         world made { include longshore:driver/driver@0.1.0; import longshore:host/log@0.2.0; }
         package longshore:host@0.2.0 { interface log { write: func(text: string); } }",
    );
    let told = refusal(granted(&later)).await;
    assert!(told.contains("longshore:host/log@0.2.0"), "{told}");
    assert!(told.contains("this host offers longshore:host@0.1.0"), "{told}");
}

#[tokio::test]
async fn types_that_do_not_fit_are_found_before_anything_runs() {
    let twisted = made(
        "package made:made;
         world made { export longshore:driver/about@0.1.0; export longshore:driver/lifecycle@0.1.7; }
         package longshore:driver@0.1.7 { interface lifecycle { start: func(task: string); } }",
    );
    let told = refusal(granted(&twisted)).await;
    assert!(told.contains("does not fit the contract 0.1.0"), "{told}");
}

#[tokio::test]
async fn a_driver_that_cannot_describe_itself_is_refused() {
    let table = [
        (json!({ "do": "describe:trap" }), "cannot describe itself: "),
        (json!({ "do": "describe:trap" }), "about.describe: the driver crashed: it panicked"),
        (json!({ "do": "describe:loop" }), "its own code ran longer than 300 ms"),
        (json!({ "do": "describe:error" }), "the driver crashed"),
        (json!({ "do": "describe:shout" }), "calls itself \"HOSTILE!\""),
        (json!({ "do": "schema:text" }), "config-schema is not a JSON Schema"),
        (json!({ "level": "high" }), "do not fit: level: "),
        (json!("level"), "they are not an object"),
    ];
    for (settings, expected) in table {
        let told = refusal(DriverConfig { settings, ..config() }).await;
        assert!(told.contains(expected), "{expected:?} is not in: {told}");
    }
}

#[tokio::test]
async fn a_name_is_taken_once_and_must_be_the_configured_one() {
    let host = Host::new().await;
    let again = host.registry.add(config()).await.err().unwrap();
    assert!(matches!(again.problem, Problem::Duplicate { .. }), "{again}");
    let told = refusal(DriverConfig { name: Some("friendly".into()), ..config() }).await;
    assert!(told.contains("calls itself \"hostile\", but is configured as driver \"friendly\""), "{told}");
}

/// Keeps the first code it is given, in memory.
#[derive(Default)]
struct Kept {
    key: OnceLock<String>,
    code: OnceLock<Component>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("key", &self.key).finish_non_exhaustive()
    }
}

impl CodeStore<Engine, Component> for Kept {
    fn load(&self, engine: &Engine, key: &str) -> Option<Component> {
        // Reading code back is what only host/linux may do: here it is made anew, once.
        let code = || self.code.get_or_init(|| Component::new(engine, hostile()).unwrap()).clone();
        (self.key.get()? == key).then(code)
    }

    fn keep(&self, key: &str, _code: &[u8]) -> io::Result<()> {
        self.key.set(key.into()).map_err(io::Error::other)
    }
}

/// What is slow to compile keeps its name against what is in the cache already.
#[tokio::test]
async fn of_two_with_one_name_the_first_of_the_list_has_it() {
    let engine =
        engine::Engine::new(EngineConfig { code: Some(Arc::<Kept>::default()), ..Default::default() }).unwrap();
    let registry = || Registry::new(engine.clone(), Fake::new().backends());
    registry().add(config()).await.unwrap();
    assert_eq!(engine.compiled(), 1);
    registry().add(config()).await.unwrap();
    assert_eq!(engine.compiled(), 1, "it is kept");
    // The same with a section for nobody: another component, which is not kept.
    let slow = [hostile(), &[0, 5, 4, b's', b'l', b'o', b'w']].concat();
    let configs = vec![DriverConfig { source: source(&slow), ..config() }, config()];
    let loaded = registry().add_all(configs).await;
    assert!(loaded[0].is_ok());
    assert!(matches!(&loaded[1], Err(LoadError { problem: Problem::Duplicate { .. }, .. })));
}

#[tokio::test]
async fn a_driver_that_fails_to_load_disturbs_no_other() {
    let configs = vec![DriverConfig::new(source(b"nonsense")), config()];
    let (registry, failed) = Registry::load(support::engine(), Fake::new().backends(), configs).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(registry.all().len(), 1);
    let unknown = registry.get("podman").err().unwrap().to_string();
    assert_eq!(unknown, "no driver \"podman\" is loaded; loaded: hostile");
}

#[tokio::test]
async fn a_fingerprint_keeps_to_the_drivers_own_attributes() {
    let host = Host::new().await;
    let fingerprint = host.driver.fingerprint().await;
    assert_eq!(fingerprint.health, Health::Healthy);
    let keys: Vec<_> = fingerprint.attributes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["driver.hostile", "driver.hostile.level"]);
    assert_eq!(host.lines().len(), 3, "one warning for each dropped attribute");
}

#[tokio::test]
async fn a_fingerprint_that_crashes_is_unhealthy() {
    let host = Host::with(DriverConfig { settings: json!({ "do": "fingerprint:trap" }), ..config() }).await.unwrap();
    match host.driver.fingerprint().await.health {
        Health::Unhealthy(why) => assert!(why.contains("it panicked or aborted"), "{why}"),
        health => panic!("{health:?}"),
    }
}

#[tokio::test]
async fn inspection_needs_no_grant_and_names_them_all() {
    let backends = Fake::new().backends();
    let seen = inspect(&support::engine(), &backends, &source(hostile()), &Grants::default()).await.unwrap();
    assert_eq!(seen.description.unwrap().name, "hostile");
    assert_eq!(seen.size_bytes, hostile().len() as u64);
    let mut needed: Vec<_> = seen.imports.iter().filter_map(|import| import.grant.as_deref()).collect();
    needed.sort_unstable();
    assert_eq!(needed, ["containers", "ports", "processes", "state"]);
    assert_eq!(seen.problems.len(), 4);
    let granted = inspect(&support::engine(), &backends, &source(hostile()), &its_grants()).await.unwrap();
    assert_eq!(granted.problems, Vec::<String>::new());
    assert!(granted.imports.iter().all(|import| import.allowed));
}

#[tokio::test]
async fn a_function_of_another_type_is_found_before_it_is_called() {
    let lifecycle = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/driver/lifecycle.wit"));
    let twisted = lifecycle
        .unwrap()
        .replace("package longshore:driver@0.1.0;", "")
        .replace("use types.", "use longshore:driver/types@0.1.0.")
        .replace("since(version = 0.1.0)", "since(version = 0.1.7)")
        .replace("handle: list<u8>, request: stop-request", "handle: list<u16>, request: stop-request");
    let component = made(&format!(
        "package made:made;
         world made {{ export longshore:driver/about@0.1.0; export longshore:driver/lifecycle@0.1.7; }}
         package longshore:driver@0.1.7 {{ {twisted} }}",
    ));
    let told = refusal(granted(&component)).await;
    assert!(told.contains("does not fit the contract 0.1.0"), "{told}");
}
