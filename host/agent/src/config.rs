//! What the agent is told about itself and the machine it runs on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use crate::{alloc::cores, machine};

/// Names of host variables that never reach a task unless the job file names them.
pub const ENV_DENYLIST: [&str; 19] = [
    "LONGSHORE_TOKEN",
    "LONGSHORE_TOKEN_FILE",
    "CONSUL_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_TOKEN_FILE",
    "NOMAD_TOKEN",
    "VAULT_TOKEN",
    "CONSUL_LICENSE",
    "NOMAD_LICENSE",
    "VAULT_LICENSE",
    "CONSUL_LICENSE_PATH",
    "NOMAD_LICENSE_PATH",
    "VAULT_LICENSE_PATH",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_METADATA_URL",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
];

/// Settings of one agent. [`AgentConfig::new`] fills all but the directory from the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Where allocations' directories are made (`<data_dir>/allocs/<id>`). The journal is the store's own matter.
    pub data_dir: PathBuf,
    /// The machine's name; `node.unique.name`.
    pub node_name: String,
    /// `NOMAD_DC`.
    pub datacenter: String,
    /// `NOMAD_REGION`.
    pub region: String,
    /// Address ports are published on: `NOMAD_IP_<label>`.
    pub host_ip: IpAddr,
    /// `meta.<key>` of the machine.
    pub node_meta: BTreeMap<String, String>,
    /// `attr.<key>` of the machine; drivers add theirs.
    pub node_attributes: BTreeMap<String, String>,
    /// Compute of the whole machine in MHz.
    pub node_cpu_mhz: u32,
    /// Processors that this agent and its tasks may run on.
    pub processors: BTreeSet<u32>,
    /// Those of them that tasks can have for themselves.
    pub reservable_cores: BTreeSet<u32>,
    /// Environment that tasks sharing the host's file system inherit, before the denylist.
    pub host_env: BTreeMap<String, String>,
    /// Host variables that never reach a task.
    pub env_denylist: BTreeSet<String>,
    /// Upper bound of every `kill_timeout`.
    pub max_kill_timeout: Duration,
    /// How often drivers look at the machine.
    pub fingerprint_interval: Duration,
    /// How often containers are looked for that belong to no task.
    pub sweep_interval: Duration,
    /// Namespaces kept ready for allocations to come, for each driver that makes them itself.
    pub spare_namespaces: usize,
    /// Ended allocations kept for each job, the newest first.
    pub kept_allocations: usize,
    /// Identity of this boot of the machine; none when unknown (every start then counts as the same boot).
    pub boot_id: Option<String>,
}

impl AgentConfig {
    /// Settings for a directory, the rest read from the machine or Nomad's defaults.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            node_name: machine::hostname(),
            datacenter: "dc1".into(),
            region: "global".into(),
            host_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            node_meta: BTreeMap::new(),
            node_attributes: machine::attributes(),
            node_cpu_mhz: machine::cpu_mhz(),
            processors: machine::own_processors(),
            reservable_cores: machine::own_processors(),
            host_env: std::env::vars_os()
                .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            env_denylist: ENV_DENYLIST.into_iter().map(String::from).collect(),
            max_kill_timeout: Duration::from_secs(30),
            fingerprint_interval: Duration::from_secs(30),
            sweep_interval: Duration::from_secs(300),
            spare_namespaces: 2,
            kept_allocations: 50,
            boot_id: machine::boot_id(),
        }
    }

    /// Lets tasks have these processors for themselves, in the kernel's words (`0-2,5`), and no others.
    pub fn set_reservable_cores(&mut self, list: &str) -> Result<(), String> {
        let cores = cores::parse(list)?;
        if let Some(other) = cores.difference(&self.processors).next() {
            let own = cores::list(&self.processors.iter().copied().collect::<Vec<_>>());
            return Err(format!("processor {other} is none of this agent's, which are {own}"));
        }
        self.node_attributes.insert("cpu.reservablecores".into(), cores.len().to_string());
        self.reservable_cores = cores;
        Ok(())
    }

    /// Directory of all allocations.
    pub fn allocs_dir(&self) -> PathBuf {
        self.data_dir.join("allocs")
    }

    /// Directory of one allocation.
    pub fn alloc_dir(&self, id: &str) -> PathBuf {
        self.allocs_dir().join(id)
    }
}
