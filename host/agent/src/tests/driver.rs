//! A driver in native code: containers of the fake engine, and faults on command.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use longshore_core::{
    backends::Backends,
    caller::{Caller, DriverName, TaskScope},
    container::{ContainerNetwork, ContainerSpec, Containers},
    driver::{
        Capabilities, CreatedNetwork, Description, Driver, DriverError, DriverInfo, Drivers, Fingerprint, Health,
        NetworkRequest, Observation, StartError, Started, StopRequest, Task, TaskStatus, Watch,
    },
    error::HostError,
    exec::{ExecRequest, ExecSession},
    grant::Grants,
    network::Holder,
    workload::{Limits, RunState, Usage},
};
use serde_json::json;

/// What an operation does instead of its work.
#[derive(Clone)]
pub(super) enum Fault {
    Trap,
    TimeOut,
    Refuse(HostError),
}

/// The driver, and the set that holds only it.
pub(super) struct TestDriver {
    info: Arc<DriverInfo>,
    containers: Arc<dyn Containers>,
    faults: Mutex<Vec<(&'static str, usize, Fault)>>,
    health: Mutex<Health>,
}

pub(super) const NAME: &str = "docker";

impl TestDriver {
    /// `network`: whether it makes namespaces itself.
    pub(super) fn new(backends: &Backends, network: bool) -> Arc<Self> {
        let capabilities = Capabilities { signals: true, exec: true, network, ..Capabilities::default() };
        let description = Description {
            name: NAME.into(),
            version: "0.1.0".into(),
            summary: "for tests".into(),
            filesystem: "image".into(),
            network_modes: vec!["host".into(), "bridge".into()],
            attributes: BTreeMap::new(),
        };
        let config_schema = json!({
            "type": "object",
            "properties": { "image": { "type": "string" }, "port": { "type": "integer" } },
            "required": ["image"],
            "additionalProperties": false,
        });
        Arc::new(Self {
            info: Arc::new(DriverInfo {
                description,
                config_schema,
                settings_schema: json!({}),
                capabilities,
                digest: String::new(),
                origin: "test".into(),
                grants: Grants::default(),
            }),
            containers: backends.containers.clone().unwrap(),
            faults: Mutex::default(),
            health: Mutex::new(Health::Healthy),
        })
    }

    /// The next `times` calls of an operation go wrong.
    pub(super) fn break_next(&self, operation: &'static str, times: usize, fault: Fault) {
        self.faults.lock().unwrap().push((operation, times, fault));
    }

    /// Nothing goes wrong any more.
    pub(super) fn mend(&self) {
        self.faults.lock().unwrap().clear();
        self.set_health(Health::Healthy);
    }

    pub(super) fn set_health(&self, health: Health) {
        *self.health.lock().unwrap() = health;
    }

    fn fault(&self, operation: &'static str) -> Result<(), DriverError> {
        let mut faults = self.faults.lock().unwrap();
        let Some(place) = faults.iter().position(|(name, times, _)| *name == operation && *times > 0) else {
            return Ok(());
        };
        faults[place].1 -= 1;
        let (driver, operation) = (NAME.to_owned(), operation.to_owned());
        Err(match faults[place].2.clone() {
            Fault::Trap => DriverError::Trapped {
                driver,
                operation,
                cause: "wasm trap: unreachable".into(),
                backtrace: String::new(),
            },
            Fault::TimeOut => DriverError::TimedOut { driver, operation, limit_ms: 1000 },
            Fault::Refuse(reason) => DriverError::Refused { driver, operation, reason },
        })
    }

    fn caller(task: &Task) -> Caller {
        Caller {
            driver: DriverName(NAME.into()),
            task: Some(TaskScope {
                id: task.id.clone(),
                dirs: task.dirs.clone(),
                ports: task.ports.clone(),
                logs: task.logs.clone(),
                network_namespace: None,
            }),
        }
    }

    async fn create(&self, task: &Task) -> Result<Started, HostError> {
        let name = format!("{}-{}", task.id.task, task.id.alloc);
        let image = task.config["image"].as_str().unwrap_or_default();
        Ok(started(&self.run(&Self::caller(task), name, image).await?))
    }

    async fn run(&self, caller: &Caller, name: String, image: &str) -> Result<String, HostError> {
        let spec = ContainerSpec {
            name,
            image: image.into(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            env: Vec::new(),
            working_dir: None,
            user: None,
            hostname: None,
            labels: Vec::new(),
            mounts: Vec::new(),
            network: ContainerNetwork::Host,
            ports: Vec::new(),
            limits: Limits::default(),
            engine_options: None,
        };
        let id = self.containers.create(caller, &spec).await?;
        self.containers.start(caller, &id).await?;
        Ok(id)
    }

    async fn remove_all(&self, caller: &Caller) -> Result<(), HostError> {
        for found in self.containers.list(caller).await? {
            if found.state == RunState::Running {
                self.containers.stop(caller, &found.id, None, 0).await?;
            }
            self.containers.remove(caller, &found.id).await?;
        }
        Ok(())
    }
}

fn started(id: &str) -> Started {
    Started { handle: id.as_bytes().to_vec(), watch: Watch::Container(id.to_owned()), network: None }
}

fn id(handle: &[u8]) -> String {
    String::from_utf8(handle.to_vec()).unwrap()
}

/// A signal that every job may name and this driver does not know.
pub(super) const UNKNOWN_SIGNAL: &str = "SIGRTMIN+9";

fn refused(operation: &str) -> impl Fn(HostError) -> DriverError {
    let operation = operation.to_owned();
    move |reason| DriverError::Refused { driver: NAME.into(), operation: operation.clone(), reason }
}

#[async_trait]
impl Driver for TestDriver {
    fn info(&self) -> &Arc<DriverInfo> {
        &self.info
    }

    async fn fingerprint(&self) -> Fingerprint {
        let health = self.health.lock().unwrap().clone();
        let attributes = [("driver.docker", "1"), ("somebody.elses", "x")];
        Fingerprint { health, attributes: attributes.map(|(key, value)| (key.into(), value.into())).into() }
    }

    async fn start(&self, task: &Task) -> Result<Started, StartError> {
        self.fault("start").map_err(|error| StartError { error, recoverable: true })?;
        self.fault("start for good").map_err(|error| StartError { error, recoverable: false })?;
        self.create(task).await.map_err(|reason| StartError { error: refused("start")(reason), recoverable: true })
    }

    async fn recover(&self, task: &Task, handle: &[u8]) -> Result<Started, DriverError> {
        self.fault("recover")?;
        let found = self.containers.inspect(&Self::caller(task), &id(handle)).await.map_err(refused("recover"))?;
        Ok(started(&found.id))
    }

    async fn stop(&self, task: &Task, handle: &[u8], request: &StopRequest) -> Result<(), DriverError> {
        self.fault("stop")?;
        if request.signal.as_deref() == Some(UNKNOWN_SIGNAL) {
            return Err(refused("stop")(HostError::Invalid("no such signal".into())));
        }
        match self.containers.stop(&Self::caller(task), &id(handle), None, 0).await {
            Err(HostError::NotFound(_)) => Ok(()),
            other => other.map_err(refused("stop")),
        }
    }

    async fn destroy(&self, task: &Task, _handle: Option<&[u8]>) -> Result<(), DriverError> {
        self.fault("destroy")?;
        self.remove_all(&Self::caller(task)).await.map_err(refused("destroy"))
    }

    async fn inspect(&self, _task: &Task, _handle: &[u8]) -> Result<TaskStatus, DriverError> {
        Ok(TaskStatus { state: RunState::Running, attributes: BTreeMap::new() })
    }

    async fn signal(&self, task: &Task, handle: &[u8], name: &str) -> Result<(), DriverError> {
        self.fault("signal")?;
        self.containers.signal(&Self::caller(task), &id(handle), name).await.map_err(refused("signal"))
    }

    async fn exec(&self, task: &Task, handle: &[u8], request: &ExecRequest) -> Result<ExecSession, DriverError> {
        self.fault("exec")?;
        let session = self.containers.prepare_exec(&Self::caller(task), &id(handle), request).await;
        session.map(ExecSession::Container).map_err(refused("exec"))
    }

    async fn sample(&self, _task: &Task, _handle: &[u8]) -> Result<Usage, DriverError> {
        Err(DriverError::Unsupported { driver: NAME.into(), interface: "stats" })
    }

    async fn poll(&self, _task: &Task, _handle: &[u8]) -> Result<Observation, DriverError> {
        Err(DriverError::Unsupported { driver: NAME.into(), interface: "poll" })
    }

    async fn create_network(&self, request: &NetworkRequest) -> Result<CreatedNetwork, DriverError> {
        self.fault("create_network")?;
        let name = format!("init-{}", request.alloc);
        let holder = self.run(&acting(request), name, "web:1").await.map_err(refused("create_network"))?;
        let handle = holder.as_bytes().to_vec();
        Ok(CreatedNetwork { holder: Holder::Container(holder), namespace_path: None, handle })
    }

    async fn destroy_network(&self, request: &NetworkRequest, _handle: Option<&[u8]>) -> Result<(), DriverError> {
        self.fault("destroy_network")?;
        self.remove_all(&acting(request)).await.map_err(refused("destroy_network"))
    }
}

fn acting(request: &NetworkRequest) -> Caller {
    Caller { driver: DriverName(NAME.into()), task: Some(request.scope()) }
}

/// A set of one driver.
pub(super) struct OnlyDriver(pub(super) Arc<TestDriver>);

impl Drivers for OnlyDriver {
    fn get(&self, name: &str) -> Result<Arc<dyn Driver>, DriverError> {
        if name == NAME {
            return Ok(self.0.clone());
        }
        Err(DriverError::Unknown { driver: name.to_owned(), loaded: NAME.to_owned() })
    }

    fn all(&self) -> Vec<Arc<dyn Driver>> {
        vec![self.0.clone()]
    }
}
