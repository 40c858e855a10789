//! The one place that names the machinery behind the drivers, and the drivers of our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use longshore_agent::{Agent, AgentConfig, AgentStore, api::ReplaceDriver};
use longshore_core::{
    backends::Backends,
    caller::DriverName,
    grant::{Grant, Grants},
    policy::Policy,
    port::Ports,
};
use longshore_linux::{
    cgroup::Cgroups,
    code::CodeDirectory,
    components::ComponentRunner,
    engine::{
        Engines,
        docker::{Docker, DockerConfig},
    },
    files::AllocFiles,
    network::{self, CniSettings, KernelNetworks, NetworkSettings},
    ports::{HostNetwork, PortBook, PortSettings},
    process::Supervisor,
};
use longshore_wasm::{
    code::KeptCode,
    engine::{Compiler, Engine, EngineConfig},
    loader::{DriverConfig, Source},
    registry::Registry,
};
use serde_json::Value;

use crate::{
    command::COMPILE,
    config::{self, Config, ContainerEngine},
    embedded,
    failure::{Failure, Outcome, chain},
};

/// This program, also when its file was replaced.
const SELF: &str = "/proc/self/exe";

/// What an agent is started for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Drivers an operator must enable are enabled: `agent --dev`, `run FILE`.
    pub dev: bool,
    /// Directory whose files tasks may run and mount: the job file's, for `run FILE`.
    pub job_dir: Option<PathBuf>,
    /// Where compiled code is kept; in the data directory unless given.
    pub cache_dir: Option<PathBuf>,
}

/// A driver of our own.
struct FirstParty {
    name: &'static str,
    /// The component it is.
    component: &'static str,
    grants: &'static [Grant],
    when: When,
    /// What its policy allows beyond the usual one's and the operator's.
    needs: Needs,
}

/// Without this a driver would be of no use.
struct Needs {
    host_binds: &'static [&'static str],
    users: &'static [&'static str],
}

const NOTHING: Needs = Needs { host_binds: &[], users: &[] };
/// Processes with a root directory of their own see the host's programs in it, and are nobody.
const CHROOT: Needs = Needs {
    host_binds: &[
        "/bin",
        "/etc",
        "/lib",
        "/lib32",
        "/lib64",
        "/run/resolvconf",
        "/run/systemd/resolve",
        "/sbin",
        "/usr",
    ],
    users: &["nobody"],
};

/// When a driver of our own is there without the operator saying `enabled`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// In development mode.
    Development,
    /// When its block is there.
    Configured,
}

/// The docker driver, and what it is granted.
const DOCKER: FirstParty = FirstParty {
    name: "docker",
    component: "docker",
    grants: &[Grant::Containers, Grant::Images, Grant::Ports, Grant::Networks, Grant::Files, Grant::State],
    when: When::Always,
    needs: NOTHING,
};
/// The same component for an engine that speaks Docker's language.
const PODMAN: FirstParty = FirstParty { name: "podman", when: When::Configured, ..DOCKER };
/// Where Podman listens for the whole machine.
const PODMAN_ENDPOINT: &str = "unix:///run/podman/podman.sock";

const EXEC: FirstParty =
    FirstParty { name: "exec", component: "exec", grants: &[Grant::Processes], when: When::Always, needs: CHROOT };

/// Programs as they are, with no isolation.
const RAW_EXEC: FirstParty = FirstParty {
    name: "raw_exec",
    component: "raw_exec",
    grants: &[Grant::Processes],
    when: When::Development,
    needs: NOTHING,
};

/// The drivers of our own and what they are granted. One whose tasks are not kept from the host's files is there only
/// when the operator says so.
const FIRST_PARTY: [FirstParty; 8] = [
    DOCKER,
    PODMAN,
    EXEC,
    FirstParty { name: "java", component: "java", ..EXEC },
    RAW_EXEC,
    FirstParty { name: "mock", component: "mock", ..RAW_EXEC },
    FirstParty { name: "qemu", component: "qemu", grants: &[Grant::Processes, Grant::Files], ..RAW_EXEC },
    FirstParty {
        name: "wasm",
        component: "wasm",
        grants: &[Grant::Components, Grant::Files],
        when: When::Always,
        needs: NOTHING,
    },
];

/// Everything an agent stands on.
pub struct Machine {
    /// What drivers reach.
    pub backends: Backends,
    /// The drivers.
    pub drivers: Arc<Registry>,
    ports: PortSettings,
    replacements: PathBuf,
}

impl Machine {
    /// Opens the backends and loads the drivers. A driver that cannot be loaded is told and left out.
    pub async fn assemble(config: &Config, data_dir: &Path, store: &AgentStore, mode: &Mode) -> Outcome<Self> {
        let failed = |error: &dyn std::error::Error| Failure::failed(chain(error));
        let ports = port_settings(config)?;
        let cgroups = Arc::new(Cgroups::detect());
        let mut configs = driver_configs(config, mode)?;
        let processes = Supervisor::open(&data_dir.join("processes"), cgroups.clone(), policies(&configs));
        let processes = processes.map_err(|e| failed(&e))?;
        let components = ComponentRunner::open(&data_dir.join("components"), cgroups, None).map_err(|e| failed(&e))?;
        let docker = Arc::new(container_engines(config, store, &configs));
        let held: Arc<dyn Ports> = Arc::new(PortBook::new(ports.clone()));
        let networks =
            KernelNetworks::new(network_settings(config, &ports, data_dir), Some(docker.clone()), Some(held.clone()));
        let backends = Backends {
            containers: Some(docker.clone()),
            images: Some(docker),
            processes: Some(Arc::new(processes)),
            components: Some(Arc::new(components)),
            ports: Some(held),
            networks: Some(Arc::new(networks)),
            added_ports: store.added_ports(),
            files: Some(Arc::new(AllocFiles)),
            state: Some(store.driver_state()),
            events: store.event_sink(),
            log: store.driver_log(),
        };
        let cache_dir = mode.cache_dir.clone().unwrap_or_else(|| data_dir.join("cache"));
        let engine = engine(Some(&cache_dir))?;
        let drivers = Arc::new(Registry::new(engine, backends.clone()));
        let replacements = data_dir.join("drivers");
        prefer_replacements(&mut configs, &replacements);
        load(&drivers, configs).await;
        Ok(Self { backends, drivers, ports, replacements })
    }

    /// What replaces drivers under the tasks of an agent.
    pub fn replacer(&self, agent: Agent) -> Replacer {
        Replacer { drivers: self.drivers.clone(), agent, directory: self.replacements.clone() }
    }
}

/// The machine's container engine, and those that single drivers have of their own.
fn container_engines(config: &Config, store: &AgentStore, drivers: &[DriverConfig]) -> Engines {
    let docker = |engine: &ContainerEngine, fallback: Option<&str>| {
        Docker::new(DockerConfig {
            endpoint: engine.endpoint.clone().or(fallback.map(str::to_owned)),
            tls: engine.tls(),
            agent: store.node_id().to_owned(),
            policies: policies(drivers),
            auth: engine.auth(),
            pull_limits: engine.pull_limits(),
            image_gc: engine.image_gc(),
            dangling: engine.dangling(),
            disable_log_collection: engine.disable_log_collection,
        })
    };
    let mut engines = Engines::new(docker(&config.docker, None));
    for (name, settings) in &config.driver {
        let podman = (name == PODMAN.name).then_some(PODMAN_ENDPOINT);
        if let Some(engine) = settings.engine.clone().or(podman.map(|_| ContainerEngine::default())) {
            engines.insert(DriverName(name.clone()), docker(&engine, podman));
        }
    }
    engines
}

/// The engine that drivers run on. This program itself compiles for it, in a process of its own.
pub fn engine(cache_dir: Option<&Path>) -> Outcome<Engine> {
    let code = cache_dir.map(CodeDirectory::open).transpose().map_err(|error| Failure::failed(chain(&error)))?;
    let config = EngineConfig {
        code: code.map(|directory| Arc::new(directory) as KeptCode),
        compiler: Some(Compiler { program: SELF.into(), arguments: vec![COMPILE.into()] }),
        ..EngineConfig::default()
    };
    Engine::new(config).map_err(|error| Failure::failed(chain(&error)))
}

/// What an agent is told, from the configuration.
pub fn agent_config(config: &Config, data_dir: &Path, machine: &Machine) -> Outcome<AgentConfig> {
    let mut agent = AgentConfig::new(data_dir);
    if let Some(cores) = &config.reservable_cores {
        agent.set_reservable_cores(cores).map_err(|why| Failure::input(format!("reservable_cores: {why}")))?;
    }
    if let Some(name) = &config.name {
        agent.node_name.clone_from(name);
    }
    if let Some(datacenter) = &config.datacenter {
        agent.datacenter.clone_from(datacenter);
    }
    agent.host_ip = machine.ports.host_ip;
    agent.node_attributes.insert("unique.network.ip-address".into(), agent.host_ip.to_string());
    if let Some(count) = config.network.spare_pause_containers {
        agent.spare_namespaces = count.into();
    }
    if let Some(period) = config.docker.gc.dangling_containers.period {
        agent.sweep_interval = period;
    }
    Ok(agent)
}

/// Loads drivers; a name belongs to the first that has it, so that a file cannot take that of one of our own.
async fn load(drivers: &Registry, configs: Vec<DriverConfig>) {
    for loaded in drivers.add_all(configs).await {
        match loaded {
            Ok(driver) => {
                let info = longshore_core::driver::Driver::info(&*driver);
                tracing::debug!(driver = %info.description.name, origin = %info.origin, "driver loaded");
            }
            Err(error) => tracing::error!("driver not loaded: {error}"),
        }
    }
}

fn port_settings(config: &Config) -> Outcome<PortSettings> {
    let mut settings = PortSettings {
        dynamic: config.ports.min_dynamic_port..=config.ports.max_dynamic_port,
        reserved: config.reserved_ports().map_err(Failure::input)?,
        host_networks: host_networks(config)?,
        ..PortSettings::default()
    };
    if let Some(default) = settings.host_networks.get("default") {
        settings.host_ip = default.address;
    }
    Ok(settings)
}

/// The named addresses of the machine.
fn host_networks(config: &Config) -> Outcome<BTreeMap<String, HostNetwork>> {
    if config.host_network.is_empty() {
        return Ok(BTreeMap::new());
    }
    let interfaces = network::interfaces().map_err(|error| Failure::failed(chain(&error)))?;
    let one = |(name, network): (&String, &config::HostNetwork)| {
        let address = network.choose(name, &interfaces).map_err(Failure::input)?;
        let reserved = config::port_ranges(&network.reserved_ports).map_err(Failure::input)?;
        Ok((name.clone(), HostNetwork { address, reserved }))
    };
    config.host_network.iter().map(one).collect()
}

fn network_settings(config: &Config, ports: &PortSettings, data_dir: &Path) -> NetworkSettings {
    let default = NetworkSettings::default();
    let wanted = &config.network;
    NetworkSettings {
        bridge: wanted.bridge_network_name.clone().unwrap_or(default.bridge),
        subnet: wanted.bridge_network_subnet.unwrap_or(default.subnet),
        subnet_ipv6: wanted.bridge_network_subnet_ipv6,
        host_ip: ports.host_ip,
        cni: CniSettings {
            config_dir: wanted.cni_config_dir.clone().unwrap_or(default.cni.config_dir),
            path: wanted.cni_path().unwrap_or(default.cni.path),
            state_dir: data_dir.join("cni"),
            timeout: default.cni.timeout,
        },
        owner: data_dir.to_owned(),
    }
}

/// Drivers of our own, then the configured ones, then those of the driver directory.
fn driver_configs(config: &Config, mode: &Mode) -> Outcome<Vec<DriverConfig>> {
    let mut configs = Vec::new();
    for first_party in &FIRST_PARTY {
        let settings = config.driver.get(first_party.name).cloned().unwrap_or_default();
        let usual = match first_party.when {
            When::Always => true,
            When::Development => mode.dev,
            When::Configured => config.driver.contains_key(first_party.name),
        };
        if settings.path.is_none() && settings.enabled.unwrap_or(usual) {
            configs.extend(embedded(first_party, settings, config, mode));
        }
    }
    let mut files = BTreeSet::new();
    for (name, settings) in &config.driver {
        match &settings.path {
            Some(path) if settings.enabled.unwrap_or(true) => {
                files.insert(path.clone());
                configs.push(configured(Source::File(path.clone()), Some(name), settings.clone(), config));
            }
            Some(_) => {}
            None if FIRST_PARTY.iter().any(|driver| driver.name == name) => {}
            None => {
                let known = FIRST_PARTY.map(|driver| driver.name).join(", ");
                return Err(Failure::input(format!(
                    "driver {name:?} has no path, and no driver of that name is built in"
                ))
                .remedy(format!("built in are {known}; for any other say where its component is with path")));
            }
        }
    }
    if let Some(directory) = &config.driver_dir {
        let found = Source::directory(directory).map_err(|error| Failure::input(chain(&error)))?;
        let new = found.into_iter().filter(|source| !matches!(source, Source::File(path) if files.contains(path)));
        configs.extend(new.map(DriverConfig::new));
    }
    Ok(configs)
}

/// The policies of drivers whose names are known before they are loaded.
fn policies(configs: &[DriverConfig]) -> BTreeMap<DriverName, Policy> {
    let named = configs.iter().filter_map(|config| Some((DriverName(config.name.clone()?), config.policy.clone())));
    named.collect()
}

/// What `driver replace` put in a driver's place stays there: running tasks may have handles only it knows.
fn prefer_replacements(configs: &mut [DriverConfig], directory: &Path) {
    for config in configs {
        let Some(name) = &config.name else { continue };
        let path = replacement(directory, name);
        if path.exists() {
            tracing::info!(driver = %name, path = %path.display(), "taking the version `driver replace` put here");
            config.source = Source::File(path);
        }
    }
}

fn embedded(driver: &FirstParty, mut settings: config::Driver, config: &Config, mode: &Mode) -> Option<DriverConfig> {
    let (component, digest, bytes) = embedded::DRIVERS.iter().find(|(name, ..)| *name == driver.component)?;
    let grants = settings.grants.take().unwrap_or_else(|| driver.grants.iter().cloned().collect());
    settings.grants = Some(grants);
    settings.policy.allow_host_binds.extend(driver.needs.host_binds.iter().map(ToString::to_string));
    settings.policy.allow_users.extend(driver.needs.users.iter().map(ToString::to_string));
    if let Some(directory) = &mode.job_dir {
        settings.policy.allow_host_binds.push(directory.display().to_string());
    }
    if driver.component != driver.name {
        let own = settings.config.get_or_insert_with(|| Value::Object(Default::default()));
        own["name"] = driver.name.into();
    }
    let source = Source::Embedded { name: component, bytes, digest: Some(digest) };
    Some(configured(source, Some(driver.name), settings, config))
}

fn configured(source: Source, name: Option<&str>, settings: config::Driver, config: &Config) -> DriverConfig {
    DriverConfig {
        name: name.map(String::from),
        grants: Grants(settings.grants.unwrap_or_default()),
        policy: settings.policy,
        settings: settings.config.unwrap_or_else(|| Value::Object(Default::default())),
        limits: settings.limits,
        engines: config.http_engine.clone(),
        source,
    }
}

/// What a driver of this name is granted here.
pub fn grants_of(config: &Config, name: &str) -> Grants {
    let configured = config.driver.get(name).and_then(|driver| driver.grants.clone());
    let first_party = FIRST_PARTY.iter().find(|driver| driver.name == name);
    Grants(
        configured
            .unwrap_or_else(|| first_party.map(|driver| driver.grants.iter().cloned().collect()).unwrap_or_default()),
    )
}

/// Puts a new component in the place of a loaded driver.
pub struct Replacer {
    drivers: Arc<Registry>,
    agent: Agent,
    /// Where replacements are kept, so that the next start has them too.
    directory: PathBuf,
}

#[async_trait]
impl ReplaceDriver for Replacer {
    async fn replace(&self, name: &str, component: Vec<u8>) -> Result<(), String> {
        let kept = replacement(&self.directory, name);
        let tried = kept.with_extension("new");
        write_private(&tried, &component).map_err(|error| format!("{}: {error}", tried.display()))?;
        let stored = self.agent.handles_of(name).await;
        let replaced =
            self.drivers.replace(name, Source::Coming { path: kept.clone(), bytes: component.into() }, &stored).await;
        if let Err(error) = replaced {
            let _ = std::fs::remove_file(&tried);
            return Err(error.to_string());
        }
        std::fs::rename(&tried, &kept).map_err(|error| format!("{}: {error}", kept.display()))
    }
}

/// The file a replacement of a driver is kept in.
fn replacement(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.wasm"))
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    std::fs::write(path, content)
}
