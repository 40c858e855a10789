//! A driver that puts its containers into their group's network, which the host makes: it holds no network itself, as
//! the Docker driver does, but asks for the one there is. Beside the job's ports it adds one, `admin`.
//!
//! It is granted `containers`, `networks` and `ports`.
#![cfg(target_family = "wasm")]

use longshore_sdk::{
    About, Description, Error, FingerprintResult, Health, Lifecycle, RunState, StartError, Started, StopRequest, Task,
    TaskRef, TaskStatus, Watch, config, env, handle,
    host::{
        Limits, Protocol,
        containers::{self, ContainerNetwork, ContainerSpec},
        networks,
        ports::{self, PortRequest},
    },
};

struct Attached;

longshore_sdk::export!(Attached);

/// Label of the port that is added.
const ADMIN: &str = "admin";

#[derive(serde::Deserialize)]
struct Config {
    image: String,
    command: Vec<String>,
    /// Number that the container listens on for whoever looks after it.
    admin: u16,
}

impl About for Attached {
    fn describe() -> Description {
        Description {
            name: "attached".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: "Runs containers in their group's network, with a port for administrators".into(),
            filesystem: "image".into(),
            network_modes: vec!["bridge".into()],
            attributes: vec![],
        }
    }

    fn config_schema() -> String {
        r#"{"type": "object", "required": ["image", "command", "admin"], "additionalProperties": false,
            "properties": {
                "image": {"type": "string", "description": "what is in the container"},
                "command": {"type": "array", "items": {"type": "string"}, "description": "program and arguments"},
                "admin": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "port for administrators"}
            }}"#
        .into()
    }

    fn settings_schema() -> String {
        r#"{"type": "object", "additionalProperties": false}"#.into()
    }

    fn fingerprint() -> FingerprintResult {
        match containers::engine() {
            Ok(_) => FingerprintResult { health: Health::Healthy, attributes: env::list([("driver.attached", "1")]) },
            Err(error) => FingerprintResult { health: Health::Undetected(error.to_string()), attributes: vec![] },
        }
    }
}

impl Lifecycle for Attached {
    fn start(task: Task) -> Result<Started, StartError> {
        let config: Config = config::read(&task)?;
        let admin = config.admin;
        let id = containers::create(&spec(task, config))?;
        match run(&id, admin) {
            Ok(()) => Ok(started(id)),
            Err(error) => {
                // What is left, `destroy` finds.
                let _ = containers::remove(&id);
                Err(error.into())
            }
        }
    }

    fn recover(_: Task, handle: Vec<u8>) -> Result<Started, Error> {
        let id: String = handle::decode(&handle)?;
        containers::inspect(&id)?;
        Ok(started(id))
    }

    fn stop(_: TaskRef, handle: Vec<u8>, request: StopRequest) -> Result<(), Error> {
        containers::stop(&handle::decode::<String>(&handle)?, request.signal.as_deref(), request.grace_ms)
    }

    fn destroy(_: TaskRef, _: Option<Vec<u8>>) -> Result<(), Error> {
        containers::list_own()?.iter().try_for_each(|container| containers::remove(&container.id))
    }

    fn inspect(_: TaskRef, handle: Vec<u8>) -> Result<TaskStatus, Error> {
        let state: RunState = containers::inspect(&handle::decode::<String>(&handle)?)?.state;
        let admin = ports::reserved()?.into_iter().find(|port| port.label == ADMIN);
        let attributes = admin.map(|port| (ADMIN, port.host_port.to_string()));
        Ok(TaskStatus { state, attributes: env::list(attributes) })
    }
}

/// Starts it, moves the group's network into it, and leads a port of its own there. A second start finds the same port
/// and address.
fn run(id: &str, admin: u16) -> Result<(), Error> {
    containers::start(id)?;
    let network = networks::attach_container(id)?;
    let address = network.address.ok_or_else(|| Error::invalid("the group's network has no address"))?;
    ports::reserve(&PortRequest {
        label: ADMIN.into(),
        static_port: None,
        to: Some(admin),
        host_network: None,
        protocol: Protocol::Tcp,
    })?;
    networks::map_port(ADMIN, &address, admin)
}

fn spec(task: Task, config: Config) -> ContainerSpec {
    ContainerSpec {
        name: task.identity.id.replace('/', "-"),
        image: config.image,
        entrypoint: vec![],
        command: config.command,
        env: task.env,
        working_dir: None,
        user: task.user,
        hostname: None,
        labels: vec![],
        mounts: vec![],
        network: ContainerNetwork::None,
        ports: vec![],
        limits: Limits { memory_mib: task.resources.memory_mib, ..Limits::default() },
        engine_options: None,
    }
}

fn started(id: String) -> Started {
    Started { handle: handle::encode(&id).unwrap_or_default(), watch: Watch::Container(id), network: None }
}
