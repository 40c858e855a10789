//! A host in memory, the hostile driver, and components made of a few lines of WIT.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use longshore_core::{
    caller::{AllocId, TaskDirs, TaskId},
    driver::{DriverError, Resources, Task, TaskNetwork},
    grant::{Grant, Grants},
    port::{Port, Protocol},
};
use longshore_fake::{Fake, Said};
use longshore_wasm::{
    driver::LoadedDriver,
    engine::{Engine, EngineConfig},
    limits::OperationLimits,
    loader::{DriverConfig, LoadError, Source},
    registry::Registry,
};
use serde_json::json;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, UnresolvedPackageGroup};

/// What the hostile driver imports that needs a grant.
pub fn its_grants() -> Grants {
    [Grant::Containers, Grant::Processes, Grant::Ports, Grant::State].into_iter().collect()
}

/// The hostile driver, built once.
pub fn hostile() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hostile");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
        xtask::component::build(&driver, &target).unwrap()
    })
}

/// A component of the world `made` of some WIT that may use the contract; its every function traps.
pub fn made(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/driver")).unwrap();
    let group = UnresolvedPackageGroup::parse("made.wit", wit).map_err(|(_, error)| error).unwrap();
    let package = resolve.push_group(group).unwrap();
    let world = resolve.select_world(&[package], Some("made")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// An engine without a cache, shared by all tests that need no other.
pub fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(EngineConfig::default()).unwrap()).clone()
}

/// A source of bytes, which stay for the rest of the test run.
pub fn source(bytes: &[u8]) -> Source {
    Source::Embedded { name: "test", bytes: bytes.to_vec().leak(), digest: None }
}

/// The hostile driver's configuration, with limits that end soon.
pub fn config() -> DriverConfig {
    let limits = OperationLimits { guest_ms: 300, operation_ms: 1_000, start_ms: 2_000, ..Default::default() };
    DriverConfig { grants: its_grants(), limits, ..DriverConfig::new(source(hostile())) }
}

/// A host in memory with the hostile driver on it.
pub struct Host {
    pub fake: Fake,
    pub registry: Registry,
    pub driver: Arc<LoadedDriver>,
}

impl Host {
    pub async fn new() -> Self {
        Self::with(config()).await.unwrap()
    }

    pub async fn with(config: DriverConfig) -> Result<Self, LoadError> {
        let fake = Fake::new();
        let registry = Registry::new(engine(), fake.backends());
        let driver = registry.add(config).await?;
        Ok(Self { fake, registry, driver })
    }

    /// The driver's log lines.
    pub fn lines(&self) -> Vec<String> {
        let line = |said| match said {
            Said::Line { message, .. } => Some(message),
            Said::Event { .. } => None,
        };
        self.fake.said().into_iter().filter_map(line).collect()
    }
}

/// A task that tells the hostile driver what to do.
pub fn task(name: &str, does: &str) -> Task {
    let dir = |part: &str| PathBuf::from(format!("/nowhere/{name}/{part}"));
    Task {
        id: TaskId { alloc: AllocId(format!("alloc-of-{name}")), task: name.into() },
        origin: BTreeMap::from([("job_id".into(), "test".into())]),
        config: json!({ "do": does }),
        env: BTreeMap::new(),
        user: None,
        resources: Resources::default(),
        ports: vec![Port {
            label: "http".into(),
            host_ip: "127.0.0.1".into(),
            host_port: 20_001,
            task_port: 80,
            protocol: Protocol::Both,
            is_named: false,
        }],
        network: TaskNetwork { mode: "host".into(), namespace_path: None, holder_container: None, hostname: None },
        dns: None,
        dirs: TaskDirs {
            task: dir(""),
            alloc: dir("alloc"),
            local: dir("local"),
            secrets: dir("secrets"),
            logs: dir("alloc/logs"),
        },
        mounts: Vec::new(),
        devices: Vec::new(),
        logs: Default::default(),
    }
}

/// The one-line cause of a crash.
pub fn cause(error: &DriverError) -> &str {
    match error {
        DriverError::Trapped { cause, .. } => cause,
        other => panic!("not a crash: {other}"),
    }
}
