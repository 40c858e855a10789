//! Allocations and their tasks.

use std::collections::BTreeMap;

use longshore_job::model::{Job, Network};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{job::kind, nanoseconds, rfc3339};
use crate::status::{self, Desired, TaskImage};

/// One allocation of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocStub {
    /// A UUID.
    #[serde(rename = "ID")]
    pub id: String,
    /// The evaluation that made it.
    #[serde(rename = "EvalID")]
    pub eval_id: String,
    /// `<job>.<group>[<index>]`.
    pub name: String,
    /// `default`.
    pub namespace: String,
    /// This machine.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// This machine.
    pub node_name: String,
    /// The job.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// The job's type.
    pub job_type: String,
    /// The version of the job it runs.
    pub job_version: u64,
    /// The group.
    pub task_group: String,
    /// `run`, `stop`.
    pub desired_status: String,
    /// Why.
    pub desired_description: String,
    /// `pending`, `running`, `complete`, `failed`.
    pub client_status: String,
    /// One line.
    pub client_description: String,
    /// By task.
    pub task_states: BTreeMap<String, TaskState>,
    /// Null: there are no deployments yet.
    pub deployment_status: Option<Value>,
    /// Empty: none follows.
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: String,
    /// The allocation it replaces, or empty.
    pub previous_allocation: String,
    /// Index of its creation.
    pub create_index: u64,
    /// Index of its last change.
    pub modify_index: u64,
    /// Unix nanoseconds.
    pub create_time: i64,
    /// Unix nanoseconds.
    pub modify_time: i64,
    /// Whether all of it has ended and what ran is removed: its directory and its record are left. Ours alone.
    pub finished: bool,
}

/// One allocation, whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Allocation {
    /// What lists show of it.
    #[serde(flatten)]
    pub stub: AllocStub,
    /// The version of the job it runs.
    pub job: Option<Job>,
    /// What it was given.
    pub allocated_resources: AllocatedResources,
    /// The same of the whole, in the form before Nomad 0.9, which clients still show.
    pub resources: Resources,
    /// The same by task, in the form before Nomad 0.9.
    pub task_resources: BTreeMap<String, Resources>,
    /// Its network; null in host mode.
    pub network_status: Option<NetworkStatus>,
    /// Its directory on the host. Ours alone.
    pub alloc_dir: String,
    /// Images its tasks run at every start, by task. Ours alone.
    pub task_images: BTreeMap<String, TaskImage>,
    /// What the drivers of running tasks know of them now, by task: the container's id, its health. Ours alone.
    pub task_facts: BTreeMap<String, BTreeMap<String, String>>,
}

/// What an allocation was given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedResources {
    /// By task.
    pub tasks: BTreeMap<String, AllocatedTask>,
    /// What the tasks share.
    pub shared: SharedResources,
}

/// What one task was given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedTask {
    /// Processor.
    pub cpu: AllocatedCpu,
    /// Memory.
    pub memory: AllocatedMemory,
    /// None: ports are the group's.
    pub networks: Vec<Value>,
    /// None.
    pub devices: Vec<Value>,
}

/// What was given, in the form before Nomad 0.9.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// MHz.
    #[serde(rename = "CPU")]
    pub cpu: u64,
    /// MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mib: u64,
    /// MiB when there is some to spare.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mib: i64,
    /// MiB; of a task 0, for it is the group's.
    #[serde(rename = "DiskMB")]
    pub disk_mib: u64,
}

/// Processor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedCpu {
    /// MHz.
    pub cpu_shares: u64,
    /// Processors for the task alone.
    pub reserved_cores: Vec<u32>,
}

/// Memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedMemory {
    /// MiB.
    #[serde(rename = "MemoryMB")]
    pub memory_mib: u64,
    /// MiB when there is some to spare.
    #[serde(rename = "MemoryMaxMB")]
    pub memory_max_mib: i64,
}

/// What the tasks of an allocation share.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SharedResources {
    /// Space for its directory, MiB.
    #[serde(rename = "DiskMB")]
    pub disk_mib: u64,
    /// Those of the group, with the ports as they were assigned.
    pub networks: Vec<Network>,
    /// Its ports.
    pub ports: Vec<AllocatedPort>,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocatedPort {
    /// Its label.
    pub label: String,
    /// On the host.
    pub value: u16,
    /// Inside.
    pub to: u16,
    /// Address on the host.
    #[serde(rename = "HostIP")]
    pub host_ip: String,
}

/// An allocation's own network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkStatus {
    /// Interface inside.
    pub interface_name: String,
    /// IPv4.
    pub address: String,
    /// IPv6.
    #[serde(rename = "AddressIPv6")]
    pub address_ipv6: String,
    /// Resolver.
    #[serde(rename = "DNS")]
    pub dns: Option<Value>,
}

/// One task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    /// `pending`, `running`, `dead`.
    pub state: String,
    /// Whether it ended for good with failure.
    pub failed: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// RFC 3339.
    pub last_restart: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub finished_at: String,
    /// The oldest first.
    pub events: Vec<TaskEvent>,
}

/// Something that happened to a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    /// `Started`, `Terminated`, ….
    #[serde(rename = "Type")]
    pub kind: String,
    /// Unix nanoseconds.
    pub time: i64,
    /// One line for people.
    pub display_message: String,
    /// Facts by name.
    pub details: BTreeMap<String, String>,
    /// Empty: see `display_message`.
    pub message: String,
}

impl AllocStub {
    /// The document of an allocation on this machine.
    pub fn of(alloc: &status::Allocation, node: &status::Node) -> Self {
        Self {
            id: alloc.id.0.clone(),
            eval_id: alloc.eval_id.clone(),
            name: alloc.name.clone(),
            namespace: alloc.job.namespace.clone(),
            node_id: node.id.clone(),
            node_name: node.name.clone(),
            job_id: alloc.job.id.clone(),
            job_type: kind(&alloc.job),
            job_version: alloc.job.version,
            task_group: alloc.group.clone(),
            desired_status: match alloc.desired {
                Desired::Run => "run".into(),
                Desired::Stop => "stop".into(),
            },
            desired_description: alloc.desired_description.clone(),
            client_status: alloc.status.name().into(),
            client_description: String::new(),
            task_states: alloc.tasks.iter().map(|(name, state)| (name.clone(), state.into())).collect(),
            deployment_status: None,
            followup_eval_id: String::new(),
            previous_allocation: alloc.previous.as_ref().map(|id| id.0.clone()).unwrap_or_default(),
            create_index: alloc.create_index,
            modify_index: alloc.modify_index,
            create_time: nanoseconds(alloc.create_time),
            modify_time: nanoseconds(alloc.modify_time),
            finished: alloc.finished,
        }
    }
}

impl Allocation {
    /// The whole document of an allocation on this machine.
    pub fn of(alloc: &status::Allocation, node: &status::Node) -> Self {
        let allocated_resources = AllocatedResources::of(alloc);
        let tasks = allocated_resources.tasks.iter();
        let task_resources: BTreeMap<_, Resources> = tasks.map(|(name, given)| (name.clone(), given.into())).collect();
        let all = || task_resources.values();
        let resources = Resources {
            cpu: all().map(|task| task.cpu).sum(),
            memory_mib: all().map(|task| task.memory_mib).sum(),
            memory_max_mib: all().map(|task| task.memory_max_mib).sum(),
            disk_mib: allocated_resources.shared.disk_mib,
        };
        Self {
            stub: AllocStub::of(alloc, node),
            job: Some(Job::clone(&alloc.job)),
            allocated_resources,
            resources,
            task_resources,
            network_status: alloc.network.as_ref().map(Into::into),
            alloc_dir: alloc.dir.display().to_string(),
            task_images: alloc.images.clone(),
            task_facts: BTreeMap::new(),
        }
    }
}

impl From<&longshore_core::network::Network> for NetworkStatus {
    fn from(network: &longshore_core::network::Network) -> Self {
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            interface_name: said(&network.interface_name),
            address: said(&network.address),
            address_ipv6: said(&network.address_ipv6),
            dns: None,
        }
    }
}

impl AllocatedResources {
    fn of(alloc: &status::Allocation) -> Self {
        let group = alloc.job.task_groups.iter().find(|group| group.name == alloc.group);
        let tasks = group.map(|group| &group.tasks[..]).unwrap_or_default().iter();
        let given = tasks.map(|task| {
            let resources = &task.resources;
            let given = AllocatedTask {
                cpu: AllocatedCpu {
                    cpu_shares: resources.cpu,
                    reserved_cores: alloc.cores.get(&task.name).cloned().unwrap_or_default(),
                },
                memory: AllocatedMemory { memory_mib: resources.memory_mb, memory_max_mib: resources.memory_max_mb },
                ..AllocatedTask::default()
            };
            (task.name.clone(), given)
        });
        Self {
            tasks: given.collect(),
            shared: SharedResources {
                disk_mib: group.map_or(0, |group| group.ephemeral_disk.size_mb),
                networks: group.map(|group| assigned(&group.networks, &alloc.ports)).unwrap_or_default(),
                ports: alloc.ports.iter().map(Into::into).collect(),
            },
        }
    }
}

/// The networks of a group with the ports that were found for them.
fn assigned(networks: &[Network], ports: &[longshore_core::port::Port]) -> Vec<Network> {
    let mut networks = networks.to_vec();
    for network in &mut networks {
        for port in network.dynamic_ports.iter_mut().chain(&mut network.reserved_ports) {
            let Some(found) = ports.iter().find(|found| found.label == port.label) else { continue };
            port.value = found.host_port;
            network.ip.clone_from(&found.host_ip);
        }
    }
    networks
}

impl From<&AllocatedTask> for Resources {
    fn from(task: &AllocatedTask) -> Self {
        let memory = &task.memory;
        let (memory_mib, memory_max_mib) = (memory.memory_mib, memory.memory_max_mib);
        Self { cpu: task.cpu.cpu_shares, memory_mib, memory_max_mib, disk_mib: 0 }
    }
}

impl From<&longshore_core::port::Port> for AllocatedPort {
    fn from(port: &longshore_core::port::Port) -> Self {
        let to = if port.task_port == port.host_port { 0 } else { port.task_port };
        Self { label: port.label.clone(), value: port.host_port, to, host_ip: port.host_ip.clone() }
    }
}

impl From<&status::TaskState> for TaskState {
    fn from(task: &status::TaskState) -> Self {
        Self {
            state: task.phase.name().into(),
            failed: task.failed,
            restarts: task.restarts,
            last_restart: rfc3339(task.last_restart),
            started_at: rfc3339(task.started_at),
            finished_at: rfc3339(task.finished_at),
            events: task.events.iter().map(Into::into).collect(),
        }
    }
}

impl From<&status::TaskEvent> for TaskEvent {
    fn from(event: &status::TaskEvent) -> Self {
        Self {
            kind: event.kind.clone(),
            time: nanoseconds(event.time),
            display_message: event.message.clone(),
            details: event.details.clone(),
            message: String::new(),
        }
    }
}
